"""Of two tasks that are both alive one writes: claims and fences in concurrent transactions."""

from __future__ import annotations

import itertools
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from psycopg import Connection, IsolationLevel

from tests.servers.forking import context
from tests.servers.postgresql import rows
from tests.servers.wait import until
from wayfare_engine.store.task_claims import StillWriting, Superseded, TaskClaim, claim, revoke

PLAN = "bank.retail"


@pytest.fixture
def dsn(dsn: str) -> str:
    """With a table that tasks write to."""
    with psycopg.connect(dsn) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS public.work (who text)")
        connection.execute("TRUNCATE public.work")
    return dsn


def connect(dsn: str) -> Connection[Any]:
    return psycopg.connect(dsn, autocommit=True)


def claimed(connection: Connection[Any], attempt: int = 1, **other: Any) -> TaskClaim:
    """An attempt of CatchUp of run 1, in a pod of its own."""
    given: dict[str, Any] = {"plan": PLAN, "run": 1, "step": "CatchUp", "pod": f"pod-{attempt}"}
    return claim(connection, attempt=attempt, **(given | other))


def write(connection: Connection[Any], held: TaskClaim) -> None:
    """One transaction of a task."""
    with connection.transaction():
        held.fence(connection)
        connection.execute("INSERT INTO public.work VALUES (%s)", (held.pod,))


def written(dsn: str) -> list[str]:
    return [str(who) for (who,) in rows(dsn, "SELECT who FROM public.work")]


def wait_for_lock(dsn: str, many: int = 1) -> None:
    """Until so many sessions wait for a row or the transaction that has it."""
    until(
        lambda: rows(dsn, "SELECT count(*) FROM pg_locks WHERE NOT granted") == [(many,)],
        what="a session that waits for a lock",
        every=0.01,
    )


def test_who_claimed_writes_and_may_claim_again(dsn: str) -> None:
    with connect(dsn) as connection:
        held = claimed(connection)
        write(connection, held)
        assert claimed(connection) == held
        write(connection, held)
    assert written(dsn) == ["pod-1", "pod-1"]


def test_a_superseded_tasks_writes_are_refused_and_it_is_told_by_whom(dsn: str) -> None:
    with connect(dsn) as first, connect(dsn) as second:
        old = claimed(first)
        new = claimed(second, 2)
        write(second, new)
        with pytest.raises(
            Superseded, match=r"attempt 1 of CatchUp of run 1 .*: attempt 2 in pod pod-2 has the st"
        ):
            write(first, old)
        with pytest.raises(Superseded):
            claimed(first)
        write(second, new)
    assert written(dsn) == ["pod-2", "pod-2"]


def test_two_pods_of_one_attempt_are_not_both_let_in(dsn: str) -> None:
    with connect(dsn) as first, connect(dsn) as second:
        held = claimed(first, pod="a")
        with pytest.raises(Superseded, match="attempt 1 in pod a has the step"):
            claimed(second, pod="b")
        write(first, held)


def test_steps_of_a_run_do_not_disturb_each_other(dsn: str) -> None:
    with connect(dsn) as first, connect(dsn) as second, first.transaction():
        waiting = claimed(second, step="FenceWait")
        catching = claimed(second, step="CatchUpFinal")
        waiting.fence(first)
        write(second, catching)
        claimed(second, step="Activate")
        first.execute("INSERT INTO public.work VALUES ('wait')")
    assert written(dsn) == ["pod-1", "wait"]


def test_a_task_of_a_later_run_ends_all_claims_of_the_runs_before(dsn: str) -> None:
    with connect(dsn) as first, connect(dsn) as second:
        old = [claimed(first, step=step) for step in ("CatchUp", "Verify")]
        write(second, claimed(second, run=2))
        for one in old:
            with pytest.raises(Superseded, match="run 2 claimed this database"):
                write(first, one)
            with pytest.raises(Superseded):
                claimed(first, 9, step=one.step)
        assert rows(dsn, "SELECT run, step FROM wayfare.task_claims") == [(2, "CatchUp")]


def test_plans_do_not_meet(dsn: str) -> None:
    with connect(dsn) as connection:
        held = claimed(connection)
        claimed(connection, plan="bank.other", run=7)
        write(connection, held)


def test_a_run_that_is_abandoned_writes_no_more_and_the_next_does(dsn: str) -> None:
    with connect(dsn) as connection:
        held = claimed(connection)
        revoke(connection, plan=PLAN, run=1)
        revoke(connection, plan=PLAN, run=1)
        with pytest.raises(Superseded, match="the run was abandoned"):
            write(connection, held)
        with pytest.raises(Superseded, match="the run was abandoned"):
            claimed(connection, 2)
        later = claimed(connection, run=2)
        revoke(connection, plan=PLAN, run=1)
        write(connection, later)
    assert written(dsn) == ["pod-1"]


def test_what_takes_an_abandoned_run_back_writes_and_nothing_else_of_it(dsn: str) -> None:
    with connect(dsn) as first, connect(dsn) as second, ThreadPoolExecutor(1) as pool:
        old = claimed(first)
        with first.transaction():
            old.fence(first)
            taking = pool.submit(lambda: claimed(second, step="Resume", pod="undo", undo=True))
            wait_for_lock(dsn)
            first.execute("INSERT INTO public.work VALUES ('old')")
        undo = taking.result(30)
        write(second, undo)
        assert claimed(second, step="Resume", pod="undo", undo=True) == undo
        for call in (lambda: write(first, old), lambda: claimed(first, 2, step="Seal")):
            with pytest.raises(Superseded, match="the run was abandoned"):
                call()
        again = claimed(second, 2, step="Resume", pod="undo-2", undo=True)
        with pytest.raises(Superseded, match="attempt 2 in pod undo-2 has the step"):
            write(second, undo)
        write(second, again)
        write(first, claimed(first, run=2, pod="next"))
        with pytest.raises(Superseded, match="run 2 claimed"):
            claimed(second, 3, step="Resume", undo=True)
    assert written(dsn) == ["old", "undo", "undo-2", "next"]


def test_a_run_that_never_claimed_can_be_revoked(dsn: str) -> None:
    with connect(dsn) as connection:
        revoke(connection, plan=PLAN, run=3)
        for run in (1, 3):
            with pytest.raises(Superseded):
                claimed(connection, run=run)


@pytest.mark.parametrize("later", [{"attempt": 2}, {"attempt": 1, "run": 2}, {"revoke": True}])
def test_who_supersedes_waits_for_the_transaction_that_is_under_way(
    dsn: str, later: dict[str, Any]
) -> None:
    with connect(dsn) as first, connect(dsn) as second, ThreadPoolExecutor(1) as pool:
        old = claimed(first)
        with first.transaction():
            old.fence(first)
            if "revoke" in later:
                taking = pool.submit(lambda: revoke(second, plan=PLAN, run=1))
            else:
                taking = pool.submit(lambda: write(second, claimed(second, pod="new", **later)))
            wait_for_lock(dsn)
            first.execute("INSERT INTO public.work VALUES ('old')")
            assert not taking.done()
        taking.result(30)
        with pytest.raises(Superseded):
            write(first, old)
    assert written(dsn) == (["old"] if "revoke" in later else ["old", "new"])


def test_a_fence_that_waited_for_who_superseded_it_sees_that(dsn: str) -> None:
    with connect(dsn) as first, connect(dsn) as second, ThreadPoolExecutor(1) as pool:
        old = claimed(first)
        with second.transaction():
            second.execute(
                "UPDATE wayfare.task_claims SET attempt = 2, pod = 'pod-2' WHERE plan = %s", (PLAN,)
            )
            writing = pool.submit(write, first, old)
            wait_for_lock(dsn)
        with pytest.raises(Superseded, match="attempt 2 in pod pod-2"):
            writing.result(30)
    assert written(dsn) == []


@pytest.mark.parametrize("level", [IsolationLevel.REPEATABLE_READ, IsolationLevel.SERIALIZABLE])
def test_an_old_snapshot_does_not_help_a_superseded_task(dsn: str, level: IsolationLevel) -> None:
    with connect(dsn) as first, connect(dsn) as second:
        old = claimed(first)
        first.isolation_level = level
        with first.transaction(force_rollback=True):
            first.execute("SELECT count(*) FROM public.work")
            claimed(second, 2)
            with pytest.raises(psycopg.errors.SerializationFailure):
                old.fence(first)
    assert written(dsn) == []


def test_many_attempts_at_once_leave_writes_of_one_after_the_other(dsn: str) -> None:
    """Each attempt writes until it is refused; no row of one is after a row of a later one."""
    with connect(dsn) as connection:
        connection.execute("ALTER TABLE public.work ADD COLUMN at bigserial")
    ready = threading.Barrier(8)
    refused = []

    def attempt(number: int) -> None:
        with connect(dsn) as connection:
            ready.wait(30)
            try:
                held = claimed(connection, number, pod=f"{number}")
                for _ in range(500) if number == 8 else itertools.count():
                    write(connection, held)
            except Superseded:
                refused.append(number)

    with ThreadPoolExecutor(8) as pool:
        working = [pool.submit(attempt, number) for number in range(1, 9)]
        until(lambda: len(refused) == 7, what="seven attempts are superseded")
        for one in working:
            one.result(60)
    in_order = [int(who) for (who,) in rows(dsn, "SELECT who FROM public.work ORDER BY at")]
    assert in_order == sorted(in_order)
    assert sorted(refused) == list(range(1, 8))
    assert in_order.count(8) == 500


def test_a_task_that_does_not_end_its_transaction_is_named_after_a_while(dsn: str) -> None:
    with connect(dsn) as first, connect(dsn) as second:
        old = claimed(first)
        with first.transaction():
            old.fence(first)
            with pytest.raises(StillWriting, match=r"was for 0.2 s: delete its pod"):
                claimed(second, 2, patience=0.2)
            with pytest.raises(StillWriting):
                revoke(second, plan=PLAN, run=1, patience=0.2)
        write(first, old)
        claimed(second, 2)


def hang(dsn: str, ready: Any) -> None:
    """A task that is in a transaction and never ends it."""
    with connect(dsn) as connection:
        held = claimed(connection)
        with connection.transaction():
            held.fence(connection)
            connection.execute("INSERT INTO public.work VALUES ('old')")
            ready.set()
            signal.pause()


def test_what_a_killed_task_had_not_committed_is_gone_and_the_next_goes_on(dsn: str) -> None:
    ready = context.Event()
    task = context.Process(target=hang, args=(dsn, ready))
    task.start()
    assert ready.wait(60)
    with connect(dsn) as connection, ThreadPoolExecutor(1) as pool:
        taking = pool.submit(lambda: write(connection, claimed(connection, 2)))
        wait_for_lock(dsn)
        assert task.pid is not None
        os.kill(task.pid, signal.SIGKILL)
        taking.result(60)
    task.join(60)
    assert written(dsn) == ["pod-2"]


def test_a_fence_outside_a_transaction_is_an_error_of_the_program(dsn: str) -> None:
    with connect(dsn) as connection:
        held = claimed(connection)
        with pytest.raises(RuntimeError, match="holds nothing"):
            held.fence(connection)
        with connection.transaction(), pytest.raises(RuntimeError, match="own transaction"):
            claimed(connection)
        with connection.transaction(), pytest.raises(RuntimeError, match="own transaction"):
            revoke(connection, plan=PLAN, run=1)


def test_a_claim_that_is_not_in_the_database_any_more_is_said(dsn: str) -> None:
    with connect(dsn) as connection:
        held = claimed(connection)
        connection.execute("TRUNCATE wayfare.task_claims, wayfare.task_runs")
        with pytest.raises(Superseded, match="never claimed the step, or the database was replac"):
            write(connection, held)
