"""The step that cannot be taken back: a check of the right to act, and then the call.

Between check and start lie a scheduler and a network, so both ends bound them. The host's own
clock is read *before* the check, and the host refuses to start later than `window` after that
reading: hence no start is later than H after a check that held, whatever pauses lie between.
(Model: `check` and `send` are separate steps.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

from wayfare_engine.crashpoints import crash_point
from wayfare_engine.outbox.channel import (
    Answer,
    BatchHost,
    Channel,
    HandOver,
    Host,
    HostUnreachable,
    Result,
    Send,
)

_before = crash_point("outbox.hand_over.before", "the guard held; nothing has left")
_after = crash_point("outbox.hand_over.after", "the host has answered; no outcome is written")
_LATE = Answer(Result.LATE)
_OVER = Answer(Result.HELD, "its time was over before it could leave")


class MaySend(Protocol):
    """The guard of `lease`: the seconds that the right to act still lasts; 0.0 when it is over."""

    def may_send(self) -> float: ...


def hand_over(
    channel: Channel,
    sends: Sequence[Send],
    *,
    site: str,
    epoch: int,
    guard: MaySend,
    window: float,
    session_alive_at: Callable[[], float],
    boottime: Callable[[], float],
    clock: Callable[[], datetime],
) -> list[Answer]:
    """Hand over once, in one call: an answer a send, in their order. What the host had only read
    our time as too late for is handed over a second time.

    `window` is H in seconds. `session_alive_at` says when the database session that claims the
    sends was last known to live (CLOCK_BOOTTIME seconds): nothing starts later than H after that,
    because from then on another worker may hold the claim. `clock` is the wall clock, which only
    expiry and a provider's window are compared with.
    """
    answers: dict[str, Answer] = {}
    longest = window if channel.timeout is None else min(window, channel.timeout)
    for _ in range(2):
        # What has its answer keeps it, whatever the time is by now.
        left = [send for send in sends if answers.get(send.send_key, _LATE).result is Result.LATE]
        # The wait for the store may have been long.
        at = clock()
        answers |= {send.send_key: _OVER for send in left if _is_over(send, at)}
        left = [send for send in left if not _is_over(send, at)]
        if not left:
            break
        came = _hand_over(
            channel.host,
            left,
            site=site,
            epoch=epoch,
            guard=guard,
            longest=longest,
            claimed_until=lambda: session_alive_at() + window,
            boottime=boottime,
        )
        answers |= {send.send_key: answer for send, answer in zip(left, came, strict=True)}
    return [_final(answers[send.send_key]) for send in sends]


def _hand_over(
    host: Host,
    sends: Sequence[Send],
    *,
    site: str,
    epoch: int,
    guard: MaySend,
    longest: float,
    claimed_until: Callable[[], float],
    boottime: Callable[[], float],
) -> Sequence[Answer]:
    now = boottime()
    try:
        # Half the time is left for the way there, even with the oldest reading taken.
        reading = host.reading(now - longest / 2)
    except HostUnreachable as error:
        return [Answer(Result.NOT_ACCEPTED, f"the host's clock: {error}")] * len(sends)
    remaining = min(longest, claimed_until() - reading.received_at)
    if remaining <= 0:
        held = Answer(Result.HELD, "the database session was not seen alive in time")
        return [held] * len(sends)
    if guard.may_send() <= 0:
        return [Answer(Result.HELD, "the right to act is not held")] * len(sends)
    what = [HandOver(send, site, epoch, reading, remaining) for send in sends]
    # model: HAND_OVER
    _before()
    if len(what) > 1 and isinstance(host, BatchHost):
        answers = host.hand_over_batch(what)
    else:
        answers = [host.hand_over(one) for one in what]
    _after()
    return answers


def _is_over(send: Send, at: datetime) -> bool:
    return any(end is not None and at >= end for end in (send.expires, send.known_until))


def _final(answer: Answer) -> Answer:
    if answer.result is Result.LATE:
        return Answer(Result.NOT_ACCEPTED, answer.detail)
    return answer
