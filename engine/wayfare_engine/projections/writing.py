"""Writing what was folded: one statement a projection, the same for one row and for a million.

The caller's transaction must be READ COMMITTED (as everything that writes to the ledger is), and
should apply all its rows in one call: keys are written in their order, and projections in theirs,
so that transactions wait for each other and never in a circle.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from psycopg import AsyncConnection, Connection

from wayfare_engine.ledger import id_blocks
from wayfare_engine.ledger.row import LedgerRow
from wayfare_engine.projections import blobs, statements
from wayfare_engine.projections.columns import as_columns, given, in_order, limit
from wayfare_engine.projections.declared import BY_NAME, PROJECTIONS, Projection
from wayfare_engine.projections.prepared import Folds, Key, Prepared, Staged, settled
from wayfare_engine.projections.preparing import (
    STAGED_FROM,
    add_inner,
    add_rows,
    finish,
    prepare,
)


@dataclass(frozen=True)
class Applied:
    """What became of `rows` rows.

    `erased`: of customers that are erased. `expired`: keys older than their projection's cutoff.
    `unattributed`: of a kind that must name its customer and did not. `kept`: merged rows that are
    not applied as their own kind. `repeated`: merged rows that an earlier merge had put back.
    """

    rows: int = 0
    erased: int = 0
    expired: int = 0
    unattributed: int = 0
    kept: int = 0
    repeated: int = 0

    def __add__(self, other: Applied) -> Applied:
        """Both together."""
        return Applied(
            self.rows + other.rows,
            self.erased + other.erased,
            self.expired + other.expired,
            self.unattributed + other.unattributed,
            self.kept + other.kept,
            self.repeated + other.repeated,
        )


@dataclass(frozen=True)
class _Ask:
    sql: str
    arguments: tuple[Any, ...] = ()
    answers: bool = False


@dataclass(frozen=True)
class _Stage:
    staged: Staged


@dataclass(frozen=True)
class _Call:
    do: Callable[[Connection[Any]], None]


_Steps = Generator[_Ask | _Stage | _Call, list[tuple[Any, ...]], Applied]


def apply(connection: Connection[Any], rows: pa.Table, *, site: str, epoch: int) -> Applied:
    """Apply rows of one chain (the journal's columns; `tx` is not needed), in the caller's
    transaction. Each row is applied once only because the caller's watermark says so.

    Raises RowDamaged or NoApplier before anything of the batch is written, and psycopg.Error.
    """
    return write(connection, prepare(rows, site=site, epoch=epoch))


def apply_rows(connection: Connection[Any], rows: Sequence[LedgerRow]) -> Applied:
    """Apply rows in the transaction that appends them.

    Rows that refer to blobs are taken as applied: who wrote one wrote its tables too. Raises
    ValueError for rows that must name their customer and do not, RowDamaged, psycopg.Error.
    """
    return _drive(connection, _live(rows))


async def apply_rows_async(connection: AsyncConnection[Any], rows: Sequence[LedgerRow]) -> Applied:
    """`apply_rows` for serving pods. Merged rows that refer to blobs are refused here."""
    steps = _live(rows)
    answer: list[tuple[Any, ...]] = []
    try:
        step = next(steps)
        while True:
            if isinstance(step, _Call):
                raise ValueError("erasures and merged blobs are applied over a blocking connection")
            if isinstance(step, _Stage):
                name = step.staged.projection.name
                await connection.execute(statements.create_staging(name).encode())
                async with (
                    connection.cursor() as cursor,
                    cursor.copy(statements.copy_staging(name).encode()) as copy,
                ):
                    for block in step.staged.blocks:
                        await copy.write(block)
                answer = []
            else:
                done = await connection.execute(step.sql.encode(), step.arguments or None)
                answer = await done.fetchall() if step.answers else []
            step = steps.send(answer)
    except StopIteration as end:
        return _applied(end.value)


def write(connection: Connection[Any], prepared: Prepared) -> Applied:
    """Write folded rows in the caller's transaction; see `apply`."""
    finish(prepared)
    return _drive(connection, _steps(prepared, live=False))


def _live(rows: Sequence[LedgerRow]) -> _Steps:
    prepared = Prepared()
    add_rows(prepared, rows)
    if prepared.unattributed:
        raise ValueError("rows of sends and of journey instances must name their customer")
    finish(prepared)
    return _steps(prepared, live=True)


def _drive(connection: Connection[Any], steps: _Steps) -> Applied:
    answer: list[tuple[Any, ...]] = []
    try:
        step = next(steps)
        while True:
            answer = []
            if isinstance(step, _Call):
                step.do(connection)
            elif isinstance(step, _Stage):
                name = step.staged.projection.name
                connection.execute(statements.create_staging(name).encode())
                with (
                    connection.cursor() as cursor,
                    cursor.copy(statements.copy_staging(name).encode()) as copy,
                ):
                    for block in step.staged.blocks:
                        copy.write(block)
            else:
                done = connection.execute(step.sql.encode(), step.arguments or None)
                answer = done.fetchall() if step.answers else []
            step = steps.send(answer)
    except StopIteration as end:
        return _applied(end.value)


def _applied(value: object) -> Applied:
    assert isinstance(value, Applied)
    return value


def _steps(prepared: Prepared, *, live: bool, inner: bool = False) -> _Steps:
    if not inner:
        yield _Ask(statements.EXCLUSIVE if prepared.exclusive else statements.SHARED)
    erased_now = [key[0] for key in prepared.folds["erased"].states]
    yield from _remove(prepared, erased_now)
    erased, cutoffs = yield from _limits(prepared)
    expired = 0
    fresh: set[bytes] = set()
    for projection in PROJECTIONS:
        cutoff = cutoffs.get(projection.name)
        staged = prepared.staged.get(projection.name)
        if staged is not None:
            expired += yield from _copy(staged, erased=bool(erased), cutoff=cutoff)
            continue
        folds = prepared.folds[projection.name]
        if not folds.states or projection.name in ("erased", "retention_cutoffs"):
            continue
        keys, old = _wanted(folds, erased, cutoff)
        expired += old
        answers = yield from _upsert(folds, keys)
        fresh.update(origin.bytes for origin, inserted in answers if inserted)
    for first, size, site, chain_epoch in prepared.id_blocks:
        yield _Ask(id_blocks.APPLY, (site, chain_epoch, first, size, first + size))
    if prepared.sent and not live:
        yield from _note_repeats(prepared.sent)
    if prepared.blobs and not live:
        yield _Call(lambda connection: _apply_blobs(connection, prepared))
    done = Applied(
        rows=prepared.rows,
        erased=prepared.count_of(erased) if erased else 0,
        expired=expired,
        unattributed=prepared.unattributed,
        kept=prepared.kept,
    )
    new = [row for origin, row in prepared.inner.items() if origin in fresh]
    if len(new) < len(prepared.inner):
        done += Applied(repeated=len(prepared.inner) - len(new))
    if new:
        unwrapped = Prepared()
        add_inner(unwrapped, sorted(new, key=lambda row: row.origin_id))
        finish(unwrapped)
        within = yield from _steps(unwrapped, live=False, inner=True)
        done += Applied(0, within.erased, within.expired, within.unattributed)
    return done


def _note_repeats(sent: Sequence[tuple[str, bytes]]) -> Generator[_Ask, Any, None]:
    """Of events that another site or an earlier life of this one took, and may be sent again."""
    ((now,),) = yield _Ask(statements.NOW, answers=True)
    since = (now - statements.REPEATS_MILLISECONDS).to_bytes(6, "big")
    recent = [(client, row) for client, row in sent if row >= since and "\0" not in client]
    if recent:
        ids = [uuid.UUID(bytes=row) for _, row in recent]
        yield _Ask(statements.NOTE_REPEATS, ([client for client, _ in recent], ids))


def _remove(prepared: Prepared, erased: list[str]) -> Generator[Any, list[tuple[Any, ...]], None]:
    """Erasures and cutoffs come first: what else came with them is then filtered by them."""
    if erased:
        yield from _upsert(prepared.folds["erased"], sorted((customer,) for customer in erased))
        for projection in PROJECTIONS:
            if projection.customer is not None:
                yield _Ask(statements.delete_customers(projection.name), (erased,))
        if blobs.has_erasers():
            yield _Call(lambda connection: blobs.erase(connection, erased))
    folds = prepared.folds["retention_cutoffs"]
    if folds.states:
        yield from _upsert(folds, sorted(folds.states))
        for (name,), (before,) in sorted(folds.states.items()):
            found = BY_NAME.get(name)
            if found is not None and found.retained_by is not None:
                yield _Ask(statements.delete_until(name), _retained(found, limit(found, before)))


def _limits(
    prepared: Prepared,
) -> Generator[_Ask, list[tuple[Any, ...]], tuple[set[str], dict[str, int]]]:
    """Which of the customers are erased, and the cutoffs (as limits of the retained column)."""
    named = prepared.named(STAGED_FROM)
    answers = yield (
        _Ask(statements.ALL_LIMITS, answers=True)
        if named is None
        else _Ask(statements.LIMITS_OF, (sorted(named),), answers=True)
    )
    erased = {name for name, before in answers if before is None}
    cutoffs = {
        name: limit(BY_NAME[name], before)
        for name, before in answers
        if before is not None and name in BY_NAME and BY_NAME[name].retained_by
    }
    return erased, cutoffs


def _wanted(folds: Folds, erased: set[str], cutoff: int | None) -> tuple[list[Key], int]:
    """Keys to write, in order, and how many were left out because they are too old."""
    keys: list[Key] = list(folds.states)
    projection = folds.projection
    if erased and projection.customer is not None:
        whose = settled(projection, projection.customer)
        keys = [key for key in keys if whose(key, folds.states[key]) not in erased]
    left = len(keys)
    if cutoff is not None and projection.retained_by is not None:
        value = settled(projection, projection.retained_by)
        keys = [key for key in keys if value(key, folds.states[key]) > cutoff]
    old = left - len(keys)
    return in_order(keys, len(projection.key)), old


def _upsert(
    folds: Folds, keys: Sequence[Key]
) -> Generator[_Ask, list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    if not keys:
        return []
    projection = folds.projection
    values = as_columns(folds, keys)
    arrays = tuple(
        given(column, some) for column, some in zip(projection.columns, values, strict=True)
    )
    answers = projection.name == "merged_rows"
    return (yield _Ask(statements.upsert_given(projection.name), arrays, answers=answers))


def _copy(
    staged: Staged, *, erased: bool, cutoff: int | None
) -> Generator[_Ask | _Stage, list[tuple[Any, ...]], int]:
    """Write a staged fold; returns how many of its keys are too old."""
    projection = staged.projection
    yield _Stage(staged)
    expired, until = 0, ()
    if cutoff is not None:
        until = _retained(projection, cutoff)
        answers = yield _Ask(statements.count_expired(projection.name), until, answers=True)
        expired = int(answers[0][0])
    yield _Ask(
        statements.upsert_staged(projection.name, erased=erased, cutoff=cutoff is not None), until
    )
    yield _Ask(f"TRUNCATE {statements.staging(projection.name)}")
    return expired


def _retained(projection: Projection, value: int) -> tuple[Any, ...]:
    """A value of the retained column, as a parameter."""
    assert projection.retained_by is not None
    return tuple(given(projection.columns[projection.place(projection.retained_by)], [value]))


def _apply_blobs(connection: Connection[Any], prepared: Prepared) -> None:
    for row in prepared.blobs:
        blobs.apply_blob(connection, row)
