"""One HTTP request with bounds on its time and on what is read of the answer."""

from __future__ import annotations

import ssl
import time
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import httpx

MOST_BODY: Final = 64 * 1024


@dataclass(frozen=True)
class Answered:
    """What came. `body` is at most MOST_BODY bytes of it, `cut` says that there was more."""

    status: int
    body: bytes
    cut: bool
    seconds: float


class OutOfTime(httpx.TransportError):
    """The answer was not whole in the time that it had."""


def ask(
    client: httpx.Client,
    method: str,
    url: str,
    *,
    seconds: float,
    most: int = MOST_BODY,
    **given: Any,
) -> Answered:
    """Ask once; `seconds` bound the whole answer, however slowly it comes. Raises
    httpx.TransportError, httpx.InvalidURL."""
    began = time.monotonic()
    body = bytearray()
    cut = False
    with client.stream(method, url, timeout=seconds, **given) as answer:
        for piece in answer.iter_bytes():
            body += piece
            if time.monotonic() - began > seconds:
                raise OutOfTime(f"{url} did not answer whole in {seconds:g} s")
            if len(body) > most:
                cut = True
                break
        return Answered(answer.status_code, bytes(body[:most]), cut, time.monotonic() - began)


def client(api_key: str | None = None) -> httpx.Client:
    """A client that follows no redirects and takes no proxy from the environment."""
    headers = {} if api_key is None else {"Authorization": f"Bearer {api_key}"}
    return httpx.Client(headers=headers, trust_env=False, follow_redirects=False, verify=_trusted())


def async_client(seconds: float) -> httpx.AsyncClient:
    """The same for who must not wait; `seconds` bound each part of a request."""
    return httpx.AsyncClient(
        timeout=seconds, trust_env=False, follow_redirects=False, verify=_trusted()
    )


@cache
def _trusted() -> ssl.SSLContext:
    """Whose certificates are trusted. Reading them takes longer than a request: a client that makes
    few of them should not begin with it each time."""
    return httpx.create_ssl_context(trust_env=False)
