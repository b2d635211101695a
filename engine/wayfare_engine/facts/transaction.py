"""Facts become rows in one transaction: epoch, keys' locks, versions, repeats, rows, projections.

The steps are one generator that two drivers go through, for blocking and for asyncio connections.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import AsyncConnection, Connection

from wayfare_engine.facts import repeats, versions
from wayfare_engine.facts.fact import Fact
from wayfare_engine.facts.record import record, record_async
from wayfare_engine.ledger import LedgerRow, fence
from wayfare_engine.ledger.bodies import encode

_EPOCH = "SELECT wayfare.enter_present_epoch()"
_THERE = "SELECT id, tx::text, epoch FROM wayfare.ledger WHERE id = ANY(%s)"
#: Rows that came back from a chain: their transaction is not the one that was sealed.
_SETTLED = "SELECT id FROM wayfare.settled_rows WHERE id = ANY(%s)"


@dataclass(frozen=True)
class Draft:
    """A fact with the id that its row will have, however often writing it is tried."""

    id: uuid.UUID
    fact: Fact


@dataclass(frozen=True)
class Written:
    """What became of a fact: its row, which is an earlier one when it is a `repeat`.

    `tx` and `epoch` are those under which the row was written, by which the journal can be asked;
    None when the row is known to have come from a chain.
    """

    id: uuid.UUID
    repeat: bool
    tx: int | None
    epoch: int | None
    version: int | None = None


@dataclass(frozen=True)
class _Ask:
    sql: str
    arguments: tuple[Any, ...] = ()


@dataclass(frozen=True)
class _Record:
    rows: list[LedgerRow]


_Steps = Generator[_Ask | _Record, Any, list[Written]]


def write(
    connection: Connection[Any], drafts: Sequence[Draft], *, site: str, again: bool = False
) -> list[Written]:
    """Write facts in the transaction that is open (or their own), under the present epoch.

    One answer a draft, in their order. `again`: an earlier attempt may have been committed; what
    it wrote is not written twice. Raises StaleEpoch when this site does not hold its epoch,
    RowDamaged, and psycopg.Error; nothing is written then.
    """
    steps = _steps(drafts, site, again)
    with connection.transaction(), fence.refusals(0):
        try:
            step = next(steps)
            while True:
                if isinstance(step, _Record):
                    step = steps.send(record(connection, step.rows))
                else:
                    done = connection.execute(step.sql.encode(), step.arguments or None)
                    step = steps.send(done.fetchall())
        except StopIteration as end:
            return _written(end.value)


async def write_async(
    connection: AsyncConnection[Any],
    drafts: Sequence[Draft],
    *,
    site: str,
    again: bool = False,
    committing: Callable[[], None] = lambda: None,
) -> list[Written]:
    """`write` for asyncio. `committing` is called before the commit is asked for: until then a lost
    connection has written nothing."""
    steps = _steps(drafts, site, again)
    async with connection.transaction():
        with fence.refusals(0):
            try:
                step = next(steps)
                while True:
                    if isinstance(step, _Record):
                        step = steps.send(await record_async(connection, step.rows))
                    else:
                        done = await connection.execute(step.sql.encode(), step.arguments or None)
                        step = steps.send(await done.fetchall())
            except StopIteration as end:
                committing()
                return _written(end.value)


def _steps(drafts: Sequence[Draft], site: str, again: bool) -> _Steps:
    ((epoch,),) = yield _Ask(_EPOCH)
    answers: dict[uuid.UUID, Written] = {}
    if again:
        for row_id, tx, wrote in (yield _Ask(_THERE, ([draft.id for draft in drafts],))):
            answers[row_id] = Written(row_id, False, int(tx), wrote)
    left = [draft for draft in drafts if draft.id not in answers]
    locks = versions.lock_numbers(draft.fact for draft in left)
    if locks:
        yield _Ask(versions.LOCK, (locks,))
    numbers: dict[tuple[Any, ...], int] = {}
    for kind, keys in versions.by_kind(draft.fact for draft in left).items():
        for place, version in (yield _Ask(versions.highest(kind), versions.turned(keys))):
            numbers[kind, keys[place]] = version
    firsts = yield from _firsts(left)
    rows = []
    for draft in left:
        if firsts.get(draft.id, draft.id) != draft.id:
            continue
        version = None
        if draft.fact.parts:
            place = (draft.fact.kind, draft.fact.parts)
            version = numbers[place] = numbers[place] + 1
        rows.append(_row(draft, site, epoch, version))
    if rows:
        tx = yield _Record(rows)
        for row in rows:
            answers[row.id] = Written(row.id, False, tx, epoch, row.version)
    yield from _repeated(firsts, answers)
    return [answers.get(draft.id) or _repeat_of(answers[firsts[draft.id]]) for draft in drafts]


def _firsts(drafts: Sequence[Draft]) -> Generator[_Ask, Any, dict[uuid.UUID, uuid.UUID]]:
    """For each draft whose event has a sender's id, the row that has that id."""
    wanted: dict[str, uuid.UUID] = {}
    for draft in drafts:
        if draft.fact.client_id is not None:
            wanted.setdefault(draft.fact.client_id, draft.id)
    found: dict[str, uuid.UUID] = {}
    # Once, unless an id is forgotten (its time is over) between the two statements.
    while missing := [one for one in wanted if one not in found]:
        noted = yield _Ask(repeats.NOTE, (missing, [wanted[one] for one in missing]))
        found |= {client_id: wanted[client_id] for (client_id,) in noted}
        others = [one for one in missing if one not in found]
        if others:
            found |= dict((yield _Ask(repeats.KNOWN, (others,))))
    return {
        draft.id: found[draft.fact.client_id]
        for draft in drafts
        if draft.fact.client_id is not None
    }


def _repeated(
    firsts: dict[uuid.UUID, uuid.UUID], answers: dict[uuid.UUID, Written]
) -> Generator[_Ask, Any, None]:
    """Answers for rows that earlier transactions wrote."""
    earlier = sorted(set(firsts.values()) - answers.keys())
    if not earlier:
        return
    there = {row_id: (int(tx), epoch) for row_id, tx, epoch in (yield _Ask(_THERE, (earlier,)))}
    for (row_id,) in (yield _Ask(_SETTLED, (list(there),))):
        del there[row_id]
    for row_id in earlier:
        tx, epoch = there.get(row_id, (None, None))
        answers[row_id] = Written(row_id, True, tx, epoch)


def _repeat_of(first: Written) -> Written:
    return Written(first.id, True, first.tx, first.epoch)


def _row(draft: Draft, site: str, epoch: int, version: int | None) -> LedgerRow:
    fact = draft.fact
    return LedgerRow(
        id=draft.id,
        site=site,
        epoch=epoch,
        kind=fact.kind,
        key=fact.key,
        version=version,
        customer_id=fact.whose,
        at=fact.at,
        body=encode(fact.body),
    )


def _written(value: object) -> list[Written]:
    assert isinstance(value, list)
    return value
