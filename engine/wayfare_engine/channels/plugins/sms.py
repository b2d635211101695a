"""`sms`: each send is one text to one number, over SMPP 3.4.

What is certain rests on one fact: whether a request was about to be written. Before that nothing
took effect; after it only the message centre's response can say. The session is ours and not the
library's, which does not tell the two apart; see docs/decisions/an-smpp-session-of-our-own.md.
"""

from __future__ import annotations

import asyncio
import itertools
import secrets
from dataclasses import dataclass, field
from typing import ClassVar, Final, Self

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
from wayfare_engine.channels.plugin import (
    ChannelPlugin,
    InDoubt,
    NotAccepted,
    Rejected,
    Settings,
)
from wayfare_engine.channels.plugins.smpp_link import Link, NoBind
from wayfare_engine.channels.plugins.smpp_pdu import OK, Pdu, submit
from wayfare_engine.channels.plugins.smpp_session import Lost, Session
from wayfare_engine.channels.plugins.sms_config import NUMBER, Opened, opened
from wayfare_engine.channels.plugins.sms_receipts import STATES, Teller
from wayfare_engine.channels.plugins.sms_text import GSM, Encoded, encoded

#: Of the time that is left: we must end before the host cancels us, to say what is certain.
_SHARE = 0.95
#: Statuses that refuse this text or this number for good (specification 3.4, section 5.1.3): its
#: length, its destination, its options, the application's permanent refusals, delivery failure.
_FOR_GOOD: Final = frozenset(
    {0x01, 0x0B, 0x43, 0x50, 0x51, 0x65, 0x66, 0xC0, 0xC1, 0xC2, 0xC3, 0xC4, 0xFE}
)
#: Statuses with which a message centre says that it does not know itself: system error, unknown.
_UNSURE: Final = frozenset({0x08, 0xFF})


@dataclass
class _UnderWay:
    """A text on its way. `written`: the request for the next of its bodies was about to leave."""

    number: str
    text: Encoded
    bodies: list[bytes]
    accepted: list[str] = field(default_factory=list)
    written: bool = False


class Sms(ChannelPlugin):
    """Texts over one bind that is kept."""

    name: ClassVar[str] = "sms"
    #: submit_sm has no key that a message centre would remember.
    dedupe: ClassVar[Key | Query | NoDedupe] = NoDedupe()
    receipt_states: ClassVar[tuple[State, ...]] = STATES
    permanent_errors: ClassVar[tuple[str, ...]] = (
        "the number is none:",
        "the payload is no text:",
        "the message centre refused it: status",
    )

    def __init__(self, opened: Opened) -> None:
        self._it = opened
        self._teller: Teller | None = None
        self._link: Link | None = None
        #: Phones put parts together by it: those of two hosts should seldom be the same.
        self._references = itertools.count(secrets.randbelow(256))

    @classmethod
    def open(cls, settings: Settings) -> Self:
        """See `ChannelPlugin.open`."""
        return cls(opened(settings))

    async def begin(self) -> None:
        """Bind, so that receipts come before the first send, too."""
        self._bind().begin()

    async def send(self, what: HandOver) -> Answer:
        """Submit it once. Raises Rejected, NotAccepted, InDoubt."""
        seconds = min(self._it.config.timeout, what.remaining * _SHARE)
        number, text = _number(what), self._text(what)
        under_way = _UnderWay(number, text, self._bodies(text))
        try:
            async with asyncio.timeout(seconds):
                session = await self._bind().session()
                for body in under_way.bodies:
                    await self._submit(session, under_way, body)
        except (NoBind, Lost, TimeoutError, Rejected, NotAccepted, InDoubt) as error:
            raise self._meaning(error, under_way) from None
        return Answer(result="Accepted", provider_id=under_way.accepted[-1][:256] or None)

    async def receipts(self, callback: Callback) -> list[Receipt]:
        """None come this way."""
        raise ValueError("receipts of this channel come over its bind")

    async def preview(self, what: HandOver) -> Rendered:
        """The text, and in how many messages it goes out."""
        try:
            text = self._text(what)
            count = len(self._bodies(text))
        except Rejected as error:
            return Rendered(parts={"problem": str(error)})
        alphabet = "GSM" if text.coding == GSM else "UCS-2"
        shown = str(what.payload["text"])
        return Rendered(parts={"text": shown, "alphabet": alphabet, "messages": str(count)})

    async def check(self) -> Check:
        """Whether there is a bind."""
        try:
            async with asyncio.timeout(self._it.config.timeout):
                await self._bind().session()
        except NoBind as error:
            return Check(ok=False, problem=str(error))
        except TimeoutError:
            return Check(ok=False, problem=f"{self._it.place}: no bind in time")
        return Check(ok=True)

    async def close(self) -> None:
        """Unbind."""
        if self._link is not None and self._teller is not None:
            await self._link.end()
            await self._teller.end()

    def _bind(self) -> Link:
        if self._link is None:
            self._teller = Teller(self._it.config.receipts_url, self._it.receipts_key)
            self._link = Link(self._it, self._teller.take)
        return self._link

    def _text(self, what: HandOver) -> Encoded:
        given = what.payload.get("text")
        if not isinstance(given, str) or not given:
            raise Rejected("the payload is no text: it has no part text")
        try:
            return encoded(given)
        except ValueError:
            raise Rejected("the payload is no text: it has characters that no text has") from None

    def _bodies(self, text: Encoded) -> list[bytes]:
        if text.fits:
            return [text.whole]
        bodies = text.parts(next(self._references) % 256)
        if len(bodies) > self._it.config.parts:
            raise Rejected(
                f"the payload is no text: it is too long for {self._it.config.parts} parts"
            )
        return bodies if self._it.config.long == "udh" else [text.whole]

    async def _submit(self, session: Session, it: _UnderWay, body: bytes) -> None:
        """One of its messages. Raises Lost, Rejected, NotAccepted, InDoubt."""
        it.written = False
        parts = len(it.bodies) > 1

        def make(sequence: int) -> bytes:
            it.written = True
            return submit(
                sequence,
                self._it.sender,
                it.number,
                body,
                coding=it.text.coding,
                headed=parts,
                receipt=body is it.bodies[-1] and self._it.config.receipts_url is not None,
                payload=not parts and not it.text.fits,
            )

        answer = await session.submit(make)
        self._require(answer)
        it.accepted.append(answer.text)

    def _require(self, answer: Pdu) -> None:
        """Return when it was accepted. Raises Rejected, NotAccepted, InDoubt."""
        status, config = answer.status, self._it.config
        if status == OK:
            return
        said = f"status 0x{status:08X}"
        if status in config.rejected or (status in _FOR_GOOD and status not in config.not_accepted):
            raise Rejected(f"the message centre refused it: {said}")
        if status in _UNSURE and status not in config.not_accepted:
            raise InDoubt(f"the message centre does not say what became of it: {said}")
        raise NotAccepted(f"the message centre takes no more for now: {said}")

    def _meaning(self, error: Exception, it: _UnderWay) -> Exception:
        """What an error means for the whole text."""
        place = self._it.place
        if it.accepted:
            of = len(it.bodies)
            return InDoubt(f"{len(it.accepted)} of its {of} parts were accepted, and no more")
        if isinstance(error, Rejected | NotAccepted | InDoubt):
            return error
        if isinstance(error, NoBind):
            return NotAccepted(str(error))
        if it.written:
            return InDoubt(f"{place} was sent it and did not answer: {type(error).__name__}")
        return NotAccepted(f"{place}: not sent: {type(error).__name__}")


def _number(what: HandOver) -> str:
    """The digits of an E.164 number. Raises Rejected."""
    if not NUMBER.fullmatch(what.address or ""):
        raise Rejected("the number is none: it is a + and 7 to 15 digits")
    return (what.address or "")[1:]
