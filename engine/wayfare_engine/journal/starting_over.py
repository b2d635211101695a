"""A database that leaves what it has and goes on from a snapshot further on.

For a chain with an object that is damaged or missing: nothing behind that can be applied, and a
snapshot whose watermark is beyond it holds what those rows made of the tables. The database is
emptied and restored; killed anywhere, it is either as it was, or empty, and catches up from there.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from psycopg import Connection

from wayfare_engine.crashpoints import crash_point
from wayfare_engine.errors import SaidToPeople
from wayfare_engine.journal.positions import Chain
from wayfare_engine.journal.restoring import restore
from wayfare_engine.journal.session import kept_out
from wayfare_engine.journal.snapshot import Manifest
from wayfare_engine.journal.snapshots import snapshots
from wayfare_engine.journal.unsealed_rows import unsealed_rows
from wayfare_engine.ledger.fence import site_epoch
from wayfare_engine.objectstore import ObjectStore, paths

left = crash_point("journal.start_over.left", "a database is to be restored from a snapshot")

_SEGMENT = re.compile(
    rf"{paths.JOURNAL}([^/]+)/([0-9]{{{paths.EPOCH_DIGITS}}})/([0-9]{{{paths.SEQ_DIGITS}}})\Z"
)


@dataclass(eq=False)
class CannotStartOver(SaidToPeople):
    """The database has what no snapshot holds."""

    snapshot: str
    why: str

    def __str__(self) -> str:
        return f"this database cannot go on from snapshot {self.snapshot}: {self.why}"


def snapshot_beyond(store: ObjectStore, path: str, *, plan: str, revision: str) -> Manifest | None:
    """The newest whole snapshot of this plan and schema that stands for the chain's rows up to the
    object at `path` and further, so that the object is not needed. Raises StoreProblem."""
    match = _SEGMENT.match(path)
    if match is None:
        return None
    chain, first = (match[1], int(match[2])), int(match[3])
    for found in snapshots(store):
        manifest = found.manifest
        if manifest is None or (manifest.plan, manifest.revision) != (plan, revision):
            continue
        if _covered(manifest).get(chain, 0) >= first:
            return manifest
    return None


def start_over(
    dsn: str,
    connection: Connection[Any],
    store: ObjectStore,
    manifest: Manifest,
    *,
    fence: Callable[[Connection[Any]], object] = lambda connection: None,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """`connection` is in autocommit mode and has the lock of catching up.

    Raises CannotStartOver before anything is changed; SnapshotDamaged with an empty database; and
    as `restore`.
    """
    with kept_out(connection) as alone:
        if not alone:
            raise CannotStartOver(manifest.id, "a worker of this site seals it")
        with connection.transaction():
            fence(connection)
            _require(connection, manifest)
            # From here on it is as good as empty: whoever comes next takes the restore back.
            connection.execute("DELETE FROM wayfare.chain_positions")
            connection.execute(
                "INSERT INTO wayfare.restore (snapshot) VALUES (%s) "
                "ON CONFLICT (single) DO UPDATE SET snapshot = excluded.snapshot",
                (manifest.id,),
            )
        left()
        restore(dsn, connection, store, manifest, progress=progress)


def _require(connection: Connection[Any], manifest: Manifest) -> None:
    at = site_epoch(connection)
    taken = connection.execute("SELECT FROM wayfare.epochs_taken WHERE epoch = %s", (at.epoch,))
    if at.active and taken.rowcount:
        raise CannotStartOver(manifest.id, f"this site holds epoch {at.epoch} and writes here")
    ahead = unsealed_rows(connection)
    if ahead:
        rows = sum(ahead.values())
        raise CannotStartOver(
            manifest.id, f"{rows:,} of its rows are in no segment; recover them first"
        )
    covered = _covered(manifest)
    for site, epoch, last in connection.execute(
        "SELECT site, epoch, max(last) FROM wayfare.seal_intents GROUP BY 1, 2"
    ):
        if covered.get((site, epoch), 0) < last:
            raise CannotStartOver(
                manifest.id,
                f"it sealed {site}/{epoch} up to {last:,}, further than the snapshot stands for",
            )


def _covered(manifest: Manifest) -> dict[Chain, int]:
    return {(at.site, at.epoch): at.seq for at in manifest.watermark}
