"""What a report says of runs of all four kinds, from records on a real S3 server."""

from __future__ import annotations

import json
from collections import Counter
from datetime import timedelta, timezone

import pytest

from tests.report import golden, stories
from tests.report.outline import Parsed
from tests.report.place import Place
from tests.report.stories import PLAN, START, STATEMENT
from wayfare_engine import runs
from wayfare_engine.reconcile.rules import RULES
from wayfare_engine.recovery.report import make_report, page, stranded_rows
from wayfare_engine.resources import RunKind, Verdict
from wayfare_engine.runs import Decision, Keys


@pytest.mark.parametrize("name", sorted(golden.STORIES))
def test_pages_and_json_are_built_as_they_were(place: Place, name: str) -> None:
    kept = (golden.FOLDER / f"{name}.txt").read_text(encoding="utf-8")
    assert golden.built(place.store, name) == kept, "python -m tests.report.golden, then look"


def test_a_drill_says_what_was_isolated_and_that_nothing_got_out(place: Place) -> None:
    stories.drill(place.store)
    made = place.report(1)
    assert (made.head.kind, made.head.state, made.head.verdict) == ("Drill", "Succeeded", "Passed")
    assert made.isolation is not None
    assert [one.what for one in made.isolation.items] == ["database", "channels", "network"]
    assert (made.isolation.outward_sends, made.isolation.left) == (0, ())
    assert made.replay is not None
    assert (made.replay.replayed, made.replay.differences) == (2000, 0)
    assert made.unknowns == ()
    assert made.scenario is not None
    assert (made.scenario.lost, made.scenario.rows, made.scenario.basis) == ("Site", 312, "Exact")
    assert [(s.channel, s.sends) for s in made.scenario.in_doubt] == [("bank/sms", 7)]
    text = Parsed(page(made)).text
    assert "a clone in an instance of its own" in text
    assert "0 of 1,210, by the hand-overs in the drill's own ledger" in text


def test_a_failover_says_who_stated_approved_and_retried(place: Place) -> None:
    stories.failover(place.store)
    made = place.report(1)
    assert made.people.statement == STATEMENT
    assert [(r.decision, r.step, r.attempt, r.approver) for r in made.rulings] == [
        ("Approve", "Verify", 1, "bob@bank.example"),
        ("Retry", "Route", 1, "bob@bank.example"),
    ]
    states = {step.name: step.state for step in made.steps}
    assert states["Verify"] == "ApprovedPast"
    assert states["Route"] == "Succeeded"
    assert [a.outcome for s in made.steps if s.name == "Route" for a in s.attempts] == [
        "Failed",
        "Succeeded",
    ]
    assert (made.rto.value, made.rto.met) == (90.0, False)
    assert (made.rpo.value, made.rpo.basis) == (312, "Estimated")
    text = Parsed(page(made)).text
    for words in (STATEMENT, "bob@bank.example", "the snapshot before was equal", "≈ 312"):
        assert words in text
    assert "Exactly how many records were lost: the figure is an estimate" in text


def test_a_failback_counts_stranded_rows_by_what_became_of_them(place: Place) -> None:
    stories.failback(place.store)
    made = place.report(1)
    assert made.stranded is not None
    assert (made.stranded.rows, made.stranded.unaccounted) == (310, 0)
    assert made.stranded.resolutions == {"applied": 290, "superseded": 12, "not-sent": 8}
    text = Parsed(page(made)).text
    assert "Every one is accounted for by id." in text
    assert RULES["send-known"][1] in text


def test_a_failback_lists_each_row_by_its_id(place: Place) -> None:
    stories.failback(place.store)
    made = place.report(1)
    (told,) = made.stranded_rows
    assert (told.step, len(told.rows), told.left_out, told.unread) == ("Reconcile", 310, 0, 0)
    first = told.rows[0]
    assert (first.id[-3:], first.rule, first.look) == ("289", "dispatch-perhaps-left", True)
    assert sum(row.look for row in told.rows) == 1
    counts = Counter(row.resolution for row in told.rows)
    assert made.stranded is not None
    assert counts == made.stranded.resolutions
    text = Parsed(page(made)).text
    assert all(row.id in text for row in told.rows)
    assert text.count("look at it") == 1
    pieces = [e for e in made.evidence if e.named_by == ("rows of Reconcile, attempt 1",)]
    assert [one.state for one in pieces] == ["Verified", "Verified"]


def test_a_piece_of_the_list_that_is_damaged_or_gone_is_told(place: Place) -> None:
    told = stories.Teller(place.store, RunKind.FAILBACK)
    good, bad, gone = (stories.put_entries(told, n, n + 1) for n in range(3))
    place.store.put(runs.evidence.path_of(bad), b"{}")
    place.store.delete(runs.evidence.path_of(gone))
    told.step(
        "Reconcile",
        figures={"stranded": {"rows": 3, "accounted": 3, "resolutions": {"applied": 3}}},
        seen={"entries": [good, bad, gone]},
    )
    made = place.report(1)
    (some,) = made.stranded_rows
    assert (len(some.rows), some.unread) == (1, 2)
    assert {e.state for e in made.evidence} == {"Verified", "Damaged", "Missing"}
    assert any("2 pieces of the list are missing" in one for one in made.unknowns)


def test_of_very_many_rows_those_to_look_at_are_told(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stranded_rows, "MOST_ROWS", 100)
    stories.failback(place.store)
    made = place.report(1)
    (told,) = made.stranded_rows
    assert (len(told.rows), told.left_out) == (100, 210)
    assert told.rows[0].look
    assert "210 more are in the evidence only" in Parsed(page(made)).text


def test_rows_without_a_decision_are_said(place: Place) -> None:
    told = stories.Teller(place.store, RunKind.FAILBACK)
    told.step("Reconcile", figures={"stranded": {"rows": 10, "accounted": 7, "resolutions": {}}})
    assert "3 rows have no decision" in Parsed(page(place.report(1))).text


def test_an_approval_of_a_run_that_nobody_is_known_to_have_asked_for_is_told(place: Place) -> None:
    told = stories.Teller(place.store, RunKind.SWITCHOVER, requested_by="unknown")
    told.rule("Verify", Decision.APPROVE)
    (said,) = (one for one in place.report(1).unknowns if "another person" in one)
    assert "who asked is not recorded" in said


def test_an_abandoned_run_says_what_is_not_known(place: Place) -> None:
    stories.switchover(place.store)
    made = place.report(1)
    assert (made.head.state, made.head.verdict) == ("Abandoned", "Failed")
    assert {s.name: s.state for s in made.steps}["TransferEpoch"] == "Skipped"
    for words in (
        "How many records were lost.",
        "What came of Seal, attempt 1: nothing is recorded.",
        "Whether site east did Seal (Seal, attempt 1): it has not answered.",
    ):
        assert words in made.unknowns


def test_a_run_that_waits_is_not_told_as_one_that_ended(place: Place) -> None:
    stories.waiting(place.store)
    made = place.report(1)
    assert (made.head.state, made.head.verdict) == ("WaitingForApproval", "Unknown")
    assert made.head.ended_at is None
    assert [c.verdict for c in made.checks] == ["Failed"]
    assert any("has not ended" in words for words in made.unknowns)


def test_a_run_whose_step_failed_can_be_told_too(place: Place) -> None:
    stories.failed(place.store)
    made = place.report(1)
    assert made.head.state == "Failed"
    step = next(s for s in made.steps if s.name == "CatchUp")
    assert (step.state, step.attempts[-1].figures["damaged"]) == (
        "Failed",
        "journal/east/00000003/0000000000001200",
    )
    assert "is damaged" in Parsed(page(made)).text


def test_earlier_runs_of_the_plan_are_compared_and_later_ones_are_not(place: Place) -> None:
    for day, seconds in enumerate((31.5, 44.0, 71.0)):
        stories.drill(place.store, START + timedelta(days=day), seconds=seconds)
    made = place.report(2)
    assert [(run.number, run.rto.value) for run in made.history] == [(1, 31.5), (2, 44.0)]
    assert made.rto == made.history[-1].rto
    text = Parsed(page(place.report(3))).text
    assert "1 min 11 s" in text.replace("\n", "") or "71.0 s" in text


def test_only_so_many_earlier_runs_are_read_and_that_is_said(place: Place) -> None:
    from wayfare_engine.recovery.report import history

    for number in range(history.MOST_EARLIER + 3):
        told = stories.Teller(place.store, RunKind.DRILL, name=f"drill-{number}")
        told.end()
    made = place.report(history.MOST_EARLIER + 3)
    assert (len(made.history), made.history_left_out) == (history.MOST_EARLIER + 1, 2)
    assert "2 still earlier runs were not read." in Parsed(page(made)).text


def test_signatures_between_the_sites_are_checked_with_the_key(place: Place) -> None:
    stories.failback(place.store)

    def signed(key: str | None) -> set[bool | None]:
        keys = Keys.of(key) if key else None
        made = make_report(place.store, PLAN, 1, now=START, keys=keys)
        return {one.signed for one in made.requests}

    assert signed(stories.KEY) == {True}
    assert signed("another-key-that-is-long-enough-too") == {False}
    assert signed(None) == {None}


def test_an_approval_of_an_earlier_attempt_lets_nothing_past(place: Place) -> None:
    told = stories.waiting(place.store)
    told.rule("Verify", Decision.APPROVE, attempt=2)
    assert place.report(1).head.state == "WaitingForApproval"
    told.rule("Verify", Decision.APPROVE, attempt=1)
    states = {s.name: s.state for s in place.report(1).steps}
    assert states["Verify"] == "ApprovedPast"


def test_what_an_earlier_attempt_found_is_told_too(place: Place) -> None:
    told = stories.Teller(place.store, RunKind.SWITCHOVER)
    bad = told.check("TablesEqual", Verdict.FAILED, message="contacts differ in 3 rows")
    told.step("Verify", failed=True, checks=[bad], figures={"differ": 3})
    told.rule("Verify", Decision.RETRY)
    told.step("Verify", attempt=2, checks=[told.check("TablesEqual")])
    made = place.report(1)
    assert [(c.verdict, c.attempt) for c in made.checks] == [("Passed", 2)]
    assert [(c.verdict, c.attempt) for c in made.earlier_checks] == [("Failed", 1)]
    text = Parsed(page(made)).text
    assert "Data level, found by earlier attempts" in text
    assert "contacts differ in 3 rows" in text
    assert "1 of 1 passed" in text


def test_json_has_everything_and_is_json(place: Place) -> None:
    stories.failover(place.store)
    made = place.report(1)
    facts = json.loads(json.dumps(made.facts()))
    assert facts["format"] == "wayfare.report/1"
    assert facts["head"]["requestedAt"] == START.isoformat()
    assert {one["state"] for one in facts["evidence"]} == {"Verified"}
    assert len(facts["objects"]) == len(made.objects) > 20
    assert all(len(one["sha256"]) == 64 for one in facts["objects"])


def test_the_clock_of_the_recovery_time_is_the_runs_own(place: Place) -> None:
    """The chart begins so long before VerifyServing's end as the run says that it took."""
    stories.failover(place.store)
    serving = next(
        r for r in [runs.read_result(place.store, PLAN, 1, "VerifyServing")] if r is not None
    )
    began = serving.ended_at - timedelta(seconds=90)
    assert f"Seconds since {began:%Y-%m-%d %H:%M:%S} UTC" in page(place.report(1))


def test_a_step_that_had_nothing_to_do_is_skipped(place: Place) -> None:
    told = stories.Teller(place.store, RunKind.DRILL)
    told.step("Wake", 0.0, figures={"skipped": True}, summary="the site is awake already")
    made = place.report(1)
    assert {s.name: s.state for s in made.steps}["Wake"] == "Skipped"
    assert "the site is awake already" in Parsed(page(made)).text


def test_times_are_told_in_one_zone(place: Place) -> None:
    lisbon = START.astimezone(timezone(timedelta(hours=1)))
    stories.Teller(place.store, RunKind.DRILL, lisbon)
    assert "2026-11-28 09:00:00 UTC" in Parsed(page(place.report(1))).text
