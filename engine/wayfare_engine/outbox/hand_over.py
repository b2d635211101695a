"""The step that cannot be taken back: a check of the right to act, and then the call.

Between check and start lie a scheduler and a network, so both ends bound them. The host's own
clock is read *before* the check, and the host refuses to start later than `window` after that
reading: hence no start is later than H after a check that held, whatever pauses lie between.
(Model: `check` and `send` are separate steps.)
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from wayfare_engine.crashpoints import crash_point
from wayfare_engine.outbox.channel import (
    Answer,
    Channel,
    HandOver,
    HostUnreachable,
    Result,
    Send,
)

_before = crash_point("outbox.hand_over.before", "the guard held; nothing has left")
_after = crash_point("outbox.hand_over.after", "the host has answered; no outcome is written")


class MaySend(Protocol):
    """The guard of `lease`: the seconds that the right to act still lasts; 0.0 when it is over."""

    def may_send(self) -> float: ...


class Held(Exception):
    """It did not leave, and that is certain; the text says why."""


def hand_over(
    channel: Channel,
    send: Send,
    *,
    site: str,
    epoch: int,
    guard: MaySend,
    window: float,
    session_alive_at: Callable[[], float],
    boottime: Callable[[], float],
    clock: Callable[[], datetime],
) -> Answer:
    """Hand one send over, once, or twice when the host had only read our time as too late.

    `window` is H in seconds. `session_alive_at` says when the database session that claims this
    send was last known to live (CLOCK_BOOTTIME seconds): nothing starts later than H after that,
    because from then on another worker may hold the claim. `clock` is the wall clock, which only
    expiry and a provider's window are compared with. Raises Held.
    """
    # The wait for the store may have been long.
    if any(end is not None and clock() >= end for end in (send.expires, send.known_until)):
        raise Held("its time was over before it could leave")
    answer = Answer(Result.LATE, "")
    for _ in range(2):
        now = boottime()
        try:
            # Half the window is left for the way there, even with the oldest reading taken.
            reading = channel.host.reading(now - window / 2)
        except HostUnreachable as error:
            return Answer(Result.NOT_ACCEPTED, f"the host's clock: {error}")
        remaining = min(window, session_alive_at() + window - reading.received_at)
        if remaining <= 0:
            raise Held("the database session was not seen alive in time")
        if guard.may_send() <= 0:
            raise Held("the right to act is not held")
        # model: HAND_OVER
        _before()
        answer = channel.host.hand_over(HandOver(send, site, epoch, reading, remaining))
        _after()
        if answer.result is not Result.LATE:
            return answer
    return Answer(Result.NOT_ACCEPTED, answer.detail)
