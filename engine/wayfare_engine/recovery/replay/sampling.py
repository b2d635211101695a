"""A stratified sample of a stream: the same one for the same seed, in whatever order it comes.

Each stratum gets the same share, or all that it has where that is less. Within a stratum those are
taken whose ids hash lowest together with the seed, so that nothing but ids and seed decides.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Mapping
from typing import Generic, TypeVar

Item = TypeVar("Item")
Stratum = tuple[str, ...]


def shares(counts: Mapping[Stratum, int], size: int) -> dict[Stratum, int]:
    """How many of each stratum: together `size`, or all there are."""
    left, found = size, {}
    ordered = sorted(counts, key=lambda stratum: (counts[stratum], stratum))
    for place, stratum in enumerate(ordered):
        found[stratum] = min(counts[stratum], left // (len(ordered) - place))
        left -= found[stratum]
    return found


class Sampler(Generic[Item]):
    """Takes items one by one; holds little more than `size` of them at a time."""

    def __init__(self, size: int, seed: int) -> None:
        self._size = size
        self._key = seed.to_bytes(8, "big", signed=True)
        self._held: dict[Stratum, list[tuple[int, bytes, Item]]] = {}
        self.counts: dict[Stratum, int] = {}
        self._since = 0

    def add(self, stratum: Stratum, row_id: bytes, item: Item) -> None:
        """One item; `row_id` is its own, and no two are the same."""
        hashed = hashlib.blake2b(row_id, digest_size=8, key=self._key).digest()
        entry = (-int.from_bytes(hashed, "big"), row_id, item)
        self.counts[stratum] = self.counts.get(stratum, 0) + 1
        held = self._held.setdefault(stratum, [])
        if len(held) < self._size:
            heapq.heappush(held, entry)
        elif entry[:2] > held[0][:2]:
            heapq.heapreplace(held, entry)
        self._since += 1
        if self._since > self._size:
            self._trim()

    def taken(self) -> list[Item]:
        """The sample, in the order of strata and hashes."""
        self._trim()
        wanted = shares(self.counts, self._size)
        return [
            item
            for stratum in sorted(self._held)
            for _, _, item in sorted(self._held[stratum], reverse=True, key=lambda e: e[:2])[
                : wanted[stratum]
            ]
        ]

    def _trim(self) -> None:
        """No stratum's share grows as more comes, beyond what the largest has now."""
        self._since = 0
        most = max(shares(self.counts, self._size).values(), default=0)
        for held in self._held.values():
            while len(held) > most:
                heapq.heappop(held)
