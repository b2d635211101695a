"""A planned move between two sites that are both there: nothing is lost, also when each step is
killed; abandoned, the old site goes on."""

from __future__ import annotations

import signal
import subprocess
import threading
import time

import pytest

from tests.catchup.databases import tables
from tests.journal.making import PLAN
from tests.recovery_steps.place import HAND_OVER, TERMS, Sites, put_aside
from tests.recovery_steps.test_failback import accounted, ledger_ids, sealed_ids
from tests.recovery_steps.test_kills import AFTER, EVIDENCE, TAKE, ended, killed
from tests.servers.wait import until
from wayfare_engine import runs
from wayfare_engine.clock import now
from wayfare_engine.facts.spool import put_back
from wayfare_engine.journal.catch_up import catch_up
from wayfare_engine.lease import Holder
from wayfare_engine.lease.epochs import history
from wayfare_engine.ledger import Kind
from wayfare_engine.ledger.fence import StaleEpoch, site_epoch
from wayfare_engine.outbox import quiesce
from wayfare_engine.recovery.tasks.going_on import turn_of
from wayfare_engine.resources import RunKind
from wayfare_engine.runs import Run

SENDING = (Kind.DISPATCH, Kind.OUTCOME)
ACTING = ("lease.take.waited", "lease.take.before_act", "lease.take.acting")


def both_there(sites: Sites) -> Run:
    """East acts and has a checkpoint; west is caught up and verified."""
    sites.write("east", 40, 1)
    sites.checkpoint("east")
    run = sites.begin(RunKind.SWITCHOVER, "west")
    sites.do(run, "west", "CatchUp")
    sites.do(run, "west", "Verify")
    sites.write("east", 20, 2)
    return run


def test_a_switchover_whose_steps_are_killed_everywhere(sites: Sites, spare: str) -> None:
    run = both_there(sites)
    around = ("recovery.task.claimed", *AFTER[:2])
    killed(sites, run, "east", "Quiesce", around)
    ended(sites, run, "east", "Quiesce")
    with sites.sealing("east"):
        killed(sites, run, "east", "Seal", around)
        ended(sites, run, "east", "Seal")
    ended(sites, run, "west", "CatchUpFinal")
    killed(sites, run, "west", "TransferEpoch", ("recovery.task.claimed", *TAKE, *ACTING))
    killed(sites, run, "west", "TransferEpoch", EVIDENCE)
    ended(sites, run, "west", "TransferEpoch")

    taken = [
        (held.lease.epoch, held.lease.site, held.lease.run) for held in history(sites.store, PLAN)
    ]
    assert taken == [(1, "east", None), (2, "west", run.number)]
    assert not ledger_ids(sites, "east") - sealed_ids(sites), "a row was lost"
    assert Holder(sites.store, plan=PLAN, site="west", epoch=2, ttl=30).check()
    catch_up(spare, sites.store, plan=PLAN)
    assert tables(sites.dsn("west")) == tables(spare)


def test_one_pod_goes_on_with_the_steps_of_its_site_each_at_its_turn(sites: Sites) -> None:
    run = both_there(sites)
    done: list[subprocess.CompletedProcess[str]] = []

    def make() -> None:
        done.append(sites.attempt(run, "east", "Quiesce", then=["Seal"]))

    pod = threading.Thread(target=make)
    pod.start()
    until(lambda: runs.read_result(sites.store, PLAN, run.number, "Quiesce"), what="Quiesce")
    with sites.sealing("east"):
        # Everything is there for Seal but its turn.
        until(lambda: not ledger_ids(sites, "east") - sealed_ids(sites), what="all is sealed")
        assert pod.is_alive()
        assert not runs.attempts(sites.store, PLAN, run.number, "Seal")
        sites.turn(run, "Seal")
        pod.join(30)
    assert [each.returncode for each in done] == [0], done
    quiesced, sealed = (sites.result(run, step) for step in ("Quiesce", "Seal"))
    assert sealed.attempt == 1
    assert sealed.by == quiesced.by
    assert [each.by for each in runs.attempts(sites.store, PLAN, run.number, "Seal")] == ["driver"]


def test_a_pod_goes_on_with_nothing_after_a_failure_or_the_runs_end(sites: Sites) -> None:
    run = sites.begin(RunKind.SWITCHOVER, "west")
    failed = sites.attempt(run, "east", "Seal", then=["Quiesce"])
    assert failed.returncode == 1
    assert not runs.attempts(sites.store, PLAN, run.number, "Quiesce")

    clock = iter(range(1000))

    def came(seconds: float) -> bool:
        return turn_of(
            sites.store,
            PLAN,
            run.number,
            "Quiesce",
            seconds=seconds,
            monotonic=lambda: float(next(clock)),
            sleep=lambda seconds: None,
        )

    assert not came(5)
    sites.end(run)
    assert not came(900)
    assert next(clock) < 100, "it waited though the run had ended"


def test_a_sender_that_says_nothing_makes_the_move_wait(sites: Sites) -> None:
    run = both_there(sites)
    with sites.connect("east") as east:
        quiesce.sending(east, "a pod that hangs", 1)
    quiesced = sites.do(run, "east", "Quiesce")
    assert quiesced.figures["stopped"] is False
    assert quiesced.figures["seconds"] >= HAND_OVER
    with sites.sealing("east"):
        sites.do(run, "east", "Seal")
    sites.do(run, "west", "CatchUpFinal")
    moved = sites.do(run, "west", "TransferEpoch")
    # What was left of the wait when all else was done.
    assert moved.figures["waitedSeconds"] <= TERMS.wait
    taken = history(sites.store, PLAN)[-1]
    assert taken.acting_since is not None
    assert (taken.acting_since - taken.lease.at).total_seconds() >= TERMS.wait


def test_abandoned_after_the_seal_the_old_site_goes_on(sites: Sites) -> None:
    run = both_there(sites)
    sites.do(run, "east", "Quiesce")
    with sites.sealing("east"):
        sites.do(run, "east", "Seal")
    with pytest.raises(StaleEpoch):
        sites.write("east", 1, 3)
    killed(sites, run, "east", "Resume", ("recovery.task.claimed", "recovery.task.worked"))
    ended(sites, run, "east", "Resume")
    sites.write("east", 5, 4)
    with sites.connect("east") as east:
        assert site_epoch(east).active
    # What the run's other tasks would still do is refused: the run was taken back.
    assert sites.attempt(run, "east", "Seal", number=9).returncode in (0, 4)
    assert sites.attempt(run, "east", "Quiesce", number=9).returncode in (0, 4)
    with sites.connect("east") as east:
        assert site_epoch(east).active


def test_a_site_whose_moves_target_is_gone_goes_on_under_an_epoch_of_its_own(
    sites: Sites, spare: str
) -> None:
    """It was only asked to stop, and had rows that were in no segment: they are not stranded. What
    it answered meanwhile is put back, and the target comes too late."""
    run = both_there(sites)
    sites.do(run, "east", "Quiesce")
    answered = put_aside(sites, 7)
    with sites.sealing("east"):
        killed(sites, run, "east", "TakeBack", ("recovery.task.claimed", *TAKE, *ACTING))
        killed(sites, run, "east", "TakeBack", AFTER[:2])
        ended(sites, run, "east", "TakeBack")
    taken = [
        (held.lease.epoch, held.lease.site, held.lease.run) for held in history(sites.store, PLAN)
    ]
    assert taken == [(1, "east", None), (2, "east", run.number)]
    assert put_back(sites.dsn("east"), 2) == len(answered)
    sites.write("east", 5, 4)
    sites.seal("east")
    assert {row.id.hex for row in answered} <= ledger_ids(sites, "east")
    assert not ledger_ids(sites, "east") - sealed_ids(sites), "a row is stranded"
    catch_up(spare, sites.store, plan=PLAN)
    catch_up(sites.dsn("west"), sites.store, plan=PLAN)
    assert tables(sites.dsn("east")) == tables(sites.dsn("west")) == tables(spare)


def test_of_the_target_and_the_old_site_one_has_the_next_epoch(sites: Sites) -> None:
    run = both_there(sites)
    sealed(sites, run)
    sites.do(run, "east", "TakeBack")
    assert sites.attempt(run, "west", "TransferEpoch").returncode == 1
    assert "the epoch has moved meanwhile" in sites.failure(run, "TransferEpoch").summary

    sites.end(run)
    again = sites.begin(RunKind.SWITCHOVER, "west")
    sites.do(again, "west", "CatchUp")
    sealed(sites, again)
    sites.do(again, "west", "TransferEpoch")
    assert sites.attempt(again, "east", "TakeBack").returncode == 1
    assert "only a Failover takes it from there" in sites.failure(again, "TakeBack").summary
    with sites.connect("east") as east:
        assert not site_epoch(east).active


def sealed(sites: Sites, run: Run) -> None:
    """East stopped and shipped all, and west has it."""
    sites.do(run, "east", "Quiesce")
    with sites.sealing("east"):
        sites.do(run, "east", "Seal")
    sites.do(run, "west", "CatchUpFinal")


def test_a_site_that_let_go_of_nothing_takes_nothing_back(sites: Sites) -> None:
    run = both_there(sites)
    sites.do(run, "east", "TakeBack")
    assert [held.lease.epoch for held in history(sites.store, PLAN)] == [1]
    sites.write("east", 5, 4)


def test_nothing_is_quiesced_at_a_site_that_does_not_act(sites: Sites) -> None:
    run = both_there(sites)
    assert sites.attempt(run, "west", "Quiesce").returncode == 1
    assert "site east holds the lease, not west" in sites.failure(run, "Quiesce").summary


def test_tables_that_differ_at_the_end_bar_the_way(sites: Sites) -> None:
    run = both_there(sites)
    sites.do(run, "east", "Quiesce")
    with sites.sealing("east"):
        sites.do(run, "east", "Seal")
    with sites.connect("west") as west:
        gone = west.execute(
            "DELETE FROM wayfare.opt_outs WHERE ctid = (SELECT min(ctid) FROM wayfare.opt_outs)"
        ).rowcount
        assert gone == 1
    assert sites.attempt(run, "west", "CatchUpFinal").returncode == 1
    failure = sites.failure(run, "CatchUpFinal")
    assert failure.figures["gate"] is True
    assert [(c.name, c.verdict) for c in failure.checks] == [
        ("ChainEnd", "Passed"),
        ("CountersEqual", "Failed"),
    ]
    assert "opt_outs" in failure.summary


def test_what_was_answered_after_the_seal_is_merged_at_the_new_site(
    sites: Sites, spare: str
) -> None:
    run = both_there(sites)
    sites.do(run, "east", "Quiesce")
    with sites.sealing("east"):
        sites.do(run, "east", "Seal")
    answered = put_aside(sites, 7)
    sites.do(run, "west", "CatchUpFinal")
    sites.do(run, "west", "TransferEpoch")

    spooled = sites.do(run, "east", "RecoverSpooled")
    assert spooled.figures["rows"] == 7
    merged = sites.do(run, "west", "MergeSpooled")
    assert merged.figures["stranded"]["rows"] == 7
    assert accounted(sites, merged).keys() == {row.id.hex for row in answered}
    sites.seal("west")
    catch_up(spare, sites.store, plan=PLAN)
    catch_up(sites.dsn("east"), sites.store, plan=PLAN)
    assert tables(sites.dsn("east")) == tables(sites.dsn("west")) == tables(spare)


def test_the_estimate_is_right_within_a_tenth_when_the_store_was_away(sites: Sites) -> None:
    """East writes at an even rate; it is cut off from the store, goes on for some seconds with all
    but its sends, and is lost. What TakeEpoch says then is compared with what its disk has."""
    stop, away = threading.Event(), threading.Event()

    def write() -> None:
        # What a busy machine did not write in its time is not caught up: the rate is to be even.
        seed, due = 10, time.monotonic()
        while not stop.is_set():
            sites.write("east", 17, seed, without=SENDING if away.is_set() else ())
            seed += 1
            due = max(due + 0.25, time.monotonic())
            stop.wait(due - time.monotonic())

    writing = threading.Thread(target=write)
    writing.start()
    try:
        with sites.sealing("east"):
            time.sleep(6)
        sites.beat("east")
        away.set()
        time.sleep(6)
    finally:
        stop.set()
        writing.join()
    run = sites.begin(RunKind.FAILOVER, "west", statement="off, and I know it", fault_at=now())
    for step in ("CatchUp", "TakeEpoch", "CatchUpFinal", "FenceWait"):
        sites.do(run, "west", step)
    sites.end(run)
    estimated = sites.result(run, "TakeEpoch").figures["rpo"]
    back = sites.begin(RunKind.FAILBACK, "east")
    exact = sites.do(back, "east", "RecoverStranded").figures["rpo"]
    assert exact["rows"] > 200
    assert exact["estimated"] == estimated["rows"]
    assert exact["offShare"] <= 0.1, (estimated, exact)


def test_a_step_that_was_killed_leaves_no_session(sites: Sites) -> None:
    run = both_there(sites)
    done = sites.attempt(run, "east", "Quiesce", WAYFARE_CRASH="recovery.task.worked")
    assert done.returncode == -signal.SIGKILL
    sites.do(run, "east", "Quiesce")
    with sites.connect("east") as east:
        left = east.execute(
            "SELECT application_name FROM pg_stat_activity WHERE application_name LIKE 'wayfare-%'"
        ).fetchall()
    assert left == []
