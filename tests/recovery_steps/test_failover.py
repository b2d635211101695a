"""A site is lost and the other takes over, and gives the work back: step by step, as pods do it."""

from __future__ import annotations

from datetime import datetime

from tests.catchup.databases import tables
from tests.journal.making import PLAN
from tests.recovery_steps.place import TERMS, WORD, Sites
from wayfare_engine.journal.catch_up import catch_up
from wayfare_engine.lease import Holder, highest
from wayfare_engine.lease.epochs import read_acting
from wayfare_engine.ledger.fence import site_epoch
from wayfare_engine.resources import RunKind
from wayfare_engine.runs import Run, evidence


def lose_east(sites: Sites, *, dead: bool = True) -> datetime:
    """East has a checkpoint, rows after it, and 25 that it never shipped; then nothing is heard of
    it any more. When."""
    sites.write("east", 60, 1)
    sites.checkpoint("east")
    sites.write("east", 40, 2)
    sites.seal("east")
    sites.write("east", 25, 3)
    beat = sites.beat("east")
    if dead:
        sites.lose("east")
    return beat.at


def fail_over(sites: Sites, fault_at: datetime) -> Run:
    """West takes over on a person's word."""
    run = sites.begin(RunKind.FAILOVER, "west", statement=WORD, fault_at=fault_at)
    sites.do(run, "west", "CatchUp")
    sites.do(run, "west", "Verify")
    sites.do(run, "west", "TakeEpoch")
    sites.together(run, "west", ("FenceWait", "CatchUpFinal"))
    return run


def test_a_failover_step_by_step(sites: Sites, spare: str) -> None:
    run = fail_over(sites, lose_east(sites))

    caught_up = sites.result(run, "CatchUp")
    assert caught_up.figures["compared"]["answer"] == "equal"
    assert (caught_up.figures["site"], caught_up.figures["epoch"]) == ("east", 1)
    taken = sites.result(run, "TakeEpoch")
    assert (taken.figures["epoch"], taken.figures["closed"]) == (2, ["east/1"])
    assert taken.figures["grounds"] == "Statement"
    rpo = taken.figures["rpo"]
    assert (rpo["rows"], rpo["basis"]) == (25, "Estimated")
    assert taken.evidence is not None
    lease = evidence.get(sites.store, taken.evidence)
    assert (lease["statement"]["text"], lease["statement"]["by"]) == (WORD, "ana")
    final = sites.result(run, "CatchUpFinal")
    assert [(c.name, c.verdict) for c in final.checks] == [("ChainEnd", "Passed")]
    wait = sites.result(run, "FenceWait").figures
    assert wait["ofSeconds"] == round(TERMS.wait, 3)

    assert read_acting(sites.store, PLAN, 2) is not None
    assert Holder(sites.store, plan=PLAN, site="west", epoch=2, ttl=30).check()
    assert not Holder(sites.store, plan=PLAN, site="east", epoch=1, ttl=30).check()
    with sites.connect("west") as west:
        assert site_epoch(west).active
    catch_up(spare, sites.store, plan=PLAN)
    assert tables(sites.dsn("west")) == tables(spare)
    last = highest(sites.store, PLAN)
    assert last is not None
    assert last.run == run.number
