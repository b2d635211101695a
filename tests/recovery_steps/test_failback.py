"""The lost site is back with rows that it never shipped: they are recovered, decided about at the
site that acts, and the work is given back."""

from __future__ import annotations

import json
from typing import Any

import psycopg
import pytest

from tests.catchup.databases import tables
from tests.journal.making import PLAN
from tests.recovery_steps.place import Sites, put_aside
from tests.recovery_steps.test_failover import fail_over, lose_east
from wayfare_engine.clock import now
from wayfare_engine.journal import intents
from wayfare_engine.journal.catch_up import catch_up
from wayfare_engine.journal.chain import chains, read
from wayfare_engine.journal.sealer import Sealer
from wayfare_engine.journal.segment import Segment
from wayfare_engine.lease import Holder
from wayfare_engine.ledger.fence import StaleEpoch
from wayfare_engine.objectstore import StoreUnavailable, open_store
from wayfare_engine.recovery.report import make_report
from wayfare_engine.resources import RunKind
from wayfare_engine.runs import Run, StepResult, evidence


def sealed_ids(sites: Sites) -> set[str]:
    """The id of each row that is in a chain."""
    found: set[str] = set()
    for site, epoch in chains(sites.store):
        for one in read(sites.store, site, epoch, plan=PLAN):
            if isinstance(one, Segment):
                found |= {row.hex() for row in one.rows["id"].to_pylist()}
    return found


def ledger_ids(sites: Sites, site: str) -> set[str]:
    """The id of each row that the site's database wrote."""
    with psycopg.connect(sites.dsn(site)) as connection:
        rows = connection.execute("SELECT id FROM wayfare.ledger WHERE site = %s", (site,))
        return {row[0].hex for row in rows.fetchall()}


def accounted(sites: Sites, reconciled: StepResult) -> dict[str, dict[str, Any]]:
    """What became of each stranded row, by id, from the step's evidence alone."""
    assert reconciled.evidence is not None
    kept = evidence.get(sites.store, reconciled.evidence)
    lines = [
        line
        for piece in kept["entries"]
        for line in evidence.get_text(sites.store, piece).splitlines()
    ]
    return {entry["id"].replace("-", ""): entry for entry in map(json.loads, lines)}


def test_a_stranded_tail_is_accounted_for_row_by_row(sites: Sites, spare: str) -> None:
    failover = fail_over(sites, lose_east(sites))
    sites.end(failover)
    sites.write("west", 30, 4)
    sites.seal("west")
    sites.restore("east")

    run = sites.begin(RunKind.FAILBACK, "east")
    recovered = sites.do(run, "east", "RecoverStranded")
    assert recovered.figures["rows"] == 25
    rpo = recovered.figures["rpo"]
    assert (rpo["rows"], rpo["basis"], rpo["estimated"]) == (25, "Exact", 25)
    assert rpo["offShare"] == 0
    reconciled = sites.do(run, "west", "Reconcile")
    sites.seal("west")
    sites.do(run, "east", "CatchUp")

    stranded = reconciled.figures["stranded"]
    assert (stranded["rows"], stranded["accounted"]) == (25, 25)
    assert sum(stranded["resolutions"].values()) == 25
    told = accounted(sites, reconciled)
    assert all(entry["resolution"] for entry in told.values())
    assert not {"customer", "key"} & set().union(*told.values()), "evidence outlives an erasure"
    # P6: each row of either site is in a chain, or has a decision, and none has both.
    every = ledger_ids(sites, "east") | ledger_ids(sites, "west")
    assert every == sealed_ids(sites) & every | told.keys()
    assert not sealed_ids(sites) & told.keys()
    (listed,) = make_report(sites.store, PLAN, run.number, now=now()).stranded_rows
    assert {row.id.replace("-", "") for row in listed.rows} == told.keys()
    catch_up(spare, sites.store, plan=PLAN)
    assert tables(sites.dsn("east")) == tables(sites.dsn("west")) == tables(spare)
    measured = sites.do(run, "east", "Measure")
    assert measured.figures["rpo"]["basis"] == "Exact"


def test_the_work_is_given_back_without_a_row_lost(sites: Sites, spare: str) -> None:
    sites.end(fail_over(sites, lose_east(sites)))
    sites.write("west", 30, 4)
    sites.checkpoint("west")
    sites.restore("east")
    run = sites.begin(RunKind.FAILBACK, "east")
    sites.do(run, "east", "RecoverStranded")
    sites.do(run, "west", "Reconcile")
    sites.seal("west")
    sites.do(run, "east", "CatchUp")
    sites.do(run, "east", "Verify")

    sites.write("west", 20, 5)
    quiesced = sites.do(run, "west", "Quiesce")
    with sites.sealing("west"):
        sealed = sites.do(run, "west", "Seal")
    final = sites.do(run, "east", "CatchUpFinal")
    moved = sites.do(run, "east", "TransferEpoch")

    assert quiesced.figures["stopped"]
    with pytest.raises(StaleEpoch):
        sites.write("west", 1, 6)
    assert sealed.figures["chain"] == "west/2"
    assert [(c.name, c.verdict) for c in final.checks] == [
        ("ChainEnd", "Passed"),
        ("CountersEqual", "Passed"),
    ]
    assert (moved.figures["epoch"], moved.figures["waitedSeconds"]) == (3, 0)
    assert Holder(sites.store, plan=PLAN, site="east", epoch=3, ttl=30).check()
    assert not Holder(sites.store, plan=PLAN, site="west", epoch=2, ttl=30).check()
    assert not ledger_ids(sites, "west") - sealed_ids(sites)
    sites.write("east", 10, 7)
    spooled = sites.do(run, "west", "RecoverSpooled")
    assert spooled.figures["rows"] == 0
    assert sites.do(run, "east", "MergeSpooled").figures["stranded"]["rows"] == 0
    sites.seal("east")
    catch_up(spare, sites.store, plan=PLAN)
    assert tables(sites.dsn("east")) == tables(spare)
    catch_up(sites.dsn("west"), sites.store, plan=PLAN)
    assert tables(sites.dsn("west")) == tables(spare)


def test_what_an_earlier_failback_put_back_is_not_told_as_lost_again(sites: Sites) -> None:
    sites.end(fail_over(sites, lose_east(sites)))
    sites.restore("east")
    give_back(sites)
    recovered, reconciled = lost_and_given_back(sites, 7)
    assert recovered.figures["rows"] == 7
    rpo = recovered.figures["rpo"]
    assert (rpo["rows"], rpo["estimated"]) == (7, 7)
    assert reconciled.figures["stranded"]["rows"] == 7
    assert len(accounted(sites, reconciled)) == 7


def test_what_was_answered_late_around_a_planned_move_is_not_told_as_lost(sites: Sites) -> None:
    sites.write("east", 60, 1)
    sites.checkpoint("east")
    hand_over(sites, "east", "west")
    # After the move has looked for such rows.
    put_aside(sites, 7)
    hand_over(sites, "west", "east")
    recovered, reconciled = lost_and_given_back(sites, 5)
    rpo = recovered.figures["rpo"]
    assert (rpo["rows"], rpo["estimated"], rpo["answeredLate"]) == (5, 5, 7)
    assert recovered.figures["rows"] == 12
    assert len(accounted(sites, reconciled)) == 12


def test_a_site_that_was_cut_off_as_it_sealed_seals_again_when_it_acts(
    sites: Sites, spare: str
) -> None:
    """It had said what it would put next, and did not come to know that its chain was closed."""
    sites.write("east", 60, 1)
    sites.checkpoint("east")
    sites.write("east", 25, 3)
    beat = sites.beat("east")
    cut_off = open_store(
        sites.url, options=sites.faults.options("east"), retries=0, timeout_seconds=1
    )
    sealer = Sealer(sites.dsn("east"), cut_off, plan=PLAN, site="east", clock=now)
    sealer.seal_once()
    sites.write("east", 12, 4)
    sites.faults.partition("east", how="refused")
    with pytest.raises(StoreUnavailable):
        sealer.seal_once()
    sealer.close()
    sites.faults.heal("east")
    with sites.connect("east") as east:
        assert intents.pending(east, "east", 1) is not None

    sites.end(fail_over(sites, beat.at))
    recovered, _ = give_back(sites)
    assert recovered.figures["rows"] == 12
    sites.write("east", 5, 8)
    sites.seal("east")
    catch_up(spare, sites.store, plan=PLAN)
    assert tables(sites.dsn("east")) == tables(spare)


def lost_and_given_back(sites: Sites, unshipped: int) -> tuple[StepResult, StepResult]:
    """East is lost with so many rows that it had not shipped, and comes back; see `give_back`."""
    sites.write("east", 40, 8)
    sites.seal("east")
    sites.write("east", unshipped, 9)
    beat = sites.beat("east", writer="another")
    sites.lose("east")
    sites.end(fail_over(sites, beat.at))
    sites.restore("east")
    return give_back(sites)


def give_back(sites: Sites) -> tuple[StepResult, StepResult]:
    """A failback to east; what RecoverStranded and Reconcile found."""
    run = sites.begin(RunKind.FAILBACK, "east")
    recovered = sites.do(run, "east", "RecoverStranded")
    reconciled = sites.do(run, "west", "Reconcile")
    sites.seal("west")
    _move(sites, run, "west", "east")
    return recovered, reconciled


def hand_over(sites: Sites, old: str, new: str) -> None:
    """A switchover."""
    _move(sites, sites.begin(RunKind.SWITCHOVER, new), old, new)


def _move(sites: Sites, run: Run, old: str, new: str) -> None:
    sites.do(run, new, "CatchUp")
    sites.do(run, new, "Verify")
    sites.do(run, old, "Quiesce")
    with sites.sealing(old):
        sites.do(run, old, "Seal")
    sites.do(run, new, "CatchUpFinal")
    sites.do(run, new, "TransferEpoch")
    sites.end(run)
