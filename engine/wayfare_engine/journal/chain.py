"""Reading chains: which there are, and what each holds, in order, with every link checked."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from wayfare_engine.journal.problems import ChainProblem, SegmentDamaged
from wayfare_engine.journal.segment import Closed, Segment, decode
from wayfare_engine.objectstore import paths
from wayfare_engine.objectstore.store import Listed, ObjectStore

_EPOCH = re.compile(rf"[0-9]{{{paths.EPOCH_DIGITS}}}\Z")
_SEQ = re.compile(rf"[0-9]{{{paths.SEQ_DIGITS}}}\Z")
_LISTED_PLAINLY = 2000
_FROM_A_PLACE_ON = ("s3://", "s3a://", "gs://")

#: Objects fetched ahead of the one that is being read.
AHEAD = 8


def chains(store: ObjectStore) -> list[tuple[str, int]]:
    """Every (site, epoch) that has an object, by epoch and then site; by folders, so the time does
    not grow with the chains. Raises ChainProblem for a folder that no chain has."""
    found = []
    for site in store.folders(paths.JOURNAL):
        for name in store.folders(f"{paths.JOURNAL}{site}/"):
            if not _EPOCH.match(name):
                raise ChainProblem(
                    f"{paths.JOURNAL}{site}/{name}/",
                    ChainProblem.FOREIGN,
                    "nothing of this name belongs below journal/",
                )
            found.append((site, int(name)))
    return sorted(found, key=lambda c: (c[1], c[0]))


def last_object(store: ObjectStore, site: str, epoch: int) -> Listed | None:
    """The last object of a chain, without listing all of a long one where the store can list from
    a place on: then halving finds it in some dozens of requests."""
    prefix = paths.chain(site, epoch)

    def next_after(seq: int) -> Listed | None:
        return next(store.list(prefix, after=paths.segment(site, epoch, seq)), None)

    last = None
    for count, entry in enumerate(store.list(prefix)):
        last = entry
        if count >= _LISTED_PLAINLY and store.url.startswith(_FROM_A_PLACE_ON):
            break
    else:
        return last
    low, step = 0, 1
    while (found := next_after(low + step)) is not None:
        last, low, step = found, low + step, step * 2
    high = low + step
    while high - low > 1:
        middle = (low + high) // 2
        found = next_after(middle)
        if found is None:
            high = middle
        else:
            last, low = found, middle
    return last


def objects(store: ObjectStore, site: str, epoch: int, *, after: int = 0) -> list[Listed]:
    """The chain's objects whose first position is above `after`, in order. Raises ChainProblem
    for a name that no segment has."""
    prefix = paths.chain(site, epoch)
    start = paths.segment(site, epoch, after) if after else None
    found = []
    for entry in store.list(prefix, after=start):
        if not _SEQ.match(entry.path.removeprefix(prefix)):
            raise ChainProblem(
                entry.path, ChainProblem.FOREIGN, "no segment of this chain has such a name"
            )
        found.append(entry)
    return found


class Links:
    """What has to hold from one object of a chain to the next. One chain, read in order."""

    def __init__(
        self, site: str, epoch: int, *, after: int = 0, previous: str = "", plan: str | None = None
    ) -> None:
        self.site = site
        self.epoch = epoch
        self.seq = after
        self.previous = previous
        self.plan = plan
        self.closed: Closed | None = None
        self._skipped = False

    def add(self, path: str, found: Segment | Closed) -> None:
        """The chain's next object; raises ChainProblem when it cannot be that."""
        head = found if isinstance(found, Closed) else found.header
        first = head.at_seq + 1 if isinstance(head, Closed) else head.first
        if self.closed is not None:
            raise ChainProblem(
                path,
                ChainProblem.AFTER_CLOSED,
                f"the chain was closed by epoch {self.closed.by} at position {self.seq}",
            )
        if (head.site, head.epoch) != (self.site, self.epoch):
            raise ChainProblem(
                path, ChainProblem.FOREIGN, f"it is of site {head.site}, epoch {head.epoch}"
            )
        if self.plan is not None and head.plan != self.plan:
            raise ChainProblem(
                path,
                ChainProblem.FOREIGN,
                f"it is of the recovery plan {head.plan!r}, the chain of {self.plan!r}",
            )
        if path != paths.segment(self.site, self.epoch, first):
            raise ChainProblem(
                path, ChainProblem.OUT_OF_PLACE, f"what it holds begins at position {first}"
            )
        if first > self.seq + 1 and not self._skipped:
            raise ChainProblem(
                path,
                ChainProblem.MISSING,
                f"positions {self.seq + 1} to {first - 1}, before it, are in no object",
            )
        if first <= self.seq:
            raise ChainProblem(
                path,
                ChainProblem.FORKED,
                f"position {first} is in the object before it too, which ends at {self.seq}",
            )
        if head.previous != self.previous and not self._skipped:
            raise ChainProblem(
                path,
                ChainProblem.FORKED,
                f"it follows an object with digest {head.previous or 'none'}, and before it "
                f"stands one with {self.previous or 'none'}",
            )
        self.follow(found)

    def lost(self) -> None:
        """The object at this place cannot be read: the next one is taken at its word."""
        self._skipped = True

    def follow(self, found: Segment | Closed) -> None:
        """Go on from this object, whatever it is."""
        head = found if isinstance(found, Closed) else found.header
        self.plan = self.plan if self.plan is not None else head.plan
        self.previous = found.digest
        self._skipped = False
        if isinstance(found, Closed):
            self.closed = self.closed or found
        else:
            self.seq = found.header.last


def read(
    store: ObjectStore,
    site: str,
    epoch: int,
    *,
    after: int = 0,
    previous: str = "",
    plan: str | None = None,
    bodies: bool = True,
    ahead: int = AHEAD,
) -> Iterator[Segment | Closed]:
    """The chain's segments above position `after`, in order; `previous` is the digest of the
    object that ends there. At most `ahead` objects are fetched before they are asked for.

    Raises ChainProblem naming the object at the first that is damaged, missing, out of place,
    forked, foreign or after the chain's end; NewerFormat; StoreUnavailable.
    """
    links = Links(site, epoch, after=after, previous=previous, plan=plan)
    for path, data in fetch(store, objects(store, site, epoch, after=after), ahead=ahead):
        found = opened(path, data, bodies=bodies)
        links.add(path, found)
        yield found


def opened(
    path: str, data: bytes | None, *, bodies: bool = True, digest_rows: bool = True
) -> Segment | Closed:
    """`decode`, with damage said of `path`."""
    if data is None:
        raise ChainProblem(path, ChainProblem.MISSING, "it was listed, and is gone")
    try:
        return decode(data, bodies=bodies, digest_rows=digest_rows)
    except SegmentDamaged as error:
        raise ChainProblem(path, ChainProblem.DAMAGED, error.what) from None


def fetch(
    store: ObjectStore, listed: list[Listed], *, ahead: int = AHEAD
) -> Iterator[tuple[str, bytes | None]]:
    """The objects' bytes, in order, `ahead` of them at once."""
    waiting: deque[tuple[str, Future[Any]]] = deque()
    with ThreadPoolExecutor(max_workers=ahead, thread_name_prefix="fetch") as pool:
        try:
            for entry in listed:
                waiting.append((entry.path, pool.submit(store.get, entry.path)))
                if len(waiting) >= ahead:
                    path, result = waiting.popleft()
                    yield path, result.result()
            while waiting:
                path, result = waiting.popleft()
                yield path, result.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


#: The object that closes a chain says little without the one before it.
_LEAST = 2


def left_out(counts: Mapping[tuple[str, int], int], most: int | None) -> dict[tuple[str, int], int]:
    """Of each chain, how many of its oldest objects are not read when only the `most` newest of all
    are: those of the highest epochs, and of each chain its end."""
    found: dict[tuple[str, int], int] = {}
    left = most or 0
    for chain in sorted(counts, key=lambda each: (-each[1], each[0])):
        count = counts[chain]
        read = count if most is None else min(count, max(left, min(_LEAST, most)))
        left -= read
        found[chain] = count - read
    return found
