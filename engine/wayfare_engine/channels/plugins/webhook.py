"""`webhook`: each send is one signed POST, after Standard Webhooks. The send key is the message's
id, which receivers drop repeats by.

What is certain rests on one fact: whether the first byte of the request was about to be written.
Before that nothing took effect; after it only a status can say.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
import struct
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, ClassVar, Self

import httpx
import msgspec

from wayfare_engine.channels.contract import (
    Answer,
    Callback,
    Check,
    HandOver,
    Key,
    NoDedupe,
    Query,
    Receipt,
    Rendered,
    State,
)
from wayfare_engine.channels.plugin import ChannelPlugin, InDoubt, NotAccepted, Rejected, Settings
from wayfare_engine.channels.plugins import webhook_receipts
from wayfare_engine.channels.plugins.signing import signatures
from wayfare_engine.channels.plugins.webhook_config import Config, Opened, opened

_MOST_READ = 64 * 1024
#: Of the time that is left: we must end before the host cancels us, to say what is certain.
_SHARE = 0.95
_IDLE_SECONDS = 5.0
#: No dot: it divides what is signed.
_KEY = re.compile(r"[A-Za-z0-9_-]{1,256}", re.ASCII)
_Options = list[tuple[int, int, int] | tuple[int, int, bytes | bytearray]]


class Data(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the receiver is told of a send."""

    send_key: str
    customer: str
    channel: str
    site: str
    epoch: int
    attempt: int
    payload: dict[str, Any]
    address: str | None = None
    test: bool = False


class Message(msgspec.Struct, frozen=True):
    """The body. `timestamp` is when this attempt was made, as ISO 8601."""

    type: str
    timestamp: str
    data: Data


class Webhook(ChannelPlugin):
    """POSTs to one URL over connections that stay open."""

    name: ClassVar[str] = "webhook"
    #: Receivers after the standard remember ids; a day is what it recommends at least.
    dedupe: ClassVar[Key | Query | NoDedupe] = Key(window=86_400.0)
    receipt_states: ClassVar[tuple[State, ...]] = webhook_receipts.STATES
    permanent_errors: ClassVar[tuple[str, ...]] = ("the receiver refused it: status",)

    def __init__(self, opened: Opened, *, clock: Callable[[], float] = time.time) -> None:
        self._it = opened
        self._clock = clock
        self._http = _client(opened)

    @classmethod
    def open(cls, settings: Settings) -> Self:
        """See `ChannelPlugin.open`."""
        return cls(opened(settings.read(Config), settings.secrets))

    async def send(self, what: HandOver) -> Answer:
        """POST it once. Raises Rejected, NotAccepted, InDoubt."""
        if not _KEY.fullmatch(what.send_key):
            raise Rejected("the send key has characters that a message's id cannot have")
        it, written, status = self._it, False, 0
        body = self._body(what)

        async def trace(event: str, _: dict[str, Any]) -> None:
            nonlocal written
            written = written or event.endswith("send_request_headers.started")

        request = self._http.build_request(
            "POST",
            it.url,
            content=body,
            headers=self._headers(what.send_key, body),
            extensions={"trace": trace},
        )
        try:
            async with asyncio.timeout(min(it.config.timeout, what.remaining * _SHARE)):
                answer = await self._http.send(request, stream=True)
                status = answer.status_code
                await _read_some(answer)
        except (httpx.HTTPError, OSError, TimeoutError) as error:
            # No text of the error: it may hold the address.
            seen = type(error).__name__
            if not written:
                raise NotAccepted(f"no connection to {it.place}: {seen}") from None
            if not status:
                raise InDoubt(f"{it.place} was sent it and did not answer: {seen}") from None
        if 200 <= status < 300:
            return Answer(result="Accepted", detail=f"status {status}")
        if status in it.config.rejected:
            raise Rejected(f"the receiver refused it: status {status}")
        if status in it.config.not_accepted:
            raise NotAccepted(f"the receiver takes no more for now: status {status}")
        raise InDoubt(f"the receiver answered with status {status}")

    async def receipts(self, callback: Callback) -> list[Receipt]:
        """See `webhook_receipts`. Raises ValueError."""
        return webhook_receipts.receipts(callback, self._it.receipt_keys, self._clock())

    async def preview(self, what: HandOver) -> Rendered:
        """The body as it would be sent."""
        return Rendered(parts={"body": self._body(what).decode()})

    async def check(self) -> Check:
        """Connect, with TLS where the address has it, and hang up: nothing is asked."""
        it = self._it
        try:
            async with asyncio.timeout(it.config.timeout):
                _, writer = await asyncio.open_connection(
                    it.host,
                    it.port,
                    ssl=it.tls,
                    server_hostname=it.host if it.tls is not None else None,
                )
                writer.close()
        except ssl.SSLCertVerificationError as error:
            problem = f"{it.place}: its certificate is not trusted: {error.verify_message}"
            return Check(ok=False, problem=problem + "; see the config's ca_file")
        except (OSError, TimeoutError) as error:
            problem = f"no connection to {it.place}: {type(error).__name__}"
            return Check(ok=False, problem=problem + "; see the config's url, and network policies")
        return Check(ok=True)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    def _body(self, what: HandOver) -> bytes:
        given = {name: getattr(what, name) for name in Data.__struct_fields__}
        at = datetime.fromtimestamp(self._clock(), UTC).isoformat(timespec="seconds")
        return msgspec.json.encode(Message("wayfare.send", at, Data(**given)))

    def _headers(self, send_key: str, body: bytes) -> dict[str, str]:
        at = int(self._clock())
        headers = dict(self._it.config.headers) | {
            "content-type": "application/json",
            "user-agent": "wayfare-webhook/1",
            "webhook-id": send_key,
            "webhook-timestamp": str(at),
        }
        if self._it.keys:
            headers["webhook-signature"] = signatures(self._it.keys, send_key, at, body)
        return headers


def _client(it: Opened) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=httpx.AsyncHTTPTransport(
            verify=it.tls if it.tls is not None else False,
            limits=httpx.Limits(max_connections=None, keepalive_expiry=_IDLE_SECONDS),
            socket_options=_socket_options(it.config.timeout),
        ),
        timeout=None,  # noqa: S113 - one time for all phases, around the call
        trust_env=False,
    )


async def _read_some(answer: httpx.Response) -> None:
    """Read a short body, so that the connection can be used again; its status has said all."""
    read = 0
    try:
        async for part in answer.aiter_raw():
            read += len(part)
            if read > _MOST_READ:
                return
    finally:
        await answer.aclose()


def _socket_options(seconds: float) -> _Options:
    """Nothing may leave after the time is over: neither is data that nobody acknowledges sent
    again for longer, nor does closing leave unsent data to the kernel."""
    linger = struct.pack("ii", 1, 0)
    options: _Options = [(socket.SOL_SOCKET, socket.SO_LINGER, linger)]
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        milliseconds = max(1, int(seconds * 1000))
        options.append((socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds))
    return options
