"""The right to act, for one epoch of this process's sends.

With an object store it is the lease's. Without one this site is the only one that there can be, and
its database alone says whether it writes.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Any

import psycopg
import structlog

from wayfare_engine.lease import (
    EpochTaken,
    Holder,
    TakeEpoch,
    Terms,
    highest,
    open_lease_store,
)
from wayfare_engine.lease.take_epoch import remembered
from wayfare_engine.objectstore import ObjectStore
from wayfare_engine.settings import Settings

log = structlog.get_logger(__name__)


class OnlySite:
    """The right to act of a site without an object store: nobody could take it."""

    standing = "OnlySite"

    def may_send(self) -> float:
        """Without end."""
        return float("inf")

    def stop(self) -> None:
        """Nothing is to be ended."""


class Leased:
    """The right to act by the lease, checked in a thread until `stop`."""

    def __init__(self, store: ObjectStore, settings: Settings, epoch: int, known: bool) -> None:
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

    @property
    def standing(self) -> str:
        """What the last check said."""
        return self._holder.last.standing.value

    def may_send(self) -> float:
        """Seconds that the right still lasts."""
        return self._holder.guard.may_send()

    def stop(self) -> None:
        """End the checks, and with them the right."""
        self._holder.guard.end()
        self._stop.set()
        self._thread.join()


Right = OnlySite | Leased


def terms_of(settings: Settings) -> Terms:
    """TTL, clock error and H as configured; the same at both sites."""
    return Terms(settings.lease_ttl_seconds, settings.clock_error, settings.hand_over_seconds)


def right_to_act(settings: Settings, connection: psycopg.Connection[Any], epoch: int) -> Right:
    """Ask for it from now on. Raises StoreProblem for an address that no client understands."""
    if settings.object_store_url is None:
        return OnlySite()
    store = open_lease_store(settings.object_store_url, ttl=settings.lease_ttl_seconds)
    return Leased(store, settings, epoch, remembered(connection, settings.recovery_plan, epoch))


def take_first_epoch(
    settings: Settings, connection: psycopg.Connection[Any], now: Callable[[], datetime]
) -> bool:
    """Take epoch 1 of a plan that nobody ever acted for; whether it was taken or finished now.

    Putting the object decides between two that try. Raises StoreProblem while the store is away.
    """
    assert settings.object_store_url is not None
    store = open_lease_store(settings.object_store_url, ttl=settings.lease_ttl_seconds)
    last = highest(store, settings.recovery_plan, seen=0)
    if last is not None and (last.epoch != 1 or last.site != settings.site):
        return False
    if remembered(connection, settings.recovery_plan, 1):
        return False
    try:
        TakeEpoch(
            connection,
            store,
            plan=settings.recovery_plan,
            site=settings.site,
            epoch=1,
            reason="the first worker of the first site",
            terms=terms_of(settings),
            now=now,
            new_nonce=lambda: uuid.uuid4().hex,
            sleep=time.sleep,
        ).run()
    except EpochTaken:
        return False
    log.info("lease.first_epoch", plan=settings.recovery_plan, site=settings.site)
    return True
