"""One plugin behind the contract: what starts, for how long, and what its answers mean.

Nothing here speaks HTTP; see `host_app`. What a plugin raises is told by its class and the place
it came from, and never by its text, which may hold an address, a payload or a secret.
"""

from __future__ import annotations

import traceback
from collections.abc import Collection, Coroutine, Sequence
from typing import Any, TypeVar

import msgspec
import structlog

from wayfare_engine.channels.clock import HostClock
from wayfare_engine.channels.contract import (
    STATUS,
    Answer,
    Callback,
    Check,
    HandOver,
    Query,
    Receipt,
    Rendered,
    Result,
)
from wayfare_engine.channels.failures import Failed, NotOffered
from wayfare_engine.channels.plugin import ChannelPlugin, InDoubt, NotAccepted, Rejected
from wayfare_engine.channels.redaction import Redaction
from wayfare_engine.channels.slots import Full, OutOfTime, Slots

log = structlog.get_logger(__name__)

T = TypeVar("T")
_LONGEST_TEXT = 1024
LATE = Answer(result="Late", detail="its time was over, by this host's clock, before it started")
FULL = Answer(result="NotAccepted", detail="the host is full")
ENDING = Answer(result="NotAccepted", detail="the host is ending")


class Host:
    """A plugin, `concurrency` calls at a time. `clock.longest` bounds every call. `secrets` are
    kept out of what is said."""

    def __init__(
        self,
        plugin: ChannelPlugin,
        *,
        clock: HostClock,
        concurrency: int,
        secrets: Collection[str] = (),
    ) -> None:
        self.plugin = plugin
        self._redaction = Redaction(secrets)
        self.clock = clock
        self.ending = False
        self._sends = Slots(concurrency)
        self._questions = Slots(concurrency)

    async def send(self, what: HandOver) -> Answer:
        """One send. Raises Failed when it is in doubt."""
        left = self._left(what)
        if left <= 0:
            return LATE
        if self.ending:
            return ENDING

        async def start() -> Answer:
            # Asked again: this process may have been stopped since.
            left_now = self._left(what)
            if left_now <= 0:
                return LATE
            return await self.plugin.send(msgspec.structs.replace(what, remaining=left_now))

        try:
            answer = await self._run(
                self._sends, start(), left, "send", through=(Full, Rejected, NotAccepted), of=what
            )
        except Full:
            return FULL
        except (Rejected, NotAccepted) as error:
            return self._meaning(error, what)
        return self._answer(answer, "send", what)

    async def send_batch(self, sends: Sequence[HandOver]) -> list[Answer | None]:
        """Several, in one call of the plugin, which has the time of the one that has least. None
        where a send is in doubt. Raises NotOffered."""
        if self.plugin.batch_size == 1:
            raise NotOffered("this channel takes no batches")
        first = self._in_time(sends)
        answers: list[Answer | None] = [LATE] * len(sends)
        if self.ending or not first:
            for place in first:
                answers[place] = ENDING
            return answers
        started: list[int] = []

        async def start() -> list[Answer | Exception]:
            given = self._in_time(sends)
            started.extend(given)
            return await self.plugin.send_batch(list(given.values())) if given else []

        least = min(what.remaining for what in first.values())
        try:
            came = await self._run(self._sends, start(), least, "send_batch", through=(Full,))
            if len(came) != len(started):
                raise self._wrong("send_batch", f"{len(came)} answers to {len(started)} sends")
        except Full:
            came, started = [FULL] * len(first), list(first)
        except Failed:
            came = [Exception()] * len(started)
        for place, one in zip(started, came, strict=True):
            answers[place] = self._one_of_batch(one, sends[place])
        return answers

    async def query(self, send_key: str) -> bool:
        """Whether a key took effect. Raises NotOffered, Failed."""
        if not isinstance(self.plugin.dedupe, Query):
            raise NotOffered("this channel cannot be asked about a key")
        return self._of(bool, await self._ask(self.plugin.query(send_key), "query"), "query")

    async def receipts(self, callback: Callback) -> list[Receipt]:
        """What a provider's call says. Raises NotOffered, Failed (400: not the provider's)."""
        if not self.plugin.receipt_states:
            raise NotOffered("this channel takes no receipts")
        strange = (ValueError, msgspec.MsgspecError)
        try:
            found = await self._ask(self.plugin.receipts(callback), "receipts", strange)
        except strange:
            raise Failed(400, "this is no call of the provider") from None
        return [self._of(Receipt, one, "receipts") for one in self._of(list, found, "receipts")]

    async def preview(self, what: HandOver) -> Rendered:
        """What the customer would see. Raises Failed."""
        return self._of(Rendered, await self._ask(self.plugin.preview(what), "preview"), "preview")

    async def check(self) -> Check:
        """Whether the provider is there. Raises Failed when the plugin cannot say."""
        try:
            found = self._of(Check, await self._ask(self.plugin.check(), "check"), "check")
            return msgspec.structs.replace(found, problem=self._said(found.problem, None))
        except Failed as error:
            if error.status != 504:
                raise
            return Check(ok=False, problem=f"no answer within {self.clock.longest:g} s")

    async def end(self, seconds: float) -> bool:
        """Take no more sends, wait for those under way; whether all ended within `seconds`."""
        self.ending = True
        return await self._sends.empty(seconds)

    @property
    def under_way(self) -> int:
        """How many calls of the plugin have not ended."""
        return len(self._sends) + len(self._questions)

    def _left(self, what: HandOver) -> float:
        return self.clock.left(what.clock, what.remaining)

    def _in_time(self, sends: Sequence[HandOver]) -> dict[int, HandOver]:
        """Those that may still start, by their place, with what they have left."""
        lefts = ((place, what, self._left(what)) for place, what in enumerate(sends))
        return {
            place: msgspec.structs.replace(what, remaining=left)
            for place, what, left in lefts
            if left > 0
        }

    async def _ask(
        self, call: Coroutine[Any, Any, T], what: str, through: tuple[type[Exception], ...] = ()
    ) -> T:
        try:
            return await self._run(
                self._questions, call, self.clock.longest, what, through=(Full, *through)
            )
        except Full:
            raise Failed(503, "the host is full") from None

    async def _run(
        self,
        slots: Slots,
        call: Coroutine[Any, Any, T],
        seconds: float,
        what: str,
        *,
        through: tuple[type[Exception], ...],
        of: HandOver | None = None,
    ) -> T:
        """The call's value. What it raises is logged and is Failed, unless it is in `through`. `of`
        is the send that it is about."""
        try:
            return await slots.run(call, seconds)
        except through:
            raise
        except OutOfTime:
            log.warning("channel.out_of_time", call=what, plugin=self.plugin.name)
            raise Failed(504, "the plugin had not ended when its time was over") from None
        except InDoubt as error:
            log.warning("channel.in_doubt", call=what, plugin=self.plugin.name)
            raise Failed(500, self._said(str(error), of)) from None
        except Exception as error:
            frames = traceback.extract_tb(error.__traceback__)[-5:]
            log.error(
                "channel.failed",
                call=what,
                plugin=self.plugin.name,
                error=type(error).__name__,
                at=[f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames],
            )
            raise Failed(500, f"the plugin failed: {type(error).__name__}") from None

    def _answer(self, answer: object, call: str, what: HandOver) -> Answer:
        """A plugin's answer, within the contract's limits. Raises Failed."""
        if not isinstance(answer, Answer) or answer.result not in STATUS:
            raise self._wrong(call, "no Answer of the contract")
        if answer.provider_id is not None and len(answer.provider_id) > _LONGEST_TEXT:
            # Half a name is nobody's.
            raise self._wrong(call, "a provider_id that is too long")
        return msgspec.structs.replace(answer, detail=self._said(answer.detail, what))

    def _one_of_batch(self, one: object, what: HandOver) -> Answer | None:
        if isinstance(one, Rejected | NotAccepted):
            return self._meaning(one, what)
        if isinstance(one, Exception):
            name = type(one).__name__
            log.error("channel.failed", call="send_batch", plugin=self.plugin.name, error=name)
            return None
        try:
            return self._answer(one, "send_batch", what)
        except Failed:
            return None

    def _of(self, kind: type[T], found: object, call: str) -> T:
        """What a plugin returned, if it is of this kind. Raises Failed."""
        if not isinstance(found, kind):
            raise self._wrong(call, f"a {type(found).__name__} instead of a {kind.__name__}")
        return found

    def _wrong(self, call: str, why: str) -> Failed:
        log.error("channel.wrong_answer", call=call, plugin=self.plugin.name, why=why)
        return Failed(500, f"the plugin's answer to {call} is wrong: {why}")

    def _meaning(self, error: Rejected | NotAccepted, what: HandOver) -> Answer:
        result: Result = "Rejected" if isinstance(error, Rejected) else "NotAccepted"
        return Answer(result=result, detail=self._said(str(error), what))

    def _said(self, text: str, what: HandOver | None) -> str:
        return self._redaction.text(text, what)[:_LONGEST_TEXT]
