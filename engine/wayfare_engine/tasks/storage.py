"""Tasks in PostgreSQL: reading them, and changing one under its key's lock."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection

from wayfare_engine.crashpoints import crash_point
from wayfare_engine.errors import MISSING, SaidToPeople
from wayfare_engine.facts import Draft, Fact, versions, write_async
from wayfare_engine.ledger import Kind, fence
from wayfare_engine.ledger.bodies import TaskState
from wayfare_engine.tasks.rules import Standing, overdue

_changed = crash_point("tasks.changed", "a task's change is committed; nobody was answered yet")

_COLUMNS = (
    "send_key, customer_id, channel, script::text, outcomes::text, on_due, hand_back_to, expires, "
    "made_at, version, changed_at, state, assignee, due, holder, by, outcome, note::text"
)
_HERE = "made_epoch > 0 AND rank > 0"
_ONE = f"SELECT {_COLUMNS} FROM wayfare.tasks WHERE send_key = ANY(%s) AND {_HERE}"  # noqa: S608
# In the order of what is due first; what has no such time comes last.
_PAGE = f"""
SELECT {_COLUMNS} FROM wayfare.tasks
WHERE {_HERE}
    AND (%(assignee)s::text IS NULL OR assignee = %(assignee)s)
    AND (%(state)s::text IS NULL OR state = %(state)s)
    AND (%(customer)s::text IS NULL OR customer_id = %(customer)s)
    AND (coalesce(due, 'infinity'), send_key) > (%(due)s::timestamptz, %(after)s)
ORDER BY coalesce(due, 'infinity'), send_key LIMIT %(limit)s
"""  # noqa: S608 - columns of our own
_DUE = (
    "SELECT send_key FROM wayfare.tasks WHERE state IN ('Open', 'Taken') AND due <= %s "
    "AND made_epoch > 0 ORDER BY due, send_key LIMIT %s"
)
_COUNT = (
    "SELECT state, count(*) FROM wayfare.tasks "
    "WHERE state IN ('Open', 'Taken') AND made_epoch > 0 GROUP BY state"
)


@dataclass(eq=False)
class NoSuchTask(SaidToPeople):
    """Nobody made it here."""

    exit_code = MISSING

    send_key: str

    def __str__(self) -> str:
        return f"there is no task {self.send_key} here; see wayfare tasks list"


@dataclass(frozen=True)
class Wanted:
    """Which tasks; None: whatever it is. `after` is the key of the last one that was seen."""

    assignee: str | None = None
    state: str | None = None
    customer: str | None = None
    after: str | None = None
    limit: int = 100


async def page(connection: AsyncConnection[Any], wanted: Wanted) -> list[Standing]:
    """Tasks in the order in which they are due. Raises NoSuchTask for an `after` that there is not,
    psycopg.Error."""
    due: Any = "-infinity"
    if wanted.after is not None:
        last = await one(connection, wanted.after)
        due = last.due if last.due is not None else "infinity"
    asked = {
        "assignee": wanted.assignee,
        "state": wanted.state,
        "customer": wanted.customer,
        "after": wanted.after or "",
        "due": due,
        "limit": wanted.limit,
    }
    return [Standing(*row) for row in await (await connection.execute(_PAGE, asked)).fetchall()]


async def one(connection: AsyncConnection[Any], send_key: str) -> Standing:
    """A task. Raises NoSuchTask, psycopg.Error."""
    found = await _read(connection, [send_key])
    if not found:
        raise NoSuchTask(send_key)
    return found[0]


async def change(
    connection: AsyncConnection[Any],
    send_key: str,
    to: Callable[[Standing], TaskState | None],
    *,
    site: str,
    ids: Callable[[], uuid.UUID],
    now: datetime,
) -> tuple[Standing, bool]:
    """Read a task, ask `to` what it becomes, and write that, with nobody in between: of two who
    change it at once the second one sees what the first did.

    The task as it stands then, and whether something was written. Raises NoSuchTask, StaleEpoch,
    psycopg.Error, and what `to` raises.
    """
    async with connection.transaction():
        await _enter(connection, [send_key])
        task = await one(connection, send_key)
        state = to(task)
        if state is not None:
            fact = Fact(state, now, task.customer)
            await write_async(connection, [Draft(ids(), fact)], site=site)
            task = await one(connection, send_key)
    if state is not None:
        _changed()
    return task, state is not None


async def end_due(
    connection: AsyncConnection[Any],
    *,
    site: str,
    ids: Callable[[], uuid.UUID],
    now: datetime,
    batch: int = 500,
) -> int:
    """Expire or hand back what is due; returns how many. `connection` autocommits.

    Raises StaleEpoch where this site does not act, psycopg.Error.
    """
    ended = 0
    while True:
        found = await (await connection.execute(_DUE, (now, batch))).fetchall()
        if not found:
            return ended
        keys = [key for (key,) in found]
        async with connection.transaction():
            await _enter(connection, keys)
            drafts = [
                Draft(ids(), Fact(state, now, task.customer))
                for task in await _read(connection, keys)
                if (state := overdue(task, now)) is not None
            ]
            if drafts:
                await write_async(connection, drafts, site=site)
        ended += len(drafts)
        if len(found) < batch:
            return ended


async def counts(connection: AsyncConnection[Any]) -> dict[str, int]:
    """How many tasks are open and taken. Raises psycopg.Error."""
    return dict(await (await connection.execute(_COUNT)).fetchall())


async def _enter(connection: AsyncConnection[Any], send_keys: Sequence[str]) -> None:
    """The epoch first, then the keys: the order in which every writer waits."""
    await fence.enter_present_async(connection)
    numbers = versions.locks_of((Kind.TASK_STATE, (key,)) for key in send_keys)
    await connection.execute(versions.LOCK.encode(), (numbers,))


async def _read(connection: AsyncConnection[Any], send_keys: Sequence[str]) -> list[Standing]:
    cursor = await connection.execute(_ONE, (list(send_keys),))
    return [Standing(*row) for row in await cursor.fetchall()]
