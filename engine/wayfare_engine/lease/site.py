"""Whether this site acts, from what its database says and what the last check of the lease found.

One check of the lease goes on per process, of the epoch that the database is at, whether or not it
is held here: so a process hears of a higher epoch by itself, and names who holds it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import structlog

from wayfare_engine.errors import SaidToPeople
from wayfare_engine.lease.epochs import Lease
from wayfare_engine.lease.holder import Standing, open_lease_store
from wayfare_engine.lease.right import Leased, OnlySite, Right
from wayfare_engine.ledger.standing import Stand, State
from wayfare_engine.settings import Settings

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Answer:
    """Whether this site acts, whether sends leave, and why not. `holder` is the site that holds the
    highest epoch that is known, if that is known. `reason` tells the cases apart for programs."""

    active: bool
    sends: Literal["open", "held"]
    reason: str | None = None
    why: str | None = None
    holder: str | None = None


class SiteRight:
    """This process's check of the lease, begun anew with each epoch. Safe to use from several
    threads, except `follow` and `stop`, which are for one."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stand: Stand | None = None
        self._right: Right | None = None
        self._problem: str | None = None

    @property
    def right(self) -> Right | None:
        """The right to act for the epoch that was followed last."""
        return self._right

    @property
    def stand(self) -> Stand | None:
        """What the database said last."""
        return self._stand

    @property
    def lost_to(self) -> Lease | None:
        """Who took the next epoch, if it is another site and the last check saw it."""
        right = self._right
        after = right.successor if isinstance(right, Leased) else None
        return after if after is not None and after.site != self._settings.site else None

    def may_send(self) -> float:
        """Seconds that the right to act lasts; 0.0 when there is none."""
        stand, right = self._stand, self._right
        if stand is None or right is None or not stand.sends:
            return 0.0
        return right.may_send()

    def follow(self, stand: Stand, remembered: Callable[[int], bool]) -> None:
        """The database stands so. `remembered` says whether it knows an epoch as taken here and
        waited for."""
        before = self._stand
        if self._right is None or before is None or before.epoch != stand.epoch:
            self._let_go()
            self._begin(stand.epoch, remembered)
        self._stand = stand

    def stop(self) -> None:
        """End the right, and the checks."""
        self._let_go()

    def answer(self) -> Answer:
        """Whether this site acts, now."""
        stand, right = self._stand, self._right
        if stand is None:
            return Answer(False, "held", "NotAsked", "this site's database was not asked yet")
        if stand.state is State.STOOD_DOWN:
            why = f"this site stood down for {stand.run}"
            return Answer(False, "held", "StoodDown", why, _holder(right))
        if not isinstance(right, Leased):
            return self._without_lease(stand)
        return _leased(stand, right)

    def _without_lease(self, stand: Stand) -> Answer:
        if self._problem is not None:
            return Answer(False, "held", "NoStore", self._problem)
        if stand.held:
            return Answer(True, "open" if stand.sends else "held")
        if stand.state is State.QUIESCED:
            return Answer(True, "held", "Quiesced", _quiesced(stand))
        return Answer(False, "held", "NotHeld", f"epoch {stand.epoch} is not held here")

    def _begin(self, epoch: int, remembered: Callable[[int], bool]) -> None:
        settings = self._settings
        if settings.object_store_url is None:
            self._right = OnlySite()
            return
        try:
            store = open_lease_store(settings.object_store_url, ttl=settings.lease_ttl_seconds)
        except SaidToPeople as error:
            if str(error) != self._problem:
                log.error("lease.no_store", error=str(error))
            self._problem = str(error)
            return
        self._problem = None
        self._right = Leased(store, settings, epoch, known=remembered(epoch))

    def _let_go(self) -> None:
        right, self._right = self._right, None
        if right is not None:
            right.stop()


def _leased(stand: Stand, right: Leased) -> Answer:
    last, holder = right.last, _holder(right)
    if last.standing is Standing.OVER:
        return Answer(False, "held", "HigherEpoch", last.detail, holder)
    if stand.highest_seen > stand.epoch:
        why = f"there is an epoch {stand.highest_seen}, and this site is at {stand.epoch}"
        return Answer(False, "held", "HigherEpoch", why)
    if not stand.held:
        if stand.state is State.QUIESCED and stand.own == stand.epoch:
            return Answer(True, "held", "Quiesced", _quiesced(stand), holder)
        return Answer(False, "held", "NotHeld", _not_held(stand, holder), holder)
    if last.standing is Standing.UNCHECKED:
        return Answer(False, "held", "NotChecked", "the lease was not read yet", holder)
    if last.standing in (Standing.NOT_OURS, Standing.WAITING) or not right.proven:
        return Answer(False, "held", last.standing.value, last.detail, holder)
    if stand.state is State.QUIESCING:
        return Answer(True, "held", "Quiescing", f"sends end here for {stand.run}", holder)
    if right.may_send() <= 0:
        why = f"the store says nothing that proves the right to act: {last.detail}"
        return Answer(True, "held", "StoreAway", why, holder)
    return Answer(True, "open", holder=holder)


def _holder(right: Right | None) -> str | None:
    return right.holder if isinstance(right, Leased) else None


def _quiesced(stand: Stand) -> str:
    return f"nothing is written under epoch {stand.epoch} any more, for {stand.run}"


def _not_held(stand: Stand, holder: str | None) -> str:
    if holder is None:
        return f"epoch {stand.epoch} is not held here"
    return f"site {holder} holds epoch {stand.epoch}, which this database did not take"
