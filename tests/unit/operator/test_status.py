"""Conditions as kstatus reads them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from wayfare_operator.kube.kinds import Object
from wayfare_operator.status import Extra, Outcome, State, conditions, status, transitions

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
GOOD = Outcome(True, "Published", "fine")
WAITING = Outcome(False, "Publishing", "not yet", progressing=True)
BROKEN = Outcome(False, "SyntaxError", "line 1", stalled=True)


def build(outcome: Outcome, observed: list[Object], now: datetime = NOW) -> dict[str, Object]:
    """Conditions by type."""
    built = conditions(outcome, generation=4, observed=observed, now=now)
    return {each["type"]: each for each in built}


def kstatus(found: dict[str, Object]) -> str:
    """kstatus' rules: Reconciling, then Stalled, then Ready."""
    if found["Reconciling"]["status"] == "True":
        return "InProgress"
    if found["Stalled"]["status"] == "True":
        return "Failed"
    return "Current" if found["Ready"]["status"] == "True" else "InProgress"


@pytest.mark.parametrize(
    ("outcome", "expected"), [(GOOD, "Current"), (WAITING, "InProgress"), (BROKEN, "Failed")]
)
def test_kstatus_reads_each_outcome(outcome: Outcome, expected: str) -> None:
    assert kstatus(build(outcome, [])) == expected


def test_every_condition_carries_generation_reason_and_time() -> None:
    for condition in build(GOOD, []).values():
        assert condition["observedGeneration"] == 4
        assert condition["reason"]
        assert condition["lastTransitionTime"] == "2026-01-01T12:00:00Z"


def test_the_time_moves_only_with_the_status() -> None:
    first = list(build(WAITING, []).values())
    other = build(Outcome(False, "Computing", "still", progressing=True), first, LATER)
    assert other["Ready"]["lastTransitionTime"] == "2026-01-01T12:00:00Z"
    assert other["Ready"]["reason"] == "Computing"
    done = build(GOOD, first, LATER)
    assert done["Ready"]["lastTransitionTime"] == "2026-01-01T13:00:00Z"
    assert done["Stalled"]["lastTransitionTime"] == "2026-01-01T12:00:00Z"


def test_the_same_outcome_gives_the_same_status() -> None:
    first = status(GOOD, {"size": 3}, generation=4, observed={}, now=NOW)
    assert status(GOOD, {"size": 3}, generation=4, observed=first, now=LATER) == first


def test_a_condition_that_is_no_longer_told_goes() -> None:
    told = Outcome(True, "Serving", "", extra=(Extra("EvaluationStores", "True", "Managed", ""),))
    first = list(build(told, []).values())
    assert "EvaluationStores" not in build(GOOD, first)


def test_an_event_goes_with_a_change_of_ready_or_degraded_only() -> None:
    first = status(WAITING, {}, generation=1, observed={}, now=NOW)
    again = status(WAITING, {}, generation=2, observed=first, now=NOW)
    broken = status(BROKEN, {}, generation=3, observed=again, now=NOW)
    assert len(transitions({}, first)) == 1
    assert transitions(first, again) == []
    (said,) = transitions(again, broken)
    assert (said.warning, said.reason, said.message) == (True, "SyntaxError", "line 1")

    def degraded(state: State, reason: str) -> Outcome:
        return Outcome(True, "Serving", "", extra=(Extra("Degraded", state, reason, "why"),))

    well = status(degraded("False", "Fine"), {}, generation=3, observed={}, now=NOW)
    assert [each.reason for each in transitions({}, well)] == ["Serving"]
    worse = status(degraded("True", "Open"), {}, generation=3, observed=well, now=NOW)
    (said,) = transitions(well, worse)
    assert (said.warning, said.reason, said.message) == (True, "Open", "why")
    (said,) = transitions(worse, well)
    assert (said.warning, said.reason) == (False, "Fine")


def test_each_missed_window_has_an_event_and_a_drill_that_goes_on_has_one() -> None:
    def told(reason: str, message: str) -> dict[str, object]:
        extra = (Extra("WindowMissed", "True", reason, message),)
        return status(
            Outcome(True, "Serving", "", extra=extra), {}, generation=1, observed={}, now=NOW
        )

    first = told("WindowMissed", "window nightly of 2026-01-01 passed")
    second = told("WindowMissed", "window nightly of 2026-01-02 passed")
    assert transitions(first, first) == []
    assert [each.message for each in transitions(first, second)] == [
        "window nightly of 2026-01-02 passed"
    ]
    assert transitions(told("DrillOverran", "for 2.1 h"), told("DrillOverran", "for 2.2 h")) == []


def test_a_message_has_an_end() -> None:
    assert len(build(Outcome(False, "X", "m" * 99_999), [])["Ready"]["message"]) == 2000
