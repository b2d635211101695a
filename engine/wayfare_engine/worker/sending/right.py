"""The right to act, for one epoch of this process's sends.

With an object store it is the lease's. Without one this site is the only one that there can be, and
its database alone says whether it writes.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Any

import psycopg
import structlog

from wayfare_engine.lease import EpochTaken, TakeEpoch, highest, open_lease_store
from wayfare_engine.lease.right import Leased, OnlySite, Right, terms_of
from wayfare_engine.lease.take_epoch import remembered
from wayfare_engine.settings import Settings

log = structlog.get_logger(__name__)


def right_to_act(settings: Settings, connection: psycopg.Connection[Any], epoch: int) -> Right:
    """Ask for it from now on. Raises StoreProblem for an address that no client understands."""
    if settings.object_store_url is None:
        return OnlySite()
    store = open_lease_store(settings.object_store_url, ttl=settings.lease_ttl_seconds)
    known = remembered(connection, settings.recovery_plan, epoch)
    return Leased(store, settings, epoch, known=known)


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
