"""What goes wrong around a step: the stores are away, a segment is damaged, the schema is newer, a
later attempt has the step, a gate does not pass."""

from __future__ import annotations

import signal
import subprocess
import threading
from typing import Any

import psycopg
import pytest

from tests.catchup.databases import tables
from tests.journal.making import PLAN
from tests.recovery_steps.place import WORD, Sites
from tests.recovery_steps.test_failover import lose_east
from tests.servers.faultstore import Cut
from tests.servers.wait import until
from wayfare_engine import runs
from wayfare_engine.clock import now
from wayfare_engine.journal.catch_up import catch_up
from wayfare_engine.journal.chain import objects
from wayfare_engine.journal.snapshot import take as take_snapshot
from wayfare_engine.lease import highest
from wayfare_engine.resources import RunKind
from wayfare_engine.runs import Run
from wayfare_engine.store.migrate import newest_revision

STEPS = ("CatchUp", "Verify", "TakeEpoch", "CatchUpFinal", "FenceWait")


def failover(sites: Sites) -> Run:
    """East is lost; nothing is done yet."""
    fault_at = lose_east(sites, dead=False)
    return sites.begin(RunKind.FAILOVER, "west", statement=WORD, fault_at=fault_at)


def in_background(
    sites: Sites, run: Run, site: str, step: str, **more: str
) -> tuple[threading.Thread, list[subprocess.CompletedProcess[str]]]:
    """The next attempt of a step; what came of it is in the list once the thread has ended."""
    done: list[subprocess.CompletedProcess[str]] = []
    thread = threading.Thread(
        target=lambda: done.append(sites.attempt(run, site, step, number=0, **more))
    )
    thread.start()
    return thread, done


def test_the_store_is_away_in_each_step(sites: Sites) -> None:
    """It is waited for a bounded time; then the attempt has failed, and another one does it."""
    run = failover(sites)
    for step in STEPS:
        sites.faults.partition("west", how="refused")
        done = sites.attempt(run, "west", step, WAYFARE_OBJECT_STORE_TIMEOUT_SECONDS="1")
        sites.faults.heal("west")
        assert done.returncode == 3, f"{step}: {done.stderr}"
        assert "it was tried again for" in done.stderr
        assert "this could not be written" in done.stderr
        sites.do(run, "west", step)


@pytest.mark.parametrize("step", ["CatchUp", "TakeEpoch"])
def test_the_store_comes_back_while_a_step_waits(sites: Sites, step: str) -> None:
    run = failover(sites)
    if step == "TakeEpoch":
        sites.do(run, "west", "CatchUp")
    away = sites.faults.rule("west", Cut(), methods="GET PUT")
    thread, done = in_background(sites, run, "west", step, WAYFARE_OBJECT_STORE_TIMEOUT_SECONDS="1")
    # The client tries a call four times before the step hears of it.
    until(lambda: away.used > 8, what="the step has tried more than once")
    sites.faults.heal("west")
    thread.join()
    assert done[0].returncode == 0, done[0].stderr
    assert "trying again for" in done[0].stderr


def test_postgresql_is_away(sites: Sites) -> None:
    """The store is there, so the failure is in it, in words without an address."""
    run = failover(sites)
    sites.lose("west")
    done = sites.attempt(run, "west", "CatchUp")
    assert done.returncode == 1
    failure = sites.failure(run, "CatchUp")
    assert failure.summary.startswith("PostgreSQL is away")
    assert "127.0.0.1" not in failure.summary
    sites.restore("west")
    sites.do(run, "west", "CatchUp")


def damage(sites: Sites, number: int) -> str:
    """Bytes in the middle of a segment of east's chain are others now; its path."""
    path = objects(sites.store, "east", 1)[number].path
    data = sites.store.get(path)
    assert data is not None
    sites.store.put(path, data[: len(data) // 2] + b"XXXX" + data[len(data) // 2 + 4 :])
    return path


def in_segments(sites: Sites, seeds: range) -> None:
    for seed in seeds:
        sites.write("east", 20, seed)
        sites.seal("east")


def test_a_damaged_segment_is_named_and_another_attempt_goes_on_from_a_snapshot_past_it(
    sites: Sites, spare: str
) -> None:
    in_segments(sites, range(1, 4))
    # Somebody caught up and took a snapshot, while west's own database was behind.
    catch_up(spare, sites.store, plan=PLAN)
    take_snapshot(spare, sites.store, plan=PLAN, snapshot="20261128T120000Z-s1", clock=now)
    in_segments(sites, range(4, 6))
    catch_up(sites.dsn("west"), sites.store, plan=PLAN, upto={("east", 1): 5}, from_snapshot=False)
    path = damage(sites, 1)
    run = sites.begin(RunKind.FAILOVER, "west", statement=WORD)

    assert sites.attempt(run, "west", "CatchUp").returncode == 1
    failure = sites.failure(run, "CatchUp")
    assert failure.figures["damaged"] == path
    assert failure.figures["goOn"] == {"snapshot": "20261128T120000Z-s1"}
    assert path in failure.summary
    assert "another attempt goes on from there" in failure.summary

    done = sites.do(run, "west", "CatchUp")
    assert done.figures["snapshot"] == "20261128T120000Z-s1"
    catch_up(spare, sites.store, plan=PLAN)
    assert tables(sites.dsn("west")) == tables(spare)


def test_a_loss_whose_rate_nobody_knows_bars_no_takeover(sites: Sites, spare: str) -> None:
    in_segments(sites, range(1, 4))
    catch_up(spare, sites.store, plan=PLAN)
    take_snapshot(spare, sites.store, plan=PLAN, snapshot="20261128T120000Z-s1", clock=now)
    path = damage(sites, -2)
    run = sites.begin(RunKind.FAILOVER, "west", statement=WORD)
    sites.do(run, "west", "CatchUp")
    rpo = sites.do(run, "west", "TakeEpoch").figures["rpo"]
    assert (rpo["rows"], rpo["basis"]) == (None, "Unknown")
    assert path in rpo["arithmetic"]


def test_no_epoch_is_taken_whose_older_chain_could_not_be_ended(sites: Sites, spare: str) -> None:
    in_segments(sites, range(1, 4))
    # West has all of it already, so only the last look at the chain meets the damage.
    catch_up(sites.dsn("west"), sites.store, plan=PLAN)
    whole = sites.store.get(objects(sites.store, "east", 1)[-1].path)
    path = damage(sites, -1)
    run = sites.begin(RunKind.FAILOVER, "west", statement=WORD)
    sites.do(run, "west", "CatchUp")
    assert sites.attempt(run, "west", "TakeEpoch").returncode == 1
    failure = sites.failure(run, "TakeEpoch")
    assert "epoch 2 was not taken, nothing has changed" in failure.summary
    assert path in failure.summary
    last = highest(sites.store, PLAN)
    assert last is not None
    assert last.epoch == 1
    assert whole is not None
    sites.store.put(path, whole)
    assert sites.do(run, "west", "TakeEpoch").figures["epoch"] == 2
    sites.together(run, "west", ("FenceWait", "CatchUpFinal"))
    catch_up(spare, sites.store, plan=PLAN)
    assert tables(sites.dsn("west")) == tables(spare)


def test_killed_while_it_leaves_what_it_had_it_is_empty_or_as_it_was(
    sites: Sites, spare: str
) -> None:
    in_segments(sites, range(1, 3))
    catch_up(spare, sites.store, plan=PLAN)
    take_snapshot(spare, sites.store, plan=PLAN, snapshot="20261128T120000Z-s1", clock=now)
    catch_up(sites.dsn("west"), sites.store, plan=PLAN, upto={("east", 1): 5}, from_snapshot=False)
    damage(sites, 1)
    run = sites.begin(RunKind.FAILOVER, "west", statement=WORD)
    assert sites.attempt(run, "west", "CatchUp").returncode == 1
    killed = sites.attempt(run, "west", "CatchUp", WAYFARE_CRASH="journal.start_over.left")
    assert killed.returncode == -signal.SIGKILL
    # The database is as good as empty: whoever comes next restores the snapshot.
    assert sites.do(run, "west", "CatchUp").figures["snapshot"] == "20261128T120000Z-s1"
    assert tables(sites.dsn("west")) == tables(spare)


def test_a_damaged_segment_without_a_snapshot_past_it_waits_for_the_other_copy(
    sites: Sites,
) -> None:
    in_segments(sites, range(1, 4))
    whole = sites.store.get(objects(sites.store, "east", 1)[1].path)
    path = damage(sites, 1)
    run = sites.begin(RunKind.FAILOVER, "west", statement=WORD)
    assert sites.attempt(run, "west", "CatchUp").returncode == 1
    failure = sites.failure(run, "CatchUp")
    assert failure.figures["goOn"] is None
    assert "put the object back" in failure.summary
    assert whole is not None
    sites.store.put(path, whole)
    assert sites.do(run, "west", "CatchUp").figures["rows"] > 20


def test_a_schema_that_is_newer_than_the_code(sites: Sites) -> None:
    run = failover(sites)
    with sites.connect("west") as connection:
        connection.execute("UPDATE wayfare.schema_revision SET version_num = '9999'")
        try:
            done = sites.attempt(run, "west", "CatchUp")
        finally:
            connection.execute(
                "UPDATE wayfare.schema_revision SET version_num = %s", (newest_revision(),)
            )
    assert done.returncode == 1
    assert "has schema 9999, and this version knows up to" in sites.failure(run, "CatchUp").summary
    with sites.connect("west") as connection:
        assert connection.execute("SELECT FROM wayfare.task_claims").rowcount == 0
    sites.do(run, "west", "CatchUp")


def test_a_journal_that_is_newer_than_the_code(sites: Sites) -> None:
    from tests.journal.making import put_format, reframed

    run = failover(sites)
    last = objects(sites.store, "east", 1)[-1].path
    whole = sites.store.get(last)
    sites.store.put(last, reframed(put_format(99)))
    assert sites.attempt(run, "west", "CatchUp").returncode == 1
    assert "the journal has format 99" in sites.failure(run, "CatchUp").summary
    assert whole is not None
    sites.store.put(last, whole)
    sites.do(run, "west", "CatchUp")


def stopped_at(
    sites: Sites, run: Run, step: str, point: str
) -> tuple[threading.Thread, list[subprocess.CompletedProcess[str]], int]:
    """An attempt that SIGSTOP has stopped at a point; its process."""
    with psycopg.connect(sites.dsn("west"), autocommit=True) as connection:
        before = _pids(connection)
        thread, done = in_background(sites, run, "west", step, WAYFARE_CRASH=f"{point}!stop")
        pid = until(lambda: _stopped_child(), what="an attempt is stopped")
        assert before is not None
    return thread, done, pid


def _pids(connection: psycopg.Connection[Any]) -> set[int]:
    return {pid for (pid,) in connection.execute("SELECT pid FROM pg_stat_activity").fetchall()}


def _stopped_child() -> int | None:
    """A stopped process of this test's own fork server."""
    import os
    from pathlib import Path

    own = {os.getpid()}
    found = None
    for _ in range(3):
        for entry in Path("/proc").iterdir():
            if not entry.name.isdecimal():
                continue
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) in own:
                own.add(int(entry.name))
                if fields[0] == "T":
                    found = int(entry.name)
    return found


@pytest.mark.parametrize(
    "point", ["recovery.task.claimed", "journal.catch_up.begun", "recovery.task.worked"]
)
def test_an_attempt_that_wakes_up_late_writes_nothing(sites: Sites, point: str) -> None:
    """A node hangs with the first attempt; the second one does the step; then the node is back."""
    import os

    run = failover(sites)
    thread, done, pid = stopped_at(sites, run, "CatchUp", point)
    second = threading.Thread(target=lambda: sites.do(run, "west", "CatchUp"))
    try:
        if point == "journal.catch_up.begun":
            # It is in a transaction that holds nothing of the claim yet, and has the lock of
            # catching up: it is the first one's end that the second one waits for.
            second.start()
            until(
                lambda: len(runs.attempts(sites.store, PLAN, run.number, "CatchUp")) == 2,
                what="the second attempt began",
            )
            with sites.connect("west") as west:
                until(
                    lambda: (
                        west.execute("SELECT FROM wayfare.task_claims WHERE attempt = 2").rowcount
                    ),
                    what="the second attempt has the step",
                )
        else:
            sites.do(run, "west", "CatchUp")
        before = tables(sites.dsn("west"))
    finally:
        os.kill(pid, signal.SIGCONT)
    thread.join()
    if point == "journal.catch_up.begun":
        second.join()
    elif point == "recovery.task.claimed":
        assert tables(sites.dsn("west")) == before
    assert done[0].returncode == (0 if point == "recovery.task.worked" else 4), done[0].stderr
    assert sites.result(run, "CatchUp").attempt == 2


def test_an_attempt_that_a_later_one_superseded_does_nothing(sites: Sites) -> None:
    run = failover(sites)
    sites.attempt(run, "west", "CatchUp", number=2, WAYFARE_CRASH="recovery.task.claimed")
    runs.begin(
        sites.store,
        PLAN,
        runs.Attempt(run=run.number, step="CatchUp", attempt=1, at=now(), by="operator"),
    )
    done = sites.attempt(run, "west", "CatchUp", number=1)
    assert done.returncode == 4
    assert "attempt 2" in done.stderr
    assert runs.read_failure(sites.store, PLAN, run.number, "CatchUp", 1) is None


def test_a_run_that_is_over_has_no_more_steps(sites: Sites) -> None:
    run = failover(sites)
    sites.end(run)
    done = sites.attempt(run, "west", "TakeEpoch")
    assert done.returncode == 4
    assert f"run {run.number} has ended" in done.stderr
    last = highest(sites.store, PLAN)
    assert last is not None
    assert last.epoch == 1


def test_a_gate_that_does_not_pass_bars_the_way(sites: Sites) -> None:
    run = failover(sites)
    sites.do(run, "west", "CatchUp")
    segment = objects(sites.store, "east", 1)[0].path
    whole = sites.store.get(segment)
    damage(sites, 0)
    assert sites.attempt(run, "west", "Verify").returncode == 1
    failure = sites.failure(run, "Verify")
    assert failure.figures["gate"] is True
    assert failure.figures["barred"] == ["ChainUnbroken"]
    verdicts = {check.name: check.verdict for check in failure.checks}
    assert (verdicts["ChainUnbroken"], verdicts["TablesEqual"]) == ("Failed", "Passed")
    assert failure.evidence is not None
    assert whole is not None
    sites.store.put(segment, whole)
    sites.do(run, "west", "Verify")


def test_no_statement_and_beats_that_go_on(sites: Sites) -> None:
    """A failover that nobody signed is refused while the acting site beats, and goes through once
    its beats have stopped for long enough."""
    lose_east(sites, dead=False)
    run = sites.begin(RunKind.FAILOVER, "west")
    sites.do(run, "west", "CatchUp")
    stop = threading.Event()

    def beats() -> None:
        while not stop.wait(0.1):
            sites.beat("east", writer=f"w{now().timestamp()}")

    beating = threading.Thread(target=beats)
    beating.start()
    try:
        first = sites.store.get(f"beats/{PLAN}/east")
        until(lambda: sites.store.get(f"beats/{PLAN}/east") != first, what="east beats")
        assert sites.attempt(run, "west", "TakeEpoch").returncode == 1
        assert "site east still holds the lease" in sites.failure(run, "TakeEpoch").summary
    finally:
        stop.set()
        beating.join()
    taken = sites.do(run, "west", "TakeEpoch")
    assert taken.figures["grounds"] == "Stale"
    assert taken.figures["staleSeconds"] >= 0.6


def test_a_step_that_needs_another_ones_result_says_so(sites: Sites) -> None:
    run = failover(sites)
    assert sites.attempt(run, "west", "FenceWait").returncode == 1
    assert "goes on from the result of TakeEpoch" in sites.failure(run, "FenceWait").summary


def test_options_that_cannot_be(sites: Sites) -> None:
    run = failover(sites)
    done = sites.attempt(run, "west", "Fly")
    assert done.returncode == 2
    assert "no data step is called 'Fly'" in done.stderr
    missing = sites.attempt(
        runs.Run(**{name: getattr(run, name) for name in run.__struct_fields__} | {"number": 7}),
        "west",
        "CatchUp",
    )
    assert missing.returncode == 2
    assert "has no run 7" in missing.stderr
