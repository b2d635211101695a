"""Where the copy of a drill ends: at the journal's end, or at the position that its scenario names.

A transaction's rows are in one segment, and are applied together: the copy ends with the segment
that holds the position.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from wayfare_engine.journal.chain import chains
from wayfare_engine.journal.positions import Chain
from wayfare_engine.journal.snapshot import Manifest
from wayfare_engine.journal.snapshots import snapshots
from wayfare_engine.lease.epochs import highest
from wayfare_engine.objectstore import ObjectStore

_ALL = 2**62


@dataclass(frozen=True)
class Cut:
    """`chain` is the acting site's, None while nobody ever acted; `position` is where it is lost,
    None at its end."""

    chain: Chain | None
    position: int | None

    def upto(self, known: Iterable[Chain]) -> dict[Chain, int] | None:
        """For a catch-up: chains before the acting one to their ends. None: everything. Pure."""
        if self.chain is None or self.position is None:
            return None
        before = {chain: _ALL for chain in known if chain[1] < self.chain[1]}
        return {**before, self.chain: self.position}

    def holds(self, manifest: Manifest) -> bool:
        """Whether a snapshot goes no further than the cut, and can be begun with. Pure."""
        if self.chain is None or self.position is None:
            return True
        return all(
            (at.seq <= self.position)
            if (at.site, at.epoch) == self.chain
            else at.epoch < self.chain[1]
            for at in manifest.watermark
        )


def cut_of(store: ObjectStore, plan: str, position: int | None) -> Cut:
    """The cut that a scenario asks for. Raises StoreProblem."""
    lease = highest(store, plan)
    return Cut(None if lease is None else (lease.site, lease.epoch), position)


def known_chains(store: ObjectStore) -> list[Chain]:
    """All chains of the store. Raises StoreProblem, ChainProblem."""
    return chains(store)


def snapshot_before(store: ObjectStore, cut: Cut, *, plan: str, revision: str) -> Manifest | None:
    """The newest whole snapshot that goes no further than the cut. Raises StoreProblem."""
    for found in snapshots(store):
        manifest = found.manifest
        if manifest is None or (manifest.plan, manifest.revision) != (plan, revision):
            continue
        if cut.holds(manifest):
            return manifest
    return None
