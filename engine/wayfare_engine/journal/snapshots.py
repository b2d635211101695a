"""The snapshots in a store: which there are, which is usable, and removing old ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec
import structlog

from wayfare_engine.crashpoints import crash_point
from wayfare_engine.journal.problems import NewerFormat
from wayfare_engine.journal.snapshot import Manifest, decode_manifest
from wayfare_engine.objectstore import ObjectStore, paths

log = structlog.get_logger(__name__)

unlisted = crash_point("journal.snapshot.unlisted", "an old snapshot's manifest is removed")


@dataclass(frozen=True)
class Found:
    """A snapshot's folder. Without a manifest it is not complete; `problem` says why not."""

    id: str
    manifest: Manifest | None
    problem: str = ""


def snapshots(store: ObjectStore) -> Iterator[Found]:
    """All, the newest first; what cannot be read is named with its problem."""
    for name in sorted(store.folders(paths.SNAPSHOTS), reverse=True):
        data = store.get(paths.snapshot_manifest(name))
        if data is None:
            # Some stores go on naming a folder that has nothing in it.
            if next(store.list(f"{paths.SNAPSHOTS}{name}/"), None) is not None:
                yield Found(name, None, "it was begun and not finished")
            continue
        try:
            manifest = decode_manifest(data)
        except NewerFormat as error:
            yield Found(name, None, f"it has format {error.found}, from a newer version")
            continue
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            yield Found(name, None, f"its manifest is damaged: {str(error).splitlines()[0]}")
            continue
        yield Found(name, manifest)


def usable(
    store: ObjectStore, *, plan: str, revision: str, not_these: frozenset[str] = frozenset()
) -> Manifest | None:
    """The newest complete snapshot of this plan and schema; others are passed over with a word."""
    for found in snapshots(store):
        problem = found.problem
        if found.id in not_these:
            continue
        if found.manifest is not None:
            if found.manifest.plan != plan:
                problem = f"it is of plan {found.manifest.plan!r}"
            elif found.manifest.revision != revision:
                problem = f"its schema has revision {found.manifest.revision}, this one {revision}"
            else:
                return found.manifest
        log.warning("snapshot.passed_over", snapshot=found.id, problem=problem)
    return None


def prune(store: ObjectStore, *, keep: int) -> list[str]:
    """Remove complete snapshots beyond the newest `keep` (at least 1), and what was begun before
    the newest complete one and never finished; returns the ids.

    A manifest goes before its pieces, so what is half removed is not complete. Blobs stay: rows
    refer to them. Safe to repeat. Raises ValueError, StoreProblem, StoreUnavailable.
    """
    if keep < 1:
        raise ValueError("the newest complete snapshot is always kept: keep is at least 1")
    complete = 0
    removed: list[str] = []
    for found in list(snapshots(store)):
        if found.manifest is not None:
            complete += 1
            if complete <= keep:
                continue
            store.delete(paths.snapshot_manifest(found.id))
            unlisted()
        elif complete == 0 or "newer version" in found.problem:
            continue  # perhaps being written, or not ours to judge
        for listed in list(store.list(f"{paths.SNAPSHOTS}{found.id}/")):
            store.delete(listed.path)
        removed.append(found.id)
    return removed
