"""Which task of a run may write to this database, and the fence in each of its transactions.

A task claims (run, step, attempt, pod) once, and begins each transaction that writes with `fence`.
A later attempt of the step, or a task of a later run, supersedes it by claiming: that waits for
the transaction that the other is in, and every later one of it is refused. So of two tasks that
are both alive, as after a partition of a node, one writes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import Connection
from psycopg.pq import TransactionStatus

from wayfare_engine.crashpoints import crash_point
from wayfare_engine.errors import SaidToPeople

_before = crash_point("tasks.claim.before_commit", "the claim is written and not committed")
_after = crash_point("tasks.claim.committed", "the claim is committed")


@dataclass(eq=False)
class Superseded(SaidToPeople):
    """Another task has what this one had, or wants: it must write nothing more."""

    plan: str
    run: int
    step: str
    attempt: int
    by: str

    def __str__(self) -> str:
        return (
            f"attempt {self.attempt} of {self.step} of run {self.run} of plan {self.plan} may not "
            f"write: {self.by}; nothing was written"
        )


@dataclass(eq=False)
class StillWriting(SaidToPeople):
    """The task that is to be superseded is in a transaction that does not end."""

    plan: str
    run: int
    step: str
    seconds: float

    def __str__(self) -> str:
        return (
            f"a task that {self.step} of run {self.run} of plan {self.plan} supersedes is in a "
            f"transaction, and was for {self.seconds:g} s: delete its pod, and try again; "
            "PostgreSQL ends what a dead pod left after about 10 s"
        )


@dataclass(frozen=True)
class TaskClaim:
    """The hold of one attempt on its step. `pod` is the pod's uid."""

    plan: str
    run: int
    step: str
    attempt: int
    pod: str

    def fence(self, connection: Connection[Any]) -> None:
        """First in each transaction that writes: hold the claim until it ends.

        Raises Superseded when the claim is another's by now, psycopg.Error, and RuntimeError
        outside a transaction, where the hold would end at once.
        """
        if connection.autocommit and connection.info.transaction_status is TransactionStatus.IDLE:
            raise RuntimeError("a fence outside a transaction holds nothing")
        values = (self.plan, self.run, self.step, self.attempt, self.pod)
        if connection.execute(_FENCE, values).fetchone() is None:
            raise self._superseded(connection)

    def _superseded(self, connection: Connection[Any]) -> Superseded:
        by = _said(*_holder(connection, self.plan, self.step), self.run)
        return Superseded(self.plan, self.run, self.step, self.attempt, by)


@dataclass(frozen=True)
class _Run:
    number: int
    revoked: bool


@dataclass(frozen=True)
class _Step:
    attempt: int
    pod: str
    undo: bool


_FENCE = """
SELECT FROM wayfare.task_runs r JOIN wayfare.task_claims c USING (plan, run)
WHERE r.plan = %s AND r.run = %s AND (c.undo OR NOT r.revoked)
    AND c.step = %s AND c.attempt = %s AND c.pod = %s
FOR SHARE OF r, c
"""
_NEWER_RUN = """
UPDATE wayfare.task_runs SET run = %(run)s, revoked = false
WHERE plan = %(plan)s AND run < %(run)s
"""
_FIRST_RUN = """
INSERT INTO wayfare.task_runs (plan, run) VALUES (%(plan)s, %(run)s) ON CONFLICT DO NOTHING
"""
_CLAIM = """
INSERT INTO wayfare.task_claims AS c (plan, run, step, attempt, pod, undo)
VALUES (%(plan)s, %(run)s, %(step)s, %(attempt)s, %(pod)s, %(undo)s)
ON CONFLICT (plan, run, step) DO UPDATE
    SET attempt = excluded.attempt, pod = excluded.pod, undo = excluded.undo,
        claimed_at = excluded.claimed_at
    WHERE c.attempt < excluded.attempt
"""
_REVOKE = """
INSERT INTO wayfare.task_runs AS r (plan, run, revoked) VALUES (%(plan)s, %(run)s, true)
ON CONFLICT (plan) DO UPDATE SET run = excluded.run, revoked = true
    WHERE (r.run, r.revoked) < (excluded.run, true)
"""
_RUN = "SELECT run, revoked FROM wayfare.task_runs WHERE plan = %s"
_HELD_RUN = f"{_RUN} FOR SHARE"
_HOLDER = """
SELECT attempt, pod, undo FROM wayfare.task_claims WHERE plan = %s AND run = %s AND step = %s
"""
_FORGET = "DELETE FROM wayfare.task_claims WHERE plan = %(plan)s AND run < %(run)s"


def claim(
    connection: Connection[Any],
    *,
    plan: str,
    run: int,
    step: str,
    attempt: int,
    pod: str,
    undo: bool = False,
    patience: float = 30.0,
) -> TaskClaim:
    """Claim a step for this attempt and pod, in a transaction of its own. Safe to repeat.

    With `undo` it takes back what the run did: it revokes the run first, so that no other task of
    it writes any more. Waits for the transaction that a superseded task is in, at most `patience`
    seconds. Raises
    Superseded when a later attempt or run has claimed, the run was revoked, or another pod has
    this attempt; StillWriting; psycopg.Error, after which it may be claimed or not.
    """
    made = TaskClaim(plan, run, step, attempt, pod)
    values = {
        "plan": plan, "run": run, "step": step, "attempt": attempt, "pod": pod, "undo": undo
    }  # fmt: skip
    try:
        with _patiently(connection, patience):
            if undo:
                connection.execute(_REVOKE, values)
            else:
                connection.execute(_FIRST_RUN, values)
                connection.execute(_NEWER_RUN, values)
            connection.execute(_FORGET, values)
            present, _ = _holder(connection, plan, step, lock=True)
            if present == _Run(run, revoked=undo):
                connection.execute(_CLAIM, values)
            made.fence(connection)
            _before()
    except psycopg.errors.LockNotAvailable:
        raise StillWriting(plan, run, step, patience) from None
    _after()
    return made


def revoke(connection: Connection[Any], *, plan: str, run: int, patience: float = 30.0) -> None:
    """End the claims of this run and of all before it: none of their tasks writes any more.

    For a run that is abandoned; what takes its effects back claims with `undo`. Safe to repeat; a
    later run is left alone. Raises StillWriting, psycopg.Error.
    """
    values = {"plan": plan, "run": run}
    try:
        with _patiently(connection, patience):
            connection.execute(_REVOKE, values)
    except psycopg.errors.LockNotAvailable:
        raise StillWriting(plan, run, "the abandonment", patience) from None


def _holder(
    connection: Connection[Any], plan: str, step: str, *, lock: bool = False
) -> tuple[_Run | None, _Step | None]:
    """The run that may write, and who has the step in it."""
    row = connection.execute(_HELD_RUN if lock else _RUN, (plan,)).fetchone()
    if row is None:
        return None, None
    found = connection.execute(_HOLDER, (plan, row[0], step)).fetchone()
    return _Run(*row), None if found is None else _Step(*found)


def _said(present: _Run | None, by: _Step | None, run: int) -> str:
    if present is not None and present.number != run:
        return f"run {present.number} claimed this database"
    if present is not None and present.revoked and not (by and by.undo):
        return "the run was abandoned"
    if by is None:
        return "it never claimed the step, or the database was replaced since"
    return f"attempt {by.attempt} in pod {by.pod} has the step"


@contextmanager
def _patiently(connection: Connection[Any], seconds: float) -> Iterator[None]:
    """A transaction of its own, in which locks are waited for so long."""
    if connection.info.transaction_status is not TransactionStatus.IDLE:
        raise RuntimeError("a claim takes effect when its own transaction ends")
    with connection.transaction():
        connection.execute(
            "SELECT set_config('lock_timeout', %s, true)", (f"{max(1, round(seconds * 1000))}ms",)
        )
        yield
