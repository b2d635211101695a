"""The epoch under which the engine of a drill acts: the one after the journal's, in its own store.

That store begins with the epoch up to which the copy knows production, as if it had been written
there, because epochs go on one by one; production's store is not known here at all.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec
from psycopg import Connection

from wayfare_engine.lease import Quiesced, TakeEpoch
from wayfare_engine.lease.epochs import Lease
from wayfare_engine.lease.terms import Terms
from wayfare_engine.ledger.fence import site_epoch
from wayfare_engine.objectstore import ObjectStore, paths
from wayfare_engine.objectstore.marker import claim


def take(
    connection: Connection[Any],
    store: ObjectStore,
    *,
    plan: str,
    site: str,
    terms: Terms,
    now: Callable[[], datetime],
    new_nonce: Callable[[], str],
    sleep: Callable[[float], None],
) -> Lease:
    """Take it; again the same when a pod before this one did, into a store that is empty.

    `connection` is the copy's, in autocommit mode. Nobody else acts in this store, so there is
    nothing to wait for. Raises StoreProblem, psycopg.Error.
    """
    epoch = _taken(connection, plan) or max(1, site_epoch(connection).highest_seen) + 1
    claim(store, plan)
    before = Lease(
        plan=plan,
        epoch=epoch - 1,
        site=_acted(connection),
        nonce="journal",
        reason="up to here the copy knows the journal",
        at=now(),
    )
    store.put_if_absent(paths.lease(plan, epoch - 1), msgspec.json.encode(before))
    return TakeEpoch(
        connection,
        store,
        plan=plan,
        site=site,
        epoch=epoch,
        reason="a drill",
        terms=terms,
        now=now,
        new_nonce=new_nonce,
        sleep=sleep,
        grounds=Quiesced(stopped=True),
    ).run()


def _taken(connection: Connection[Any], plan: str) -> int | None:
    row = connection.execute(
        "SELECT max(epoch) FROM wayfare.epochs_taken WHERE plan = %s", (plan,)
    ).fetchone()
    return None if row is None or row[0] is None else int(row[0])


def _acted(connection: Connection[Any]) -> str:
    """The site whose chain the copy has last."""
    row = connection.execute(
        "SELECT site FROM wayfare.chain_positions ORDER BY epoch DESC, site LIMIT 1"
    ).fetchone()
    return "production" if row is None else str(row[0])
