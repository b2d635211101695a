"""A provider's own call, put before the host of its channel: the plugin knows its form and its
signature, and says which receipts are in it.

A bulkhead: so many calls wait for hosts at one moment and no more, of one channel and of all, and
none for long. What decisions need is not held up by a host that hangs.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

import httpx
import msgspec
import structlog

from wayfare_engine.channels.contract import MOST_BYTES, VERSION, Callback, Receipt

log = structlog.get_logger(__name__)

#: Of headers, and of all their characters.
_MOST_HEADERS, _MOST_TEXT = 100, 32 * 1024
#: What a plugin is not told: credentials of others, and what is of one connection.
_KEPT_BACK = re.compile(
    r"cookie2?|set-cookie|authorization|proxy-.*|x-api-key|connection|keep-alive|te|trailer"
    r"|transfer-encoding|upgrade"
)
_CHANNEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,62})/[a-z0-9]([a-z0-9-]{0,62})")
_receipts = msgspec.json.Decoder(list[Receipt])


class NotTheProvider(Exception):
    """The call is not the provider's, or there is no such channel, or it takes no receipts."""


class Unusable(Exception):
    """The call cannot be put before anybody. The text says why."""


class NotNow(Exception):
    """Nobody knows whose call it is: the host is away, or too many calls wait. Call again."""


class Callbacks:
    """`hosts` says where a channel's host is (`http://HOST:PORT`), None for one that there is not.
    `seconds` is how long a host has. Used from one event loop."""

    def __init__(
        self,
        hosts: Callable[[str], str | None],
        *,
        seconds: float = 5.0,
        most: int = 16,
        most_of_channel: int = 4,
    ) -> None:
        self._hosts = hosts
        self._seconds = seconds
        self._most = most
        self._most_of_channel = most_of_channel
        self._waiting: Counter[str] = Counter()
        self._http: httpx.AsyncClient | None = None

    async def receipts(self, channel: str, call: Callback) -> list[Receipt]:
        """What the call says. Raises NotTheProvider, Unusable, NotNow."""
        url = self._hosts(channel) if _CHANNEL.fullmatch(channel) else None
        if url is None:
            raise NotTheProvider
        with self._place(channel):
            status, body = await self._ask(channel, url, msgspec.json.encode(call))
        if status == 413:
            raise Unusable("the call is too large for the channel's host")
        if status in (400, 404):
            raise NotTheProvider
        if status != 200:
            log.warning("callbacks.host", channel=channel, status=status)
            raise NotNow(f"the channel's host answered with status {status}")
        try:
            return _receipts.decode(body)
        except msgspec.MsgspecError as error:
            log.error("callbacks.answer", channel=channel, error=str(error))
            raise NotNow("the channel's host gave no list of receipts") from None

    async def close(self) -> None:
        """Close the connections."""
        if self._http is not None:
            await self._http.aclose()

    @contextmanager
    def _place(self, channel: str) -> Iterator[None]:
        full = self._waiting.total() >= self._most
        if full or self._waiting[channel] >= self._most_of_channel:
            raise NotNow("too many calls wait for channels' hosts")
        self._waiting[channel] += 1
        try:
            yield
        finally:
            self._waiting[channel] -= 1

    async def _ask(self, channel: str, url: str, body: bytes) -> tuple[int, bytes]:
        """Status and body of the host's answer. Raises NotNow."""
        if self._http is None:
            self._http = httpx.AsyncClient(timeout=self._seconds, trust_env=False)
        found = bytearray()
        try:
            async with (
                asyncio.timeout(self._seconds),
                self._http.stream(
                    "POST",
                    f"{url.rstrip('/')}/{VERSION}/receipt",
                    content=body,
                    headers={"content-type": "application/json"},
                ) as answer,
            ):
                async for part in answer.aiter_bytes():
                    found += part
                    if len(found) > MOST_BYTES:
                        raise NotNow("the channel's host said too much")
                return answer.status_code, bytes(found)
        except (httpx.HTTPError, httpx.InvalidURL, OSError, TimeoutError) as error:
            # No text of the error: it may hold an address.
            log.warning("callbacks.host", channel=channel, error=type(error).__name__)
            raise NotNow("the channel's host does not answer") from None


def call(headers: Iterable[tuple[str, str]], query: Mapping[str, str], body: bytes) -> Callback:
    """The raw request as a plugin is told it, names of headers in lower case. Raises Unusable."""
    kept: dict[str, str] = {}
    size = 0
    for name, value in headers:
        name = name.lower()
        size += len(name) + len(value)
        if size > _MOST_TEXT or len(kept) > _MOST_HEADERS:
            raise Unusable("the call has too many headers, or too long ones")
        if _KEPT_BACK.fullmatch(name) is None:
            kept[name] = f"{kept[name]}, {value}" if name in kept else value
    try:
        return Callback(headers=kept, query=dict(query), body=body.decode())
    except UnicodeDecodeError:
        raise Unusable("the body is not UTF-8") from None
