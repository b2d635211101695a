"""Fetching, decoding and folding segments while PostgreSQL is busy with those before.

What is held at once is bounded by the objects' sizes, not by the journal's length: a listing takes
12 bytes an object, and a batch is decoded block by block and folded at once.
"""

from __future__ import annotations

import hashlib
from array import array
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import pyarrow.compute as pc

from wayfare_engine.journal.chain import opened
from wayfare_engine.journal.digest import RowsDigest
from wayfare_engine.journal.positions import Chain
from wayfare_engine.journal.problems import ChainProblem, SegmentDamaged
from wayfare_engine.journal.segment import Closed, Header, Segment, decode_blocks, read_header
from wayfare_engine.objectstore import paths
from wayfare_engine.objectstore.store import ObjectStore
from wayfare_engine.projections import Prepared, add_table

#: Objects of one batch: together at most so many bytes (one object may be larger), and so many.
BATCH_BYTES = 4 << 20
BATCH_OBJECTS = 256
#: Batches under way at once, the one being written included, unless they are large.
AHEAD = 4
AHEAD_BYTES = 16 << 20


class Listing:
    """The objects of a chain above a position, in order."""

    def __init__(self, chain: Chain) -> None:
        self.chain = chain
        self.firsts = array("Q")
        self.sizes = array("Q")

    def __len__(self) -> int:
        return len(self.firsts)

    def path(self, index: int) -> str:
        """An object's path."""
        return paths.segment(*self.chain, self.firsts[index])


@dataclass(frozen=True)
class Link:
    """An object as far as the chain is concerned: what it says and its digest."""

    path: str
    header: Header | Closed
    digest: str


@dataclass
class Batch:
    """Objects that follow each other in a chain, decoded; `without` are first positions of those
    whose rows were left out."""

    chain: Chain
    listed: Sequence[tuple[str, int]]
    without: frozenset[int]
    links: list[Link] = field(default_factory=list)
    prepared: Prepared = field(default_factory=Prepared)
    kinds: Counter[str] = field(default_factory=Counter)
    left_out: int = 0


def listing(store: ObjectStore, chain: Chain, *, after: int) -> Listing:
    """The chain's objects whose first position is above `after`. Raises ChainProblem for a name
    that no segment has, StoreProblem, StoreUnavailable."""
    found = Listing(chain)
    prefix = paths.chain(*chain)
    start = paths.segment(*chain, after) if after else None
    for entry in store.list(prefix, after=start):
        name = entry.path.removeprefix(prefix)
        if len(name) != paths.SEQ_DIGITS or not name.isdecimal():
            raise ChainProblem(
                entry.path, ChainProblem.FOREIGN, "no segment of this chain has such a name"
            )
        found.firsts.append(int(name))
        found.sizes.append(entry.size)
    return found


def end_of(store: ObjectStore, listed: Listing) -> Header | Closed:
    """What the last object says. Its format is the chain's newest, and its end the chain's.

    Raises NewerFormat, ChainProblem.
    """
    path = listed.path(len(listed) - 1)
    data = store.get(path)
    if data is None:
        raise ChainProblem(path, ChainProblem.MISSING, "it was listed, and is gone")
    try:
        return read_header(data)
    except SegmentDamaged as error:
        raise ChainProblem(path, ChainProblem.DAMAGED, error.what) from None


def batches(
    store: ObjectStore, listed: Listing, *, without: frozenset[int], threads: int = 2
) -> Iterator[Batch]:
    """The listed objects, decoded and folded, in order; some are under way beyond the one asked
    for. Raises what `load` raises, at its place in the order."""
    waiting: deque[tuple[int, Future[Batch]]] = deque()
    under_way = 0
    pool = ThreadPoolExecutor(threads, thread_name_prefix="catch-up")
    try:
        for size, group in _groups(listed):
            batch = Batch(listed.chain, group, without)
            waiting.append((size, pool.submit(load, store, batch)))
            under_way += size
            while waiting and (len(waiting) >= AHEAD or under_way > AHEAD_BYTES):
                size, future = waiting.popleft()
                under_way -= size
                yield future.result()
        while waiting:
            yield waiting.popleft()[1].result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def load(store: ObjectStore, batch: Batch) -> Batch:
    """Fetch, check and fold a batch's objects.

    Raises ChainProblem for damage, NewerFormat, RowDamaged, StoreProblem, StoreUnavailable.
    """
    for path, first in batch.listed:
        data = store.get(path)
        if data is None or data[:1] == b"{":
            closed = opened(path, data)
            assert isinstance(closed, Closed)
            batch.links.append(Link(path, closed, closed.digest))
            continue
        try:
            header = _fold(batch, data, apply=first not in batch.without)
        except SegmentDamaged as error:
            raise ChainProblem(path, ChainProblem.DAMAGED, error.what) from None
        batch.links.append(Link(path, header, hashlib.sha256(data).hexdigest()))
    return batch


def as_found(link: Link) -> Segment | Closed:
    """The link as `chain.Links` takes it, without its rows."""
    if isinstance(link.header, Closed):
        return link.header
    return Segment(link.header, None, link.digest)


def _groups(listed: Listing) -> Iterator[tuple[int, list[tuple[str, int]]]]:
    group: list[tuple[str, int]] = []
    total = 0
    for index, size in enumerate(listed.sizes):
        if group and (total + size > BATCH_BYTES or len(group) >= BATCH_OBJECTS):
            yield total, group
            group, total = [], 0
        group.append((listed.path(index), listed.firsts[index]))
        total += size
    if group:
        yield total, group


def _fold(batch: Batch, data: bytes, *, apply: bool) -> Header:
    header, blocks = decode_blocks(data)
    site, epoch = batch.chain
    if (header.site, header.epoch) != batch.chain:
        return header  # the links say so of it
    digest = RowsDigest(header.site, str(header.epoch))
    for block in blocks:
        digest.add(block)
        if not apply:
            batch.left_out += block.num_rows
            continue
        for found in pc.value_counts(block["kind"]).to_pylist():
            batch.kinds[found["values"]] += found["counts"]
        add_table(batch.prepared, block, site=site, epoch=epoch)
    if digest.hexdigest() != header.rows_digest:
        raise SegmentDamaged("its rows do not have the digest that it says")
    return header
