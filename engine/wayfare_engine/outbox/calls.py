"""What stands around one call of a host: the right to act, the breaker, and what its answers mean.

Everything that ends, or comes to be in doubt, is told to `under_way`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

import structlog

from wayfare_engine.crashpoints import crash_point
from wayfare_engine.guards import Refused as NotNow
from wayfare_engine.outbox.breakers import CallBreaker, report
from wayfare_engine.outbox.channel import Answer, Channel, HostUnreachable, Result, Send
from wayfare_engine.outbox.hand_over import MaySend, hand_over
from wayfare_engine.outbox.lane import Waiting
from wayfare_engine.outbox.outcome import Doubt, Ended, Ending
from wayfare_engine.outbox.preparing import prepared
from wayfare_engine.outbox.resolve import Question
from wayfare_engine.outbox.retries import Retries
from wayfare_engine.outbox.under_way import UnderWay

log = structlog.get_logger(__name__)

_asking = crash_point("outbox.in_doubt.asking", "a send is in doubt; nobody was asked yet")
_asked = crash_point("outbox.in_doubt.asked", "the provider answered; no outcome is written")
_ENDINGS: dict[Result, Ending] = {
    Result.ACCEPTED: "Accepted",
    Result.REJECTED: "Rejected",
    Result.NOT_ACCEPTED: "NotAccepted",
    Result.HELD: "Held",
}


class Calls:
    """Of one worker; see `Pipeline` for what it is given. `objection` says why nothing of a
    generation may start now. Safe to use from several threads."""

    def __init__(
        self,
        channels: Mapping[str, Channel],
        *,
        site: str,
        epoch: int,
        guard: MaySend,
        window: float,
        under_way: UnderWay,
        boottime: Callable[[], float],
        clock: Callable[[], datetime],
        session_alive_at: Callable[[], float],
        objection: Callable[[int], str | None],
        breakers: Mapping[str, CallBreaker],
        retries: Retries,
    ) -> None:
        self._channels = channels
        self._site = site
        self._epoch = epoch
        self._guard = guard
        self._window = window
        self._under_way = under_way
        self._boottime = boottime
        self._clock = clock
        self._session_alive_at = session_alive_at
        self._objection = objection
        self._breakers = breakers
        self._retries = retries

    def make(self, batch: Sequence[Waiting]) -> int:
        """Hand over sends of one channel in one call, as far as they may leave; how many did."""
        going: list[Send] = []
        for one in batch:
            if (objection := self._objection(one.generation)) is not None:
                self.end(Ended(one.send, "Held", objection))
                continue
            ready = prepared(self._channels[one.send.channel], one.send)
            if isinstance(ready, Ended):
                self.end(ready)
            else:
                going.append(ready)
        if not going:
            return 0
        try:
            answers = self._guarded(going)
        except Exception as error:  # a defect of a host's client must not lose the sends
            log.exception("outbox.hand_over", send_keys=[send.send_key for send in going])
            answers = [Answer(Result.IN_DOUBT, type(error).__name__)] * len(going)
        ended: list[Ended] = []
        offered: list[str] = []
        for send, answer in zip(going, answers, strict=True):
            if answer.result is Result.OFFERED:
                offered.append(send.send_key)
                continue
            ending = _ENDINGS.get(answer.result)
            if ending is None:
                self._under_way.doubt(Doubt(send, answer.detail), self._window)
                continue
            if ending == "Accepted":
                self._retries.accepted(send)
            ended.append(Ended(send, ending, answer.detail, answer.provider_id))
        self._under_way.leave(offered)
        self.end(*ended)
        return sum(answer.result is not Result.HELD for answer in answers)

    def hold(self, late: Sequence[Waiting], why: str) -> None:
        """They do not leave now, and have their turn again."""
        self.end(*(Ended(one.send, "Held", why) for one in late))

    def end(self, *ended: Ended) -> None:
        """Attempts that ended."""
        known = []
        for one in ended:
            if one.send.in_doubt and one.result in ("NotAccepted", "Held"):
                # Certain of this attempt, and it says nothing of the earlier one: still in doubt.
                self._under_way.doubt(Doubt(one.send, one.detail), 0.0)
            else:
                known.append(one)
        if known:
            self._under_way.end(*known)

    def ask(self, question: Question) -> None:
        """Put a question to the channel's provider."""
        send = question.send
        _asking()
        try:
            took_effect = self._channels[send.channel].host.took_effect(send.send_key, self._window)
        except HostUnreachable as error:
            if question.last:
                self._under_way.end(Ended(send, "Unknown", f"nobody answered: {error}"))
            else:
                self._under_way.doubt(Doubt(send, str(error)), 0.0)
        else:
            self._under_way.end(
                Ended(send, "Accepted", "known by asking")
                if took_effect
                else Ended(send, "NotAccepted", "known by asking")
            )
        _asked()

    def _guarded(self, sends: Sequence[Send]) -> list[Answer]:
        """The call, if the channel's breaker lets it through, which is told of each send. A probe
        is one send: the others of its batch wait for what it comes to."""
        breaker = self._breakers.get(sends[0].channel)
        if breaker is None:
            return self._call(sends)
        permit = breaker.allow()
        if isinstance(permit, NotNow):
            return [Answer(Result.HELD, f"breaker {permit.state.value}")] * len(sends)
        trying = sends[:1] if permit.probe else sends
        began = self._boottime()
        try:
            answers = self._call(trying)
        except BaseException:
            breaker.failed(permit)
            raise
        seconds = self._boottime() - began
        for answer in answers:
            report(breaker, permit, answer, seconds)
        held = Answer(Result.HELD, "breaker HalfOpen")
        return [*answers, *[held] * (len(sends) - len(trying))]

    def _call(self, sends: Sequence[Send]) -> list[Answer]:
        return hand_over(
            self._channels[sends[0].channel],
            sends,
            site=self._site,
            epoch=self._epoch,
            guard=self._guard,
            window=self._window,
            session_alive_at=self._session_alive_at,
            boottime=self._boottime,
            clock=self._clock,
        )
