"""Answers over HTTP that end in time and have a size, whatever their server does.

A socket's timeout is of each read. A host that sends a byte from time to time would keep a call
for ever, and one that sends without an end all of the memory.
"""

from __future__ import annotations

import http.client
import io
import socket
import time
from collections.abc import Callable
from functools import partial
from typing import Any


class TooLong(http.client.HTTPException):
    """An answer of more bytes than are read."""


class _Reading(io.RawIOBase):
    """What is read of `connection` until `end`, `most` bytes at most."""

    def __init__(self, connection: socket.socket, end: float, most: int) -> None:
        self._connection = connection
        self._end = end
        self._left = most

    def readable(self) -> bool:
        return True

    def readinto(self, into: Any) -> int:
        seconds = self._end - time.monotonic()
        if seconds <= 0:
            raise TimeoutError("timed out")
        self._connection.settimeout(seconds)
        found = self._connection.recv_into(into)
        self._left -= found
        if self._left < 0:
            raise TooLong("the answer is too long")
        return found


class _Bounded(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *, end: float, most: int, **more: Any) -> None:
        super().__init__(sock, **more)
        self.fp.close()
        self.fp = io.BufferedReader(_Reading(sock, end, most))


def bounded(seconds: float, most: int) -> Callable[..., http.client.HTTPResponse]:
    """A `response_class` for a connection's next answer: read within `seconds` from now, and
    `most` bytes, head and body. Reading raises TimeoutError or TooLong."""
    return partial(_Bounded, end=time.monotonic() + seconds, most=most)


def whole(answer: http.client.HTTPResponse, most: int) -> bytes:
    """The body. Raises TooLong for a longer one before any place is made for it, and what reading
    raises."""
    if answer.length is not None and answer.length > most:
        raise TooLong(f"an answer of {answer.length} bytes")
    return answer.read()
