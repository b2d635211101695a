"""Tries after the first one: how long to wait before each, how many, and how many of all sends.

A retry is a new dispatch after a hold that PostgreSQL keeps, so it survives the worker. What a hold
is not: a fact. A site that takes over counts its own tries.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from random import Random

from wayfare_engine.guards import FullJitter, RetryBudget
from wayfare_engine.outbox.channel import Channel, Retry, Send


class Retries:
    """Of one worker. `clock` gives seconds that only grow. Raises BadLimit for a channel's retry
    that cannot work. Safe to use from several threads."""

    def __init__(
        self, channels: Mapping[str, Channel], *, clock: Callable[[], float], random: Random
    ) -> None:
        self._retry = {name: channel.retry for name, channel in channels.items()}
        self._jitter = {name: _jitter(retry, random) for name, retry in self._retry.items()}
        self._budgets = {
            name: RetryBudget(clock=clock, ratio=retry.budget)
            for name, retry in self._retry.items()
            if retry.budget is not None
        }

    def pause(self, send: Send, number: int) -> float:
        """Seconds to wait after try number `number` (from 1) of its channel."""
        return _pause(self._jitter[send.channel], self._retry[send.channel], number)

    def spent(self) -> list[str]:
        """The channels that have no retry left for now; what waits is not looked at meanwhile."""
        return [name for name, budget in self._budgets.items() if not budget.left()]

    def admitted(self, sends: Sequence[Send]) -> list[Send]:
        """Those that may be dispatched now; counts them. A repeat of what is in doubt is no retry:
        the provider's window decides about it."""
        found = []
        for send in sends:
            budget = self._budgets.get(send.channel)
            if budget is None or send.in_doubt:
                found.append(send)
            elif not send.tries:
                budget.called()
                found.append(send)
            elif budget.may_retry():
                found.append(send)
        return found

    def accepted(self, send: Send) -> None:
        """Its channel took it."""
        budget = self._budgets.get(send.channel)
        if budget is not None and send.tries:
            budget.accepted()


def pause_after(retry: Retry, number: int, random: Random) -> float:
    """Seconds to wait after try number `number` (from 1), without a worker's `Retries`."""
    return _pause(_jitter(retry, random), retry, number)


def too_many(send: Send, retry: Retry) -> bool:
    """Whether a try of `send` that was not taken was the last one."""
    return retry.attempts is not None and send.tries + 1 >= retry.attempts


def _pause(jitter: FullJitter, retry: Retry, number: int) -> float:
    longest = jitter.ceiling(number)
    return longest - retry.jitter * (longest - jitter.pause_after(number))


def _jitter(retry: Retry, random: Random) -> FullJitter:
    return FullJitter(
        first=retry.pause,
        longest=max(retry.pause, retry.longest_pause),
        multiplier=retry.multiplier,
        random=random,
    )
