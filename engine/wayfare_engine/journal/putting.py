"""Putting one segment where it belongs, and finding out what stands there when something does."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from wayfare_engine.crashpoints import crash_point
from wayfare_engine.journal.intents import Intent
from wayfare_engine.journal.problems import ChainConflict, EpochOver, NewerFormat, SegmentDamaged
from wayfare_engine.journal.segment import Closed, decode, encode
from wayfare_engine.ledger.row import Kind
from wayfare_engine.objectstore import paths
from wayfare_engine.objectstore.store import ObjectStore

putting = crash_point("journal.seal.putting", "the segment is made, and not in the store")
put = crash_point("journal.seal.put", "the segment is in the store")


def put_segment(
    store: ObjectStore, intent: Intent, rows: pa.Table, *, plan: str, clock: Callable[[], datetime]
) -> str:
    """Put the segment of an intent, and return the digest of the object that is there now.

    Safe to repeat: a segment with the same rows at the same place is our own earlier try. Raises
    EpochOver, ChainConflict, StoreProblem; StoreUnavailable leaves the outcome unknown.
    """
    data = encode(
        rows,
        plan=plan,
        site=intent.site,
        epoch=intent.epoch,
        first=intent.first,
        previous=intent.previous,
        sealed_at=clock().isoformat(),
        digest=intent.rows_digest,
    )
    path = paths.segment(intent.site, intent.epoch, intent.first)
    # model: SEAL
    putting()
    present = store.create(path, data)
    put()
    return object_digest(data) if present is None else _ours(path, present, intent, plan)


def object_digest(data: bytes) -> str:
    """SHA-256 of an object, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def _ours(path: str, present: bytes, intent: Intent, plan: str) -> str:
    try:
        found = decode(present, bodies=False)
    except (SegmentDamaged, NewerFormat) as error:
        raise ChainConflict(path, f"what stands there cannot be used: {error}") from None
    if isinstance(found, Closed):
        raise EpochOver(intent.site, intent.epoch, found.by)
    head = found.header
    ours = (plan, intent.site, intent.epoch, intent.first, intent.last, intent.rows_digest)
    theirs = (head.plan, head.site, head.epoch, head.first, head.last, head.rows_digest)
    if theirs != ours or head.previous != intent.previous:
        raise ChainConflict(
            path,
            f"a segment of plan {head.plan!r} with positions {head.first} to {head.last} stands "
            f"there, sealed at {head.sealed_at}, with other rows than ours",
        )
    return found.digest


def id_blocks_in(rows: pa.Table) -> list[int]:
    """First ids of the blocks whose rows are among these."""
    chosen = rows.filter(pc.equal(rows["kind"], Kind.ID_BLOCK))
    return [int(msgspec.json.decode(body)["first"]) for body in chosen["body"].to_pylist()]
