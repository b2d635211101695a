"""A channel's breaker, asked twice: when a send's turn comes, so that nothing is dispatched into an
open one, and again just before the hand-over.

Not to call is a definite non-acceptance: what waits goes on through the fallback, if there is one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol

from psycopg import Connection

from wayfare_engine.guards import Permit, State
from wayfare_engine.guards import Refused as NotNow
from wayfare_engine.outbox.channel import Answer, Channel, Result, Send
from wayfare_engine.outbox.checks import Check, Elsewhere, Later, Verdicts

#: What others are told while one send tries.
PROBING = NotNow("", State.HALF_OPEN, 0.1)
#: An opening without an end (by hand) is looked at again after this, in seconds.
_LOOK_AGAIN = 30.0


class CallBreaker(Protocol):
    """What is asked of a breaker: `guards.Breaker`, or the one that workers share."""

    def allow(self) -> Permit | NotNow: ...

    def succeeded(self, permit: Permit, seconds: float) -> None: ...

    def failed(self, permit: Permit) -> None: ...

    def give_back(self, permit: Permit) -> None: ...


def breaker_check(channels: Mapping[str, Channel], breakers: Mapping[str, CallBreaker]) -> Check:
    """Sends of a channel whose breaker is open wait, or go on through its fallback. Half open, one
    send at a time has its turn."""

    def check(connection: Connection[Any], sends: Sequence[Send], now: datetime) -> Verdicts:
        verdicts: dict[str, Later | Elsewhere] = {}
        asked: dict[str, NotNow | None] = {}
        for send in sends:
            breaker = breakers.get(send.channel)
            if breaker is None:
                continue
            if send.channel not in asked:
                asked[send.channel], probe = _ask(breaker)
                if probe:
                    continue  # this one; the others wait for what it comes to
            objection = asked[send.channel]
            if objection is not None:
                verdicts[send.send_key] = _verdict(send, channels[send.channel], objection, now)
        return verdicts

    return check


def report(breaker: CallBreaker, permit: Permit, answer: Answer, seconds: float) -> None:
    """What a hand-over came to. A rejection is the recipient's, not the channel's."""
    if answer.result is Result.HELD:
        breaker.give_back(permit)
    elif answer.result in (Result.ACCEPTED, Result.REJECTED, Result.OFFERED):
        breaker.succeeded(permit, seconds)
    else:
        breaker.failed(permit)


def _ask(breaker: CallBreaker) -> tuple[NotNow | None, bool]:
    """Why others have to wait, if they have to; and whether one may try."""
    permit = breaker.allow()
    if isinstance(permit, NotNow):
        return permit, False
    if not permit.probe:
        return None, False
    # The hand-over asks for itself: there is the store's answer to wait for until then.
    breaker.give_back(permit)
    return PROBING, True


def _verdict(send: Send, channel: Channel, why: NotNow, now: datetime) -> Later | Elsewhere:
    said = f"breaker {why.state.value}"
    if channel.fallback is not None and not send.in_doubt:
        return Elsewhere(said)
    seconds = why.again if math.isfinite(why.again) else _LOOK_AGAIN
    return Later(now + timedelta(seconds=seconds), said, by_rule=False)
