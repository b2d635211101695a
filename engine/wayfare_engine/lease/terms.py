"""The times that the lease rests on, and the arithmetic of the wait. Seconds everywhere."""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

#: Seconds on CLOCK_BOOTTIME: goes on through suspend, and no one can set it.
boottime = partial(time.clock_gettime, time.CLOCK_BOOTTIME)


class Takeover(StrEnum):
    """What lets another site take over: an unrenewed lease, or only a person's statement."""

    LEASE = "Lease"
    STATEMENT = "Statement"


def wait_seconds(ttl: float, clock_error: float, hand_over: float) -> float:
    """How long a taker waits after its lease object was created: TTL·(1+ρ)/(1−ρ) + H."""
    return ttl * (1 + clock_error) / (1 - clock_error) + hand_over


@dataclass(frozen=True)
class Terms:
    """TTL, ρ (largest relative error of a clock's rate) and H, the same at both sites."""

    ttl: float = 30.0
    clock_error: float = 0.001
    hand_over: float = 5.0

    @property
    def wait(self) -> float:
        """How long a taker waits."""
        return wait_seconds(self.ttl, self.clock_error, self.hand_over)

    @property
    def carried(self) -> float:
        """The most that a hand-over may carry as its remaining time: H·(1−ρ)/(1+ρ).

        A host counts it on its own clock, which may be slow, and the taker counts H on one that
        may be fast; so much less than H, both fit.
        """
        return self.hand_over * (1 - self.clock_error) / (1 + self.clock_error)

    def arithmetic(self) -> str:
        """The wait, as a sum that a person can follow."""
        ttl, error, hand_over = f"{self.ttl:g}", f"{self.clock_error:g}", f"{self.hand_over:g}"
        return (
            f"{ttl} s × (1 + {error}) / (1 − {error}) + {hand_over} s = {self.wait:.2f} s: "
            f"the other site's right to act lasts at most {ttl} s by its own clock, "
            f"clocks may run {self.clock_error:.2%} fast or slow, and a hand-over that was "
            f"allowed may start up to {hand_over} s later"
        )
