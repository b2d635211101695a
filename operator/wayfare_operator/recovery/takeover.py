"""How long a failover would take now: wait + wake + restore + lag rows ÷ rate + verify.

Pure. What was never measured is unknown, and an estimate with an unknown part is unknown, with the
sum of what is known and the name of what is not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

#: The lag may take up this part of what the objective leaves for it, before an extra window opens.
BUDGET_SHARE = 0.8

#: A catch-up of fewer rows measures its start-up more than its rate.
LEAST_MEASURED_ROWS = 1000


def lease_wait(ttl: float, clock_error: float, hand_over: float) -> float:
    """Seconds that a taker waits: TTL·(1+ρ)/(1−ρ) + H. `clock_error` is a ratio, not percent."""
    return ttl * (1 + clock_error) / (1 - clock_error) + hand_over


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Seconds, rows and rows a second; None is not known."""

    ttl: float
    clock_error: float
    hand_over: float
    wake: float | None
    """0 for a site that is awake."""
    restore: float | None
    """0 for a database that has the chain up to some position."""
    lag_rows: int | None
    rate: float | None
    behind: float | None = None
    """Seconds that a site which follows is behind: what is applied as it comes needs no rate."""
    verify: float | None
    objective: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """`seconds`: None when a part is unknown; then `least` is what the known ones make.

    `budget_rows`: rows of lag that leave the estimate within the objective, None when that cannot
    be told; 0 when the other parts alone are above it.
    """

    seconds: float | None
    least: float
    arithmetic: str
    unknown: tuple[str, ...]
    budget_rows: int | None

    def meets(self, objective: float) -> Literal["True", "False", "Unknown"]:
        """Whether the objective is met. What is too long already without its unknown parts is."""
        if self.least > objective:
            return "False"
        return "Unknown" if self.seconds is None else "True"

    def over_budget(self, lag_rows: int | None) -> bool:
        """Whether the lag has reached its budget: time for an extra window."""
        if lag_rows is None or self.budget_rows is None or lag_rows == 0:
            return False
        return lag_rows >= BUDGET_SHARE * self.budget_rows


def estimate(facts: Facts) -> Estimate:
    """The estimate with its arithmetic in words."""
    wait = lease_wait(facts.ttl, facts.clock_error, facts.hand_over)
    replay, replayed = _replay(facts)
    parts: list[tuple[str, float | None, str]] = [
        (
            "wait",
            wait,
            f"wait {_s(wait)} (lease {_s(facts.ttl)} × (1 + {facts.clock_error:g}) / "
            f"(1 - {facts.clock_error:g}) + hand-over {_s(facts.hand_over)})",
        ),
        ("wake", facts.wake, f"wake {_or_unknown(facts.wake)}"),
        ("restore", facts.restore, f"restore {_or_unknown(facts.restore)}"),
        ("lag", replay, replayed),
        ("verify", facts.verify, f"verify {_or_unknown(facts.verify)}"),
    ]
    known = [seconds for _, seconds, _ in parts if seconds is not None]
    unknown = tuple(name for name, seconds, _ in parts if seconds is None)
    least = math.fsum(known)
    total = None if unknown else least
    sentence = " + ".join(words for *_, words in parts)
    if total is not None:
        sentence += f" = {_s(total)}"
    else:
        sentence += f" = unknown, at least {_s(least)}"
    return Estimate(
        seconds=total,
        least=least,
        arithmetic=f"{sentence}; objective {_s(facts.objective)}",
        unknown=unknown,
        budget_rows=_budget(facts, wait),
    )


def _replay(facts: Facts) -> tuple[float | None, str]:
    rows, rate = facts.lag_rows, facts.rate
    if rows == 0:
        return 0.0, "lag 0 rows"
    if rows is None:
        return None, "lag unknown"
    if not rate and facts.behind is not None:
        return facts.behind, f"lag {rows:,} rows, applied as they come, {_s(facts.behind)} behind"
    if not rate:
        return None, f"lag {rows:,} rows ÷ unknown rate"
    seconds = rows / rate
    return seconds, f"lag {rows:,} rows ÷ {rate:,.0f} rows/s = {_s(seconds)}"


def _budget(facts: Facts, wait: float) -> int | None:
    if facts.rate is None or None in (facts.wake, facts.restore, facts.verify):
        return None
    assert facts.wake is not None
    assert facts.restore is not None
    assert facts.verify is not None
    left = facts.objective - wait - facts.wake - facts.restore - facts.verify
    return max(0, math.floor(left * facts.rate))


def _s(seconds: float) -> str:
    return f"{seconds:,.1f} s" if seconds < 1000 else f"{seconds:,.0f} s"


def _or_unknown(seconds: float | None) -> str:
    return "unknown" if seconds is None else _s(seconds)
