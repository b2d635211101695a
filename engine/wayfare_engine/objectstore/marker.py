"""Whose store this is: `wayfare.json`, written by the first and compared by all others.

It keeps a second plan, or a version that writes the journal otherwise, from writing into a store
that is not theirs. It never changes.
"""

from __future__ import annotations

import msgspec

from wayfare_engine.decoding import known
from wayfare_engine.objectstore import paths
from wayfare_engine.objectstore.problems import ForeignStore, StoreUnavailable
from wayfare_engine.objectstore.store import ObjectStore

#: The layout of the store as a whole; segments and snapshots have formats of their own.
FORMAT = 1


class Marker(msgspec.Struct, frozen=True):
    """`plan`: the recovery plan that the store belongs to."""

    plan: str
    format: int = FORMAT


def claim(store: ObjectStore, plan: str) -> Marker:
    """The store's marker, created when there is none: before anything else is written.

    Raises ForeignStore when the store is another plan's, of a newer format, or has a journal whose
    marker is gone; StoreProblem and StoreUnavailable.
    """
    present = check(store, plan)
    if present is not None:
        return present
    for prefix in (paths.JOURNAL, paths.LEASES, paths.SNAPSHOTS):
        if next(store.list(prefix), None) is not None:
            raise ForeignStore(
                store.url,
                f"it holds {prefix} and no {paths.MARKER}",
                "somebody removed the marker, or the prefix is another program's; if it is plan "
                f"{plan!r}'s, put back {_encode(Marker(plan)).decode()} there",
            )
    wanted = Marker(plan)
    if store.create(paths.MARKER, _encode(wanted)) is None:
        return wanted
    present = check(store, plan)
    if present is None:
        raise StoreUnavailable(store.url, f"{paths.MARKER} went away while it was read")
    return present


def check(store: ObjectStore, plan: str) -> Marker | None:
    """The marker, for who only reads; None when the store has none. Raises as `claim` does."""
    data = store.get(paths.MARKER)
    if data is None:
        return None
    try:
        present = msgspec.json.decode(data, type=Marker)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise ForeignStore(
            store.url,
            f"its {paths.MARKER} is not one of ours",
            "choose another bucket or prefix",
        ) from None
    if present.format > FORMAT:
        raise ForeignStore(
            store.url,
            f"it was made by a newer version (format {present.format}, this one knows {FORMAT})",
            "upgrade this site first; nothing was read or written",
        )
    if present.plan != plan:
        raise ForeignStore(
            store.url,
            f"it belongs to plan {present.plan!r}, and this site is of plan {plan!r}",
            "choose another bucket or prefix, or set WAYFARE_RECOVERY_PLAN; nothing was written",
        )
    return present


def _encode(marker: Marker) -> bytes:
    return msgspec.json.encode(marker)


known(Marker)
