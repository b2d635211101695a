"""What the chains say that a projection holds, up to where this database applied them.

Computed from the objects in the store by the same folding as everywhere, and compared with the
table: what is missing was lost, what is more came from nowhere. It costs memory in proportion to
the keys of the projection.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
from psycopg import Connection, sql

from wayfare_engine.journal import intents
from wayfare_engine.journal.chain import chains, fetch, left_out, objects, opened
from wayfare_engine.journal.positions import Chain, positions
from wayfare_engine.journal.segment import Closed
from wayfare_engine.ledger import Kind
from wayfare_engine.objectstore import ObjectStore
from wayfare_engine.objectstore.paths import SEQ_DIGITS
from wayfare_engine.objectstore.store import Listed
from wayfare_engine.projections.declared import BY_NAME, Projection
from wayfare_engine.projections.prepared import Key, Prepared, microseconds
from wayfare_engine.projections.preparing import add_inner, add_table
from wayfare_engine.recovery.checks.looking import Looking
from wayfare_engine.recovery.checks.own_rows import own_ids

_BATCH: Final = 5000
#: What is compared: the kind of row, and the projection that follows from it.
_PROJECTIONS: Final = {Kind.ASSIGNMENT: "assignments", Kind.TRANSITION: "journey_instances"}
_BESIDE: Final = (Kind.MERGED, Kind.ERASURE)
_KEPT: Final = "chains"


@dataclass(frozen=True)
class Expected:
    """The states of one projection's keys by the chains, over so many `segments`; `reached`: up to
    which position of each chain. `whole`: no older segment was left out; else keys that only those
    speak of are not known. `rows`: of assignments, what was read, with site and epoch, in the order
    of the epochs."""

    projection: Projection
    states: dict[Key, Any]
    erased: frozenset[str]
    segments: int
    reached: dict[Chain, int]
    whole: bool
    rows: list[tuple[pa.Table, str, int]]


@dataclass
class _Read:
    """One reading, for all checks that compare with it; it goes on where the database did. `out`:
    how many of a chain's oldest objects were left out."""

    into: Prepared = field(default_factory=Prepared)
    segments: int = 0
    reached: dict[Chain, int] = field(default_factory=dict)
    out: dict[Chain, int] = field(default_factory=dict)
    assignments: list[tuple[pa.Table, str, int]] = field(default_factory=list)

    def goes_on_to(self, reached: dict[Chain, int]) -> bool:
        """Whether no chain stands before where it was read to."""
        return all(reached.get(chain, 0) >= upto for chain, upto in self.reached.items())


@dataclass
class Compared:
    """Row ids where a table and the chains do not agree. `unsealed`: how many rows of the table
    are from rows of this database that are in no chain (yet). `not_judged`: how many are of keys
    that no segment speaks of that was read."""

    rows: int = 0
    unsealed: int = 0
    not_judged: int = 0
    lost: list[str] = field(default_factory=list)
    older: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    from_nowhere: list[str] = field(default_factory=list)

    @property
    def findings(self) -> list[Any]:
        """For the evidence, by the id of the ledger's row: no customer is named there."""
        return [
            {"what": what, "row": row}
            for what, some in (
                ("lost", self.lost),
                ("older than the chains say", self.older),
                ("not as the chains say", self.changed),
                ("in no chain", self.from_nowhere),
            )
            for row in some
        ]

    @property
    def figures(self) -> dict[str, int]:
        """Counts."""
        return {
            "rows": self.rows,
            "unsealed": self.unsealed,
            "notJudged": self.not_judged,
            "lost": len(self.lost),
            "older": len(self.older),
            "changed": len(self.changed),
            "fromNowhere": len(self.from_nowhere),
        }

    @property
    def said(self) -> str:
        """What is wrong, in words; empty when nothing is."""
        parts = (
            (self.lost, "lost"),
            (self.older, "older than the chains say"),
            (self.changed, "not as the chains say"),
            (self.from_nowhere, "in no chain"),
        )
        return ", ".join(f"{len(some):,} {what}" for some, what in parts if some)


def expected(at: Looking, connection: Connection[Any], kind: Kind) -> Expected:
    """What the chains say of assignments or transitions, up to where the connection's snapshot
    stands; of long ones, the `chain_objects` newest objects (see `left_out`). They are read once
    for all checks of one looking; where the database has moved on between two, so does the reading.

    Raises ChainProblem, NewerFormat, RowDamaged, StoreProblem, StoreUnavailable, psycopg.Error.
    """
    reached = _reached(connection, at.objects)
    # Not kept meanwhile: what fails leaves half of it, and the next check begins anew.
    read: _Read | None = at.kept.pop(_KEPT, None)
    if read is None or not read.goes_on_to(reached):
        read = _Read()
    if read.reached != reached:
        _read_on(at, read, reached)
    at.kept[_KEPT] = read
    name = _PROJECTIONS[kind]
    return Expected(
        projection=BY_NAME[name],
        states=read.into.folds[name].states,
        erased=frozenset(key[0] for key in read.into.folds["erased"].states),
        segments=read.segments,
        reached=reached,
        whole=not any(read.out.values()),
        rows=sorted(read.assignments, key=lambda one: one[2]) if kind == Kind.ASSIGNMENT else [],
    )


def _reached(connection: Connection[Any], store: ObjectStore) -> dict[Chain, int]:
    applied = {chain: at.seq for chain, at in positions(connection).items()}
    return {
        chain: max(applied.get(chain, 0), intents.position(connection, *chain).seq)
        for chain in chains(store)
    }


def _read_on(at: Looking, read: _Read, reached: dict[Chain, int]) -> None:
    """Up to `reached`, from where it stands. It is of no use after an error."""
    store, before = at.objects, read.reached
    wanted = pa.array([kind.value for kind in (*_PROJECTIONS, *_BESIDE)])
    listed = {
        chain: _to_read(objects(store, *chain), before.get(chain, 0), upto)
        for chain, upto in reached.items()
        if upto > before.get(chain, 0)
    }
    if not before:
        counts = {chain: len(every) for chain, every in listed.items()}
        read.out = left_out(counts, at.objectives.chain_objects)
    for chain, every in listed.items():
        done = before.get(chain, 0)
        for path, data in fetch(store, every if before else every[read.out[chain] :]):
            found = opened(path, data, bodies=False)
            if isinstance(found, Closed):
                break
            read.segments += found.header.first > done
            if read.segments % 100 == 0:
                at.say(f"chains: {read.segments:,} segments read")
            if not pc.any(pc.is_in(found.rows["kind"], value_set=wanted)).as_py():
                continue
            found = opened(path, data)
            assert not isinstance(found, Closed), "it was a segment just now"
            known = max(0, done - found.header.first + 1)
            rows = found.rows.slice(known, reached[chain] - found.header.first + 1 - known)
            rows = rows.filter(pc.is_in(rows["kind"], value_set=wanted))
            add_table(read.into, rows, site=chain[0], epoch=chain[1])
            given = rows.filter(pc.equal(rows["kind"], Kind.ASSIGNMENT.value))
            if given.num_rows:
                read.assignments.append((given, *chain))
    inner = read.into.inner
    add_inner(read.into, [row for row in inner.values() if row.kind in _PROJECTIONS])
    read.reached = reached


def _to_read(every: list[Listed], done: int, upto: int) -> list[Listed]:
    """The objects with positions above `done`, up to `upto`."""
    firsts = [int(one.path[-SEQ_DIGITS:]) for one in every]
    return every[max(0, bisect_right(firsts, done + 1) - 1) : bisect_right(firsts, upto)]


def compare(connection: Connection[Any], said: Expected) -> Compared:
    """The table in the connection's snapshot against what the chains say. Raises psycopg.Error."""
    projection, left = said.projection, dict(said.states)
    found = Compared()
    place = projection.place("row_id") - len(projection.key)
    versions = place + 1
    unsealed: set[bytes] | None = None
    for row in _table(connection, projection):
        found.rows += 1
        key, state = row[: len(projection.key)], row[len(projection.key) :]
        there = left.pop(key, None)
        if there == state:
            continue
        if there is not None and state[:versions] == there[:versions]:
            found.changed.append(there[place].hex())
        elif there is not None and state[:versions] < there[:versions]:
            found.older.append(there[place].hex())
        else:
            if unsealed is None:
                unsealed = own_ids(connection, said.reached, projection.kinds)
            if state[place] in unsealed:
                found.unsealed += 1
            elif there is None and not said.whole:
                found.not_judged += 1
            else:
                found.from_nowhere.append(state[place].hex())
    whose = projection.place("customer_id")
    missing = [(str((key + state)[whose]), state[place].hex()) for key, state in left.items()]
    erased = said.erased
    if missing and not said.whole:
        erased |= _erased(connection, [customer for customer, _ in missing])
    found.lost += [row for customer, row in missing if customer not in erased]
    return found


def _erased(connection: Connection[Any], customers: list[str]) -> frozenset[str]:
    """Those of whom this database knows that they were erased, in a segment that was not read."""
    found = connection.execute(
        "SELECT customer_id FROM wayfare.erased WHERE customer_id = ANY(%s)", (customers,)
    ).fetchall()
    return frozenset(row[0] for row in found)


def _table(connection: Connection[Any], projection: Projection) -> Iterable[tuple[Any, ...]]:
    """All rows, with values as folds have them."""
    names = sql.SQL(", ").join(sql.Identifier(column.name) for column in projection.columns)
    query = sql.SQL("SELECT {} FROM {}").format(names, sql.Identifier("wayfare", projection.name))
    turned: dict[int, Callable[[Any], Any]] = {
        place: (lambda value: value.bytes) if column.type == "uuid" else microseconds
        for place, column in enumerate(projection.columns)
        if column.type in ("uuid", "timestamptz")
    }
    with connection.cursor(name="projection") as cursor:
        cursor.itersize = _BATCH
        cursor.execute(query)
        for row in cursor:
            yield tuple(
                turned[place](value) if value is not None and place in turned else value
                for place, value in enumerate(row)
            )
