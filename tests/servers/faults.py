"""What the fault store can do to a request."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qs, unquote, urlsplit

from tests.servers.wire import Message, answer


@dataclass(frozen=True)
class Delay:
    """The request reaches the server this much later."""

    seconds: float


@dataclass(frozen=True)
class Answer:
    """This error document is the answer; with `late` the request takes effect before it."""

    status: int
    code: str = "InternalError"
    message: str = "a fault that a test asked for"
    headers: tuple[tuple[str, str], ...] = ()
    late: bool = False


@dataclass(frozen=True)
class Drop:
    """It takes effect, and its answer never arrives: cut, or silence until the client gives up."""

    silent: bool = False


@dataclass(frozen=True)
class Cut:
    """The line is cut before the request arrives, or in the middle of the answer's body."""

    middle: bool = False


@dataclass(frozen=True)
class Hold:
    """It takes effect `seconds` later (None: at `release()`), whatever the client believes.

    The client gets no answer: silence until it gives up, or a cut line.
    """

    seconds: float | None = None
    silent: bool = True


@dataclass(frozen=True)
class Stale:
    """Objects put through this proxy within the last `seconds` are neither read nor listed."""

    seconds: float


@dataclass(frozen=True)
class Overwrites:
    """A conditional create always "succeeds", as at a store that ignores the condition."""


Fault = Delay | Answer | Drop | Cut | Hold | Stale | Overwrites


def hide(request: Message, said: Message, fresh: set[str]) -> bytes:
    """The answer as though objects with the paths `fresh` (`/bucket/key`) were not there."""
    if request.method in ("GET", "HEAD"):
        if request.path in fresh:
            if request.method == "HEAD":
                return b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
            return answer(404, "NoSuchKey")
        if "list-type" in parse_qs(urlsplit(request.target).query):
            return _without(request.path.rstrip("/"), said, fresh)
    return said.raw


def _without(bucket: str, said: Message, fresh: set[str]) -> bytes:
    text = said.body.decode()
    if (said.header("transfer-encoding") or "").lower() == "chunked":
        text = re.sub(r"(?:^|\r\n)[0-9a-fA-F]+\r\n", "", text)

    def keep(found: re.Match[str]) -> str:
        key = re.search(r"<Key>(.*?)</Key>", found[0], re.DOTALL)
        return "" if key and f"{bucket}/{unquote(key[1])}" in fresh else found[0]

    body = re.sub(r"<Contents>.*?</Contents>", keep, text, flags=re.DOTALL).encode()
    head = "HTTP/1.1 200 OK\r\nContent-Type: application/xml\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
