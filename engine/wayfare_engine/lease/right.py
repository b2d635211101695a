"""The right to act as a process asks for it, in a thread of its own that checks the lease."""

from __future__ import annotations

import threading

from wayfare_engine.lease.epochs import Lease
from wayfare_engine.lease.holder import Checked, Holder
from wayfare_engine.lease.terms import Terms
from wayfare_engine.objectstore import ObjectStore
from wayfare_engine.settings import Settings


class OnlySite:
    """The right to act of a site without an object store: nobody could take it."""

    def may_send(self) -> float:
        """Without end."""
        return float("inf")

    def stop(self) -> None:
        """Nothing is to be ended."""


class Leased:
    """The right to act by the lease of one epoch, checked until `stop`. `known`: the database
    remembers the epoch as taken here and waited for."""

    def __init__(
        self, store: ObjectStore, settings: Settings, epoch: int, *, known: bool = False
    ) -> None:
        terms = terms_of(settings)
        self._holder = Holder(
            store,
            plan=settings.recovery_plan,
            site=settings.site,
            epoch=epoch,
            ttl=terms.ttl,
            clock_error=terms.clock_error,
            hand_over=terms.hand_over,
            remembered=known,
        )
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=self._holder.run, args=(self._stop,), name="lease", daemon=True
        )
        self._thread.start()

    def may_send(self) -> float:
        """Seconds that the right still lasts."""
        return self._holder.guard.may_send()

    @property
    def last(self) -> Checked:
        """What the last check found."""
        return self._holder.last

    @property
    def proven(self) -> bool:
        """Whether the epoch is known to be this site's, with its wait over."""
        return self._holder.proven

    @property
    def successor(self) -> Lease | None:
        """The next epoch's lease, once a check saw it."""
        return self._holder.successor

    @property
    def holder(self) -> str | None:
        """The site that holds the highest epoch that was seen; None while that is not known."""
        return self._holder.holder

    def stop(self) -> None:
        """End the right at once, and the checks without waiting for one that is under way."""
        self._holder.guard.end()
        self._stop.set()


Right = OnlySite | Leased


def terms_of(settings: Settings) -> Terms:
    """TTL, clock error and H as configured; the same at both sites."""
    return Terms(settings.lease_ttl_seconds, settings.clock_error, settings.hand_over_seconds)
