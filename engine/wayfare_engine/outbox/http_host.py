"""A channel host over HTTP/1.1 (`channels.contract`): one connection a thread, and every answer
carries its clock.

What an answer means is decided in `answers`; here, that only a refused connection is definite when
there is none.
"""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar
from urllib.parse import quote, urlsplit

from wayfare_engine.channels.contract import CLOCK_HEADER, VERSION
from wayfare_engine.outbox.answers import (
    Unreadable,
    described,
    encoded,
    meaning,
    meanings,
    took_effect,
)
from wayfare_engine.outbox.bounded import bounded, whole
from wayfare_engine.outbox.channel import Answer, HandOver, HostUnreachable, Reading, Result

#: A connection that was idle for longer may be closed under us just as we send: take a new one.
_IDLE_SECONDS = 1.0
_SLACK_SECONDS = 0.2
#: In bytes, head and body: of an answer to anything, and for each send that it is about.
_LONGEST_ANSWER = 64 * 1024
_LONGEST_OF_A_SEND = 16 * 1024
#: How long what a host says of itself is taken for true, and until it is asked again in vain.
_DESCRIBE_SECONDS = 60.0
_ASK_AGAIN_SECONDS = 1.0
_BROKEN = (OSError, http.client.HTTPException, ValueError)

T = TypeVar("T")


@dataclass(frozen=True)
class _Described:
    batch_size: int
    again_at: float


_NOTHING = _Described(1, float("-inf"))


class _Line(threading.local):
    connection: http.client.HTTPConnection | None = None
    used_at: float = 0.0


class HttpHost:
    """The host at `url`. Safe to use from several threads."""

    def __init__(self, url: str, *, boottime: Callable[[], float], connect_seconds: float) -> None:
        parts = urlsplit(url)
        self._address = (parts.hostname or "127.0.0.1", parts.port or 80)
        self._boottime = boottime
        self._connect_seconds = connect_seconds
        self._line = _Line()
        self._newest: Reading | None = None
        self._described = _NOTHING
        self._describing = threading.Lock()

    def reading(self, youngest: float) -> Reading:
        """See `Host.reading`; asks only when no answer of late carried one."""
        newest = self._newest
        if newest is not None and newest.received_at >= youngest:
            return newest
        try:
            self._call("GET", f"/{VERSION}/clock", None, self._connect_seconds)
        except _BROKEN as error:
            raise HostUnreachable(_said(error)) from None
        newest = self._newest
        if newest is None or newest.received_at < youngest:
            raise HostUnreachable("its answer carries no clock")
        return newest

    def hand_over(self, what: HandOver) -> Answer:
        """See `Host.hand_over`."""
        return self._hand_over("send", encoded(what), what.remaining, 1, meaning)

    def hand_over_batch(self, what: Sequence[HandOver]) -> Sequence[Answer]:
        """See `BatchHost.hand_over_batch`. A batch that the host cannot read is handed over one by
        one: nothing of it started, and one of it should not keep the others."""
        body = b"[" + b",".join(map(encoded, what)) + b"]"
        least = min(one.remaining for one in what)
        count = len(what)
        found = self._hand_over("send-batch", body, least, count, partial(meanings, count))
        if isinstance(found, Unreadable):
            self._described = _NOTHING
            return [self.hand_over(one) for one in what]
        return [found] * count if isinstance(found, Answer) else found

    def batch_size(self) -> int:
        """See `BatchHost.batch_size`; asks the host when it was not asked of late."""
        known = self._described
        if self._boottime() < known.again_at or not self._describing.acquire(blocking=False):
            return known.batch_size
        try:
            self._described = self._describe(known)
        finally:
            self._describing.release()
        return self._described.batch_size

    def _describe(self, known: _Described) -> _Described:
        try:
            status, data = self._call("GET", f"/{VERSION}/describe", None, self._connect_seconds)
        except _BROKEN:
            return _Described(known.batch_size, self._boottime() + _ASK_AGAIN_SECONDS)
        size = described(status, data)
        return _Described(size, self._boottime() + _DESCRIBE_SECONDS)

    def _hand_over(
        self, path: str, body: bytes, remaining: float, count: int, meant: Callable[[int, bytes], T]
    ) -> T | Answer:
        seconds = remaining + _SLACK_SECONDS
        most = _LONGEST_ANSWER + count * _LONGEST_OF_A_SEND
        try:
            self._open(seconds)
        except OSError as error:
            return Answer(Result.NOT_ACCEPTED, f"no connection: {_said(error)}")
        try:
            status, data = self._call("POST", f"/{VERSION}/{path}", body, seconds, most)
        except _BROKEN as error:
            return Answer(Result.IN_DOUBT, _said(error))
        return meant(status, data)

    def took_effect(self, send_key: str, seconds: float) -> bool:
        """See `Host.took_effect`."""
        try:
            status, data = self._call("GET", f"/{VERSION}/query/{quote(send_key)}", None, seconds)
        except _BROKEN as error:
            raise HostUnreachable(_said(error)) from None
        accepted = took_effect(status, data)
        if accepted is None:
            raise HostUnreachable(f"status {status} to the question about a key")
        return accepted

    def _open(self, seconds: float) -> http.client.HTTPConnection:
        line = self._line
        if line.connection is not None and self._boottime() - line.used_at > _IDLE_SECONDS:
            self._close()
        if line.connection is None:
            connection = http.client.HTTPConnection(
                *self._address, timeout=min(self._connect_seconds, seconds)
            )
            connection.connect()
            connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            line.connection = connection
        # Neither the kernel may go on trying after the time is over.
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            line.connection.sock.setsockopt(
                socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, max(1, int(seconds * 1000))
            )
        line.connection.sock.settimeout(seconds)
        return line.connection

    def _call(
        self,
        method: str,
        path: str,
        body: bytes | None,
        seconds: float,
        most: int = _LONGEST_ANSWER,
    ) -> tuple[int, bytes]:
        connection = self._open(seconds)
        try:
            connection.response_class = bounded(seconds, most)  # type: ignore[assignment]
            connection.request(method, path, body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            data = whole(answer, most)
        except BaseException:
            self._close()
            raise
        self._line.used_at = self._boottime()
        clock = answer.headers.get(CLOCK_HEADER)
        if clock:
            self._newest = Reading(clock, self._boottime())
        if answer.will_close:
            self._close()
        return answer.status, data

    def _close(self) -> None:
        connection, self._line.connection = self._line.connection, None
        if connection is not None:
            connection.close()


def _said(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
