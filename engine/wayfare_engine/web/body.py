"""Reading a request: its credential and its body, within limits."""

from __future__ import annotations

import asyncio

from starlette.types import Message, Receive, Scope

from wayfare_engine.web.problems import Problem

_BODY_SECONDS = 10.0


def credential(headers: list[tuple[bytes, bytes]]) -> str | None:
    """The API key in a request's headers."""
    for name, value in headers:
        if name == b"authorization":
            scheme, _, rest = value.decode("latin-1").partition(" ")
            return rest.strip() if scheme.lower() == "bearer" else None
        if name == b"x-api-key":
            return value.decode("latin-1").strip()
    return None


async def read_body(scope: Scope, receive: Receive, limit: int) -> bytes:
    """The whole body; raises Problem 413 beyond `limit` bytes, 408 when it does not come."""
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit() and int(value) > limit:
            raise _too_large(limit)
    message: Message = await receive()
    if not message.get("more_body"):
        body: bytes = message.get("body", b"")
        if len(body) > limit:
            raise _too_large(limit)
        return body
    parts = [message.get("body", b"")]
    size = len(parts[0])
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            while message.get("more_body"):
                message = await receive()
                parts.append(message.get("body", b""))
                size += len(parts[-1])
                if size > limit:
                    raise _too_large(limit)
    except TimeoutError:
        raise Problem(
            408, "too-slow", f"the body did not arrive within {_BODY_SECONDS:g} s"
        ) from None
    return b"".join(parts)


def _too_large(limit: int) -> Problem:
    return Problem(413, "too-large", f"a request has at most {limit} bytes")
