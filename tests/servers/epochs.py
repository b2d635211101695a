"""Taking an epoch for a site of a test, as the product does."""

from __future__ import annotations

import time
import uuid

import psycopg

from wayfare_engine.clock import now
from wayfare_engine.lease import Lease, Quiesced, Statement, TakeEpoch, Terms
from wayfare_engine.objectstore import ObjectStore


def take(
    dsn: str,
    store: ObjectStore,
    *,
    plan: str,
    site: str,
    epoch: int = 1,
    terms: Terms | None = None,
    planned: bool = False,
) -> Lease:
    """Take `epoch` for the site of this database, wait, and act. With `planned` the other site let
    go of it; else somebody stated that it is off."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        return TakeEpoch(
            connection,
            store,
            plan=plan,
            site=site,
            epoch=epoch,
            reason="a test",
            terms=terms or Terms(),
            now=now,
            new_nonce=lambda: uuid.uuid4().hex,
            sleep=time.sleep,
            grounds=Quiesced() if planned else Statement(text="it is off", by="a test"),
        ).run()
