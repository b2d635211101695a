"""Receipts that come over a bind, told to the engine.

A message centre delivers a receipt until we say that we have it. We say so when the engine has said
that it is committed, and ask for it later when the engine does not, or when too many wait: what is
not told yet stays with the message centre, and nothing of it with us.
"""

from __future__ import annotations

import asyncio
import re
import time
import uuid
from datetime import UTC, datetime
from typing import Final

import httpx
import msgspec
import structlog

from wayfare_engine.channels.contract import State
from wayfare_engine.channels.plugins.signing import signatures
from wayfare_engine.channels.plugins.smpp_pdu import (
    LATER,
    MESSAGE_STATE,
    OK,
    QUEUE_FULL,
    RECEIPTED_MESSAGE_ID,
    Delivered,
    Pdu,
    delivered,
)

log = structlog.get_logger(__name__)

#: Receipts that wait at one moment; those in one call; how long one is tried, in seconds, which is
#: less than message centres wait for our answer.
_MOST, _MOST_IN_CALL, _TRIED = 1000, 500, 5.0
_PAUSE = 0.2
#: States of message_state, and of `stat:` in a receipt's text (specification 3.4, section 5.2.28
#: and appendix B). What is unknown is no state.
_BY_CODE: Final[dict[int, State]] = {
    1: "sent",
    2: "delivered",
    3: "expired",
    4: "failed",
    5: "failed",
    6: "accepted",
    8: "failed",
}
_BY_TEXT: Final[dict[str, State]] = {
    "ENROUTE": "sent",
    "DELIVRD": "delivered",
    "EXPIRED": "expired",
    "DELETED": "failed",
    "UNDELIV": "failed",
    "ACCEPTD": "accepted",
    "REJECTD": "failed",
}
STATES: Final[tuple[State, ...]] = ("accepted", "sent", "delivered", "failed", "expired")
_ID = re.compile(r"(?:^|\s)id:(\S{1,65})", re.ASCII | re.IGNORECASE)
_STAT = re.compile(r"(?:^|\s)stat:([A-Z]{7})", re.ASCII | re.IGNORECASE)
_ERR = re.compile(r"(?:^|\s)err:([0-9A-Za-z]{1,10})", re.ASCII | re.IGNORECASE)


class Told(msgspec.Struct, frozen=True, omit_defaults=True):
    """A receipt as the engine takes it."""

    provider_id: str
    state: State
    at: datetime
    detail: str = ""


def read(found: Delivered, now: datetime) -> Told | None:
    """What a receipt says; None when it names no message or no state. The time is ours: a message
    centre's has no zone."""
    text = found.text.decode("latin-1")
    named, stated, failed = _ID.search(text), _STAT.search(text), _ERR.search(text)
    tlv = found.tlvs.get(RECEIPTED_MESSAGE_ID, b"").rstrip(b"\0").decode("latin-1")
    name = tlv or (named.group(1) if named else "")
    code = found.tlvs.get(MESSAGE_STATE, b"")
    state = _BY_CODE.get(code[0]) if code else None
    if state is None and stated:
        state = _BY_TEXT.get(stated.group(1).upper())
    if not name or state is None:
        return None
    error = failed.group(1) if failed else ""
    return Told(name, state, now, f"err:{error}" if error.strip("0") else "")


class Teller:
    """Takes what is delivered, and tells the engine of receipts, those that wait in one call."""

    def __init__(self, url: str | None, key: bytes | None) -> None:
        self._url, self._key = url, key
        self._waiting: list[tuple[Told, asyncio.Future[bool]]] = []
        self._telling: asyncio.Task[None] | None = None
        self._http = httpx.AsyncClient(timeout=_TRIED, trust_env=False)

    async def take(self, came: Pdu) -> int:
        """The status with which to answer a deliver_sm."""
        try:
            found = delivered(came.raw)
        except ValueError:
            log.warning("sms.unreadable_delivery")
            return OK
        told = read(found, datetime.now(UTC)) if found.receipt else None
        if told is None or self._url is None:
            # A phone's text, or what would say no more the next time.
            return OK
        if len(self._waiting) >= _MOST:
            return QUEUE_FULL
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append((told, done))
        if self._telling is None or self._telling.done():
            self._telling = asyncio.create_task(self._tell(self._url))
        try:
            async with asyncio.timeout(_TRIED):
                return OK if await done else LATER
        except TimeoutError:
            return LATER

    async def end(self) -> None:
        """Tell no more; what waits stays with the message centre."""
        if self._telling is not None:
            self._telling.cancel()
        await self._http.aclose()

    async def _tell(self, url: str) -> None:
        while self._waiting:
            # Those whose time is over were given back to the message centre.
            self._waiting = [one for one in self._waiting if not one[1].done()]
            some = self._waiting[:_MOST_IN_CALL]
            if some and await self._told(url, [told for told, _ in some]):
                self._waiting = self._waiting[len(some) :]
                for _, done in some:
                    if not done.done():
                        done.set_result(True)
            elif some:
                await asyncio.sleep(_PAUSE)

    async def _told(self, url: str, receipts: list[Told]) -> bool:
        body = msgspec.json.encode(receipts)
        name, at = uuid.uuid4().hex, int(time.time())
        headers = {
            "content-type": "application/json",
            "webhook-id": name,
            "webhook-timestamp": str(at),
            "webhook-signature": signatures([self._key or b""], name, at, body),
        }
        try:
            answer = await self._http.post(url, content=body, headers=headers)
        except httpx.HTTPError as error:
            log.warning("sms.receipts_not_told", error=type(error).__name__)
            return False
        if not answer.is_success:
            log.warning("sms.receipts_not_told", status=answer.status_code)
        return answer.is_success
