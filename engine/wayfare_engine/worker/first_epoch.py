"""The first epoch of a plan, which a worker of the primary site takes."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Any

import psycopg
import structlog

from wayfare_engine.lease import EpochTaken, TakeEpoch, highest, open_lease_store
from wayfare_engine.lease.right import terms_of
from wayfare_engine.lease.take_epoch import remembered
from wayfare_engine.objectstore.marker import check
from wayfare_engine.objectstore.probe import prove_store
from wayfare_engine.settings import Settings

log = structlog.get_logger(__name__)


def take_first_epoch(
    settings: Settings, connection: psycopg.Connection[Any], now: Callable[[], datetime]
) -> bool:
    """Take epoch 1 of a plan that nobody ever acted for; whether it was taken or finished now.

    Putting the object decides between two that try. Raises StoreProblem while the store is away,
    ForeignStore for another plan's, and StoreUnfit for one that cannot hold a lease: nothing that
    lasts is in it then.
    """
    assert settings.object_store_url is not None
    store = open_lease_store(settings.object_store_url, ttl=settings.lease_ttl_seconds)
    last = highest(store, settings.recovery_plan, seen=0)
    if last is not None and (last.epoch != 1 or last.site != settings.site):
        return False
    if remembered(connection, settings.recovery_plan, 1):
        return False
    check(store, settings.recovery_plan)
    if last is None:
        prove_store(settings.object_store_url, settings.object_store_timeout_seconds)
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
