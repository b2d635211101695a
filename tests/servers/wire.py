"""HTTP/1.1 messages as the bytes that they came in: read whole, sent on unchanged.

A signature (SigV4) covers header names, values and the path as they were written, so a proxy that
parses and writes them anew breaks it. This one looks and does not touch.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from urllib.parse import unquote

_LIMIT = 1 << 20


@dataclass(frozen=True)
class Message:
    """`head` ends with the empty line; `body` is what followed, chunk sizes included."""

    head: bytes
    body: bytes

    @property
    def first(self) -> list[str]:
        """The three words of the first line."""
        return self.head.split(b"\r\n", 1)[0].decode("latin-1").split(" ", 2)

    @property
    def method(self) -> str:
        """Of a request."""
        return self.first[0]

    @property
    def target(self) -> str:
        """Of a request: path and query as they were sent."""
        return self.first[1]

    @property
    def path(self) -> str:
        """Of a request: the decoded path, without the query."""
        return unquote(self.target.partition("?")[0])

    @property
    def status(self) -> int:
        """Of an answer."""
        return int(self.first[1])

    def header(self, name: str) -> str | None:
        """The first value of a header."""
        for line in self.head.split(b"\r\n")[1:]:
            key, _, value = line.partition(b":")
            if key.strip().lower() == name.encode():
                return value.strip().decode("latin-1")
        return None

    @property
    def raw(self) -> bytes:
        """All of it."""
        return self.head + self.body


async def read_request(reader: asyncio.StreamReader) -> Message | None:
    """The next request of a connection; None when the client closed it."""
    head = await _head(reader)
    return Message(head, await _body(reader, head)) if head else None


async def read_answer(reader: asyncio.StreamReader, method: str) -> Message:
    """The answer to a request of this method. Raises ConnectionError when it does not come."""
    while True:
        head = await _head(reader)
        if not head:
            raise ConnectionResetError("the server closed the connection")
        status = Message(head, b"").status
        if status >= 200:
            break
    if method == "HEAD" or status in (204, 304):
        return Message(head, b"")
    return Message(head, await _body(reader, head, until_closed=True))


def answer(
    status: int, code: str, message: str = "a fault that a test asked for", **headers: str
) -> bytes:
    """An answer as an S3 server gives it: an error document, and more headers if any."""
    document = (
        f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code>'
        f"<Message>{message}</Message></Error>"
    )
    body = b"" if status < 300 else document.encode()
    lines = [f"HTTP/1.1 {status} {code}", "Content-Type: application/xml"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    lines += [f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


async def _head(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return b""


async def _body(reader: asyncio.StreamReader, head: bytes, *, until_closed: bool = False) -> bytes:
    message = Message(head, b"")
    length = message.header("content-length")
    if length is not None:
        return await reader.readexactly(int(length))
    if (message.header("transfer-encoding") or "").lower() != "chunked":
        return await reader.read() if until_closed else b""
    parts: list[bytes] = []
    while True:
        line = await reader.readuntil(b"\r\n")
        size = int(line.split(b";")[0], 16)
        parts += [line, await reader.readexactly(size + 2)]
        if size == 0:
            return b"".join(parts)
