"""Every step is killed before and after each thing that it does, attempt after attempt: the run
ends as one that nobody touched."""

from __future__ import annotations

import signal

import pytest

from tests.catchup.databases import tables
from tests.journal.making import PLAN
from tests.recovery_steps.place import WORD, Sites
from tests.recovery_steps.test_failback import accounted, ledger_ids, sealed_ids
from tests.recovery_steps.test_failover import lose_east
from wayfare_engine import runs
from wayfare_engine.crashpoints import registered
from wayfare_engine.journal.catch_up import catch_up
from wayfare_engine.lease.epochs import history
from wayfare_engine.recovery.tasks import attempt
from wayfare_engine.resources import RunKind
from wayfare_engine.runs import Run

#: Around the work of every step, in the order in which an attempt passes them.
BEFORE = (
    "recovery.task.looked",
    "runs.attempt.before_put",
    "runs.attempt.put",
    "recovery.task.begun",
    "tasks.claim.before_commit",
    "tasks.claim.committed",
    "recovery.task.claimed",
)
EVIDENCE = ("runs.evidence.before_put", "runs.evidence.put")
AFTER = ("recovery.task.worked", "runs.result.before_put", "runs.result.put")
#: The last one of all: the result is in the store before it.
TOLD = "recovery.task.told"

CATCH_UP = (
    "journal.catch_up.begun",
    "journal.catch_up.applied",
    "journal.catch_up.committed",
)
TAKE = (
    "lease.take.before_remember",
    "lease.take.remembered",
    "lease.take.before_put",
    "lease.take.put",
    "lease.take.before_close",
    "journal.close.before",
    "journal.close.put",
    "lease.take.closed_one",
    "lease.take.before_raise",
    "lease.take.raised",
)
WAIT = ("lease.take.waited", "lease.take.before_act", "lease.take.acting")
RECOVER = (
    "reconcile.recover.fenced",
    "reconcile.recover.part",
    "reconcile.recover.manifest",
    "reconcile.recover.noted",
    "journal.rebuild.fenced",
    "journal.rebuild.emptied",
    "journal.rebuild.filled",
    "journal.rebuild.released",
)
MERGE = (
    "reconcile.merge.deciding",
    "reconcile.merge.decided",
    "reconcile.merge.committed",
    "reconcile.merge.ended",
)


def killed(
    sites: Sites, run: Run, site: str, step: str, points: tuple[str, ...], **more: str
) -> None:
    """An attempt for each point, killed there; what is over by then no later one does again."""
    for point in points:
        done = sites.attempt(run, site, step, number=0, WAYFARE_CRASH=point, **more)
        assert done.returncode == -signal.SIGKILL, f"{step} was not killed at {point}: {done}"


def ended(sites: Sites, run: Run, site: str, step: str, told: bool = True) -> None:
    """The step is done, and doing it again changes nothing."""
    if told:
        killed(sites, run, site, step, ("runs.result.put",))
    before = sites.do(run, site, step)
    again = sites.attempt(run, site, step)
    assert again.returncode == 0
    assert "it had been done before" in again.stdout
    assert sites.result(run, step) == before


def test_every_point_of_a_task_is_known_here() -> None:
    own = {p for p in registered() if p.startswith("recovery.task.")}
    assert attempt.__name__, "the module is loaded"
    assert own == {p for p in (*BEFORE, *AFTER, TOLD) if p.startswith("recovery.task.")}


def test_a_failover_whose_steps_are_killed_everywhere(sites: Sites, spare: str) -> None:
    fault_at = lose_east(sites)
    run = sites.begin(RunKind.FAILOVER, "west", statement=WORD, fault_at=fault_at)
    killed(sites, run, "west", "CatchUp", (*BEFORE, *CATCH_UP, *AFTER[:2]))
    ended(sites, run, "west", "CatchUp")
    killed(sites, run, "west", "TakeEpoch", ("recovery.task.claimed", *TAKE, *EVIDENCE))
    ended(sites, run, "west", "TakeEpoch")
    killed(sites, run, "west", "CatchUpFinal", ("recovery.task.claimed", *CATCH_UP, *EVIDENCE))
    killed(sites, run, "west", "CatchUpFinal", ("recovery.task.told",))
    ended(sites, run, "west", "CatchUpFinal", told=False)
    # On the same machine the wait began with TakeEpoch: this one is not over yet.
    longer = {"WAYFARE_LEASE_TTL_SECONDS": "600"}
    killed(sites, run, "west", "FenceWait", ("lease.take.waiting",), **longer)
    killed(sites, run, "west", "FenceWait", WAIT)
    ended(sites, run, "west", "FenceWait")

    taken = [held.lease for held in history(sites.store, PLAN)]
    assert [(lease.epoch, lease.site, lease.run) for lease in taken] == [
        (1, "east", None),
        (2, "west", run.number),
    ]
    catch_up(spare, sites.store, plan=PLAN)
    assert tables(sites.dsn("west")) == tables(spare)


def test_a_failback_whose_steps_are_killed_everywhere(sites: Sites, spare: str) -> None:
    first = sites.begin(RunKind.FAILOVER, "west", statement=WORD, fault_at=lose_east(sites))
    for step in ("CatchUp", "TakeEpoch", "CatchUpFinal", "FenceWait"):
        sites.do(first, "west", step)
    sites.end(first)
    sites.write("west", 20, 4)
    sites.seal("west")
    sites.restore("east")

    run = sites.begin(RunKind.FAILBACK, "east")
    killed(sites, run, "east", "RecoverStranded", ("recovery.task.claimed", *RECOVER, *EVIDENCE))
    ended(sites, run, "east", "RecoverStranded")
    killed(sites, run, "west", "Reconcile", ("recovery.task.claimed", *MERGE, *EVIDENCE))
    ended(sites, run, "west", "Reconcile")
    sites.seal("west")
    ended(sites, run, "east", "CatchUp")
    ended(sites, run, "east", "Measure")

    told = accounted(sites, sites.result(run, "Reconcile"))
    assert len(told) == 25
    every = ledger_ids(sites, "east") | ledger_ids(sites, "west")
    assert every == sealed_ids(sites) & every | told.keys()
    assert not sealed_ids(sites) & told.keys()
    catch_up(spare, sites.store, plan=PLAN)
    assert tables(sites.dsn("east")) == tables(sites.dsn("west")) == tables(spare)
    assert len(runs.attempts(sites.store, PLAN, run.number, "Reconcile")) > len(MERGE)


@pytest.mark.parametrize("step", ["TakeEpoch", "FenceWait"])
def test_a_wait_that_was_over_is_not_waited_again(sites: Sites, step: str) -> None:
    """Killed after it had waited, another FenceWait acts at once; the machine is the same one."""
    first = sites.begin(RunKind.FAILOVER, "west", statement=WORD, fault_at=lose_east(sites))
    for name in ("CatchUp", "TakeEpoch", "CatchUpFinal"):
        sites.do(first, "west", name)
    long = {"WAYFARE_LEASE_TTL_SECONDS": "1.5"}
    if step == "FenceWait":
        killed_at = sites.attempt(
            first, "west", "FenceWait", number=0, WAYFARE_CRASH="lease.take.waited", **long
        )
        assert killed_at.returncode == -signal.SIGKILL
    done = sites.do(first, "west", "FenceWait", **long)
    assert done.figures["waitedSeconds"] < done.figures["ofSeconds"]
