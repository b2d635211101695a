"""`webhook`: each send is one signed POST, after Standard Webhooks. The send key is the message's
id, which receivers drop repeats by.

What is certain rests on one fact: whether a connection was there, so that the first byte of the
request was about to be written. Before that nothing took effect; after it only a status can say.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
import struct
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from types import SimpleNamespace
from typing import Any, ClassVar, Self

import aiohttp
import msgspec
from yarl import URL

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
_TIMESTAMP = "%Y-%m-%dT%H:%M:%S+00:00"


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
    #: The receiver has one POST a send all the same: it is the worker's calls that are saved.
    batch_size: ClassVar[int] = 100
    permanent_errors: ClassVar[tuple[str, ...]] = ("the receiver refused it: status",)

    def __init__(self, opened: Opened, *, clock: Callable[[], float] = time.time) -> None:
        self._it = opened
        self._clock = clock
        self._url = URL(opened.url, encoded=True)
        self._http: aiohttp.ClientSession | None = None

    @classmethod
    def open(cls, settings: Settings) -> Self:
        """See `ChannelPlugin.open`."""
        return cls(opened(settings.read(Config), settings.secrets))

    async def send(self, what: HandOver) -> Answer:
        """POST it once. Raises Rejected, NotAccepted, InDoubt."""
        if not _KEY.fullmatch(what.send_key):
            raise Rejected("the send key has characters that a message's id cannot have")
        it, way, status = self._it, _Way(), 0
        body = self._body(what)
        if self._http is None:
            self._http = _client(it)
        try:
            async with (
                asyncio.timeout(min(it.config.timeout, what.remaining * _SHARE)),
                self._http.post(
                    self._url,
                    data=body,
                    headers=self._headers(what.send_key, body),
                    allow_redirects=False,
                    trace_request_ctx=way,
                ) as answer,
            ):
                status = answer.status
                await _read_some(answer)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            # No text of the error: it may hold the address.
            seen = type(error).__name__
            if not way.there:
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

    async def send_batch(self, sends: Sequence[HandOver]) -> list[Answer | Exception]:
        """POST each, at once as far as there are connections."""
        ends = await asyncio.gather(*map(self.send, sends), return_exceptions=True)
        return [end if isinstance(end, Answer | Exception) else InDoubt("cut off") for end in ends]

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
        if self._http is not None:
            await self._http.close()

    def _body(self, what: HandOver) -> bytes:
        at = datetime.fromtimestamp(self._clock(), UTC).strftime(_TIMESTAMP)
        data = Data(
            what.send_key,
            what.customer,
            what.channel,
            what.site,
            what.epoch,
            what.attempt,
            what.payload,
            what.address,
            what.test,
        )
        return msgspec.json.encode(Message("wayfare.send", at, data))

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


class _Way:
    """Of one call: whether its connection was there."""

    there = False


def _client(it: Opened) -> aiohttp.ClientSession:
    async def there(_: aiohttp.ClientSession, context: SimpleNamespace, __: object) -> None:
        context.trace_request_ctx.there = True

    trace = aiohttp.TraceConfig()
    trace.on_connection_create_end.append(there)
    trace.on_connection_reuseconn.append(there)
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            ssl=it.tls if it.tls is not None else False,
            limit=it.config.connections,
            keepalive_timeout=_IDLE_SECONDS,
            socket_factory=partial(_socket, it.config.timeout),
        ),
        timeout=aiohttp.ClientTimeout(),  # one time for all phases, around the call
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        skip_auto_headers=("Accept", "Accept-Encoding"),
        trace_configs=[trace],
        trust_env=False,
    )


async def _read_some(answer: aiohttp.ClientResponse) -> None:
    """Read a short body, so that the connection can be used again; its status has said all."""
    read = 0
    async for part in answer.content.iter_any():
        read += len(part)
        if read > _MOST_READ:
            answer.close()
            return


def _socket(seconds: float, address: aiohttp.AddrInfoType) -> socket.socket:
    """Nothing may leave after the time is over: neither is data that nobody acknowledges sent
    again for longer, nor does closing leave unsent data to the kernel."""
    family, kind, protocol, *_ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, max(1, int(seconds * 1000)))
    return made
