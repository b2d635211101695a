"""The breaker's script in Valkey, called with our types. See `shared_breaker.lua` for its words."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from wayfare_engine.guards.breaker_limits import BreakerLimits
from wayfare_engine.guards.states import Counts, Outcome, State

_SCRIPT = files("wayfare_engine.guards").joinpath("shared_breaker.lua").read_text("utf-8")
_MICRO = 1_000_000

#: What a call raises while Valkey is away, or cannot do what it is asked.
Away = (RedisError, OSError)


def bounded_client(url: str, *, seconds: float = 0.25) -> Redis:
    """A client of Valkey that waits for an answer at most so long, and asks once only."""
    return Redis.from_url(
        url,
        socket_connect_timeout=seconds,
        socket_timeout=seconds,
        health_check_interval=0,
        retry=Retry(NoBackoff(), 0),
    )


@dataclass(frozen=True, slots=True)
class Shared:
    """The state that all workers share. `left`: seconds that it stays open. `granted`: the token
    that was sent is the probe. `life` is another one after each change."""

    state: State
    life: str
    left: float
    why: str
    granted: bool


class BreakerScript:
    """Calls for one channel. Each raises one of `Away` when no answer came."""

    def __init__(self, client: Redis, name: str, limits: BreakerLimits) -> None:
        self._key = f"wayfare:breaker:{name}"
        self._limits = json.dumps(_in_microseconds(limits))
        # It is loaded again by itself after a restart of Valkey.
        self._script = client.register_script(_SCRIPT)

    def sync(self, life: str, counts: Counts, open_seconds: float | None) -> Shared:
        """Add `counts` of `life`; `open_seconds`: for how long it is open at a worker that went on
        alone, None: it is closed."""
        left = -1 if open_seconds is None else round(open_seconds * _MICRO)
        return self._call("sync", life, counts.calls, counts.failures, counts.slow, left)

    def ask(self, token: str) -> Shared:
        """Ask for the probe in the name of `token`."""
        return self._call("ask", token)

    def ended(self, token: str, outcome: Outcome | None) -> Shared:
        """The probe came to this; None: it was not made."""
        return self._call("ended", token, "None" if outcome is None else outcome.value)

    def _call(self, operation: str, *arguments: str | int) -> Shared:
        answer: Any = self._script(keys=[self._key], args=[operation, self._limits, *arguments])
        state, life, left, why = (
            part.decode() if isinstance(part, bytes) else part for part in answer[:4]
        )
        return Shared(State(state), life, int(left) / _MICRO, why, bool(answer[4]))


def _in_microseconds(limits: BreakerLimits) -> dict[str, float]:
    found = {
        "minimum_calls": limits.minimum_calls,
        "failure_percent": limits.failure_percent,
        "slow_percent": limits.slow_percent,
        "trial_calls": limits.trial_calls,
        "buckets": limits.buckets,
        "open_growth": limits.open_growth,
        "open_for": round(limits.open_for * _MICRO),
        "longest_open": round(limits.longest_open * _MICRO),
        "probe_lease": round(limits.probe_lease * _MICRO),
        "slice": max(1, round(limits.slice * _MICRO)),
        # Milliseconds: longer than anything that may still matter.
        "keep": round((limits.window + limits.longest_open + limits.probe_lease + 60) * 1000),
    }
    if limits.slow_after is not None:
        found["slow_after"] = limits.slow_after
    return found
