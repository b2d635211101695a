"""What rows of the ledger say, folded in memory: what is left is to write it.

It costs memory in proportion to the keys that the rows touch, not to the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from wayfare_engine.projections.blobs import BlobRow
from wayfare_engine.projections.declared import PROJECTIONS, Projection, Rule

Key = tuple[Any, ...]
#: Values of a row's parts: an int (one SUM), a tuple (one part), or a list with one entry a part.
State = Any
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def microseconds(moment: datetime) -> int:
    """Since 1970 in UTC; exact."""
    return (moment - _EPOCH) // _MICROSECOND


@dataclass(frozen=True)
class Chunk:
    """Rows of one kind from one chain, as columns of equal length; `ats` are µs since 1970."""

    kind: str
    site: str
    epoch: int
    ids: Sequence[bytes]
    versions: Sequence[int | None]
    customers: Sequence[str | None]
    ats: Sequence[int]
    bodies: Sequence[Any]


@dataclass(frozen=True)
class InnerRow:
    """A row of another chain that a merge put back; `row_id`, `epoch` are of the merging row."""

    origin_id: bytes
    kind: str
    site: str
    epoch: int
    version: int | None
    customer: str | None
    at: int
    body: bytes


class Folds:
    """The state of one projection's keys, as far as the rows say."""

    def __init__(self, projection: Projection) -> None:
        self.projection = projection
        self.states: dict[Key, State] = {}
        self._rules = tuple(part.rule for part in projection.parts)

    def add(self, key: Key, state: State) -> None:
        """Join what one row (or one fold) says of a key with what is there."""
        old = self.states.get(key)
        if old is None:
            self.states[key] = state
        elif len(self._rules) == 1:
            self.states[key] = _join(self._rules[0], old, state)
        else:
            for i, rule in enumerate(self._rules):
                new = state[i]
                if new is not None:
                    old[i] = new if old[i] is None else _join(rule, old[i], new)


def _join(rule: Rule, old: Any, new: Any) -> Any:
    if rule is Rule.SUM:
        return old + new
    # The order is total before a column that may be None is reached; equal rows are one row.
    if rule is Rule.HIGHEST:
        return new if new > old else old
    return new if new < old else old


def settled(projection: Projection, name: str) -> Callable[[Key, State], Any]:
    """How to get a column's value out of a key and its state."""
    place = projection.place(name)
    if place < len(projection.key):
        return lambda key, _: key[place]
    place -= len(projection.key)
    if len(projection.parts) == 1:
        return lambda _, state: state[place]
    for i, part in enumerate(projection.parts):
        if place < len(part.columns):
            return _nested(i, place)
        place -= len(part.columns)
    raise ValueError(name)


def _nested(part: int, place: int) -> Callable[[Key, State], Any]:
    return lambda _, state: state[part][place]


@dataclass(frozen=True)
class Staged:
    """A projection's fold as the blocks of a binary COPY, in the order of its keys."""

    projection: Projection
    keys: int
    blocks: tuple[memoryview, ...]


@dataclass
class Prepared:
    """Folded rows. Give it to `write`; a failed write may be repeated with the same one."""

    folds: dict[str, Folds] = field(default_factory=lambda: {p.name: Folds(p) for p in PROJECTIONS})
    staged: dict[str, Staged] = field(default_factory=dict)
    blobs: list[BlobRow] = field(default_factory=list)
    id_blocks: list[tuple[int, int, str, int]] = field(default_factory=list)
    #: Events that their senders gave an id: (that id, the row).
    sent: list[tuple[str, bytes]] = field(default_factory=list)
    inner: dict[bytes, InnerRow] = field(default_factory=dict)
    customers: list[Sequence[str | None] | pa.ChunkedArray] = field(default_factory=list)
    rows: int = 0
    without_effect: int = 0
    unattributed: int = 0
    kept: int = 0
    #: Whether a row is among them after which nothing may be written that was read before.
    exclusive: bool = False

    def named(self, most: int) -> set[str] | None:
        """The customers of all keys, or None when there are more than `most` keys."""
        if self.staged or sum(len(folds.states) for folds in self.folds.values()) > most:
            return None
        found: set[str] = set()
        for folds in self.folds.values():
            if folds.states and folds.projection.customer is not None:
                whose = settled(folds.projection, folds.projection.customer)
                found.update(whose(key, state) for key, state in folds.states.items())
        return found

    def count_of(self, customers: set[str]) -> int:
        """How many of the rows are of these customers."""
        count = 0
        wanted = pa.array(sorted(customers), pa.string()) if customers else None
        for some in self.customers:
            if isinstance(some, pa.ChunkedArray):
                count += int(pc.sum(pc.is_in(some, value_set=wanted)).as_py() or 0)
            else:
                count += sum(1 for customer in some if customer in customers)
        return count
