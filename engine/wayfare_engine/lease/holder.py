"""Holding an epoch: each process checks for itself, with its own clock and its own store client.

A check proves two things by strongly consistent reads: our own lease object is there (so this is
the right store, and reading works), and the next epoch's is not. Only then may this process act,
until *start of the check* + TTL on CLOCK_BOOTTIME. A check whose answer does not come proves
nothing.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

import structlog

from wayfare_engine.errors import SaidToPeople
from wayfare_engine.lease.epochs import Lease, read, read_acting
from wayfare_engine.lease.guard import Guard
from wayfare_engine.lease.problems import LeaseLost
from wayfare_engine.lease.terms import Takeover, Terms
from wayfare_engine.lease.terms import boottime as real_boottime
from wayfare_engine.objectstore import ObjectStore, StoreProblem, open_store

log = structlog.get_logger(__name__)


class Standing(StrEnum):
    """What the last check found."""

    UNCHECKED = "Unchecked"
    HELD = "Held"
    WAITING = "Waiting"  # ours, and the wait after taking it is not over
    NOT_OURS = "NotOurs"  # another site's, or taken by nobody
    OVER = "Over"  # a higher epoch exists: never again
    UNKNOWN = "Unknown"  # no answer that proves anything


@dataclass(frozen=True)
class Checked:
    """`began` is on CLOCK_BOOTTIME; `detail` is for people."""

    standing: Standing
    began: float
    detail: str = ""


def open_lease_store(
    url: str, *, ttl: float, options: Mapping[str, str] | None = None
) -> ObjectStore:
    """The client for lease objects: no retries, and no call longer than a quarter of the TTL."""
    return open_store(url, options=options, timeout_seconds=ttl / 4, retries=0)


class Holder:
    """One process's hold on one epoch. `guard` is what its hand-overs ask.

    `ttl` and `hand_over` in seconds, `clock_error` relative; `boottime` is a clock that goes on
    through suspend. Under `takeover: Statement` a store that gives no answer does not lapse the
    holder; `remembered` says that this site's database knows the epoch as acting, for a process
    that starts while the store is away.
    """

    def __init__(
        self,
        store: ObjectStore,
        *,
        plan: str,
        site: str,
        epoch: int,
        ttl: float,
        clock_error: float = 0.001,
        hand_over: float = 5.0,
        boottime: Callable[[], float] = real_boottime,
        takeover: Takeover = Takeover.LEASE,
        remembered: bool = False,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.terms = Terms(ttl, clock_error, hand_over)
        self.guard = Guard(boottime)
        self.last = Checked(Standing.UNCHECKED, boottime())
        self.successor: Lease | None = None
        #: The site that holds the highest epoch that a check saw.
        self.holder: str | None = None
        self.plan, self.site, self.epoch = plan, site, epoch
        self._store = store
        self._boottime = boottime
        self._keeps = takeover is Takeover.STATEMENT
        self._proven = remembered
        self._jitter = jitter

    @property
    def proven(self) -> bool:
        """Whether a check, or the database, ever said that the epoch is ours and waited for."""
        return self._proven

    def check(self) -> bool:
        """Ask the store; True when it proved the right to act. Never raises for a store's sake."""
        if self.successor is not None:
            return False
        # model: CHECK
        began = self._boottime()
        try:
            standing, detail = self._ask()
        except StoreProblem as problem:
            standing, detail = Standing.UNKNOWN, str(problem)
            if self._keeps and self._proven:
                self.guard.extend(began + self.terms.ttl)
        except SaidToPeople as problem:
            # The store answers, and what it says is not what was once there.
            standing, detail = Standing.UNKNOWN, str(problem)
        if standing is Standing.HELD:
            self._proven = True
            self.guard.extend(began + self.terms.ttl)
        elif standing is Standing.OVER:
            self.guard.end()
        self._note(Checked(standing, began, detail))
        return standing is Standing.HELD

    def run(self, stop: threading.Event) -> None:
        """Check until `stop` is set or a higher epoch was seen; for a thread of its own.

        Between checks a quarter to a third of the TTL passes, so that many processes do not ask
        together, and less after a check that proved nothing.
        """
        while True:
            held = self.check()
            if self.successor is not None or stop.wait(self._pause(held)):
                return

    def _ask(self) -> tuple[Standing, str]:
        own = read(self._store, self.plan, self.epoch)
        following = read(self._store, self.plan, self.epoch + 1)
        if following is not None:
            self.holder = following.site
            self.successor = following
            return Standing.OVER, f"site {following.site} took epoch {following.epoch}"
        if own is None:
            if self._proven:
                raise LeaseLost(self._store.url, self.plan, self.epoch, self.epoch - 1)
            return Standing.NOT_OURS, f"nobody took epoch {self.epoch}"
        self.holder = own.site
        if own.site != self.site:
            return Standing.NOT_OURS, f"epoch {self.epoch} belongs to site {own.site}"
        if not self._proven:
            acting = read_acting(self._store, self.plan, self.epoch)
            if acting is None or acting.nonce != own.nonce:
                return Standing.WAITING, "the wait after taking it is not over"
        return Standing.HELD, ""

    def _pause(self, held: bool) -> float:
        return self.terms.ttl / (4 if held else 16) * (1 + self._jitter() / 3)

    def _note(self, checked: Checked) -> None:
        if checked.standing is not self.last.standing:
            log.info(
                "right to act",
                plan=self.plan,
                epoch=self.epoch,
                standing=checked.standing.value,
                before=self.last.standing.value,
                detail=checked.detail,
            )
        self.last = checked
