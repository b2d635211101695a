"""Which runs lead a plan from one phase to the next."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wayfare_engine.resources.generate import main as generate
from wayfare_engine.resources.phase_figure import phase_figure
from wayfare_engine.resources.phases import (
    BEGINS_IN,
    NO_RETURN,
    WHILE_OPEN,
    End,
    RunTrace,
    after,
    may_abandon,
    may_begin,
    phase_of,
    transitions,
    why_not,
)
from wayfare_engine.resources.recovery_words import Phase, RunKind

SUCCEEDED = End.SUCCEEDED
SVG = "{http://www.w3.org/2000/svg}"


def failover(end: End | None = None, *, taken: bool = False) -> RunTrace:
    return RunTrace(RunKind.FAILOVER, no_return=taken, end=end)


def test_a_plan_without_runs_is_in_production() -> None:
    assert phase_of([]) is Phase.PRODUCTION


@pytest.mark.parametrize(
    ("kind", "phase"),
    [
        (RunKind.DRILL, Phase.DRILL),
        (RunKind.SWITCHOVER, Phase.SWITCHING),
        (RunKind.FAILOVER, Phase.EMERGENCY),
    ],
)
def test_an_open_run_gives_the_phase_its_name(kind: RunKind, phase: Phase) -> None:
    assert phase_of([RunTrace(kind)]) is phase


def test_the_whole_story_ends_in_production_again() -> None:
    story = [
        (RunTrace(RunKind.DRILL, end=SUCCEEDED), Phase.PRODUCTION),
        (RunTrace(RunKind.SWITCHOVER, no_return=True, end=SUCCEEDED), Phase.PRODUCTION),
        (failover(SUCCEEDED, taken=True), Phase.EMERGENCY),
        (RunTrace(RunKind.FAILBACK, end=End.ABANDONED), Phase.EMERGENCY),
        (RunTrace(RunKind.FAILBACK, no_return=True, end=SUCCEEDED), Phase.PRODUCTION),
    ]
    runs = [run for run, _ in story]
    assert [phase_of(runs[: i + 1]) for i in range(len(runs))] == [phase for _, phase in story]


def test_a_failover_that_was_abandoned_leaves_everything_as_it_was() -> None:
    assert phase_of([failover(End.ABANDONED)]) is Phase.PRODUCTION
    assert phase_of([failover(SUCCEEDED, taken=True), failover(End.ABANDONED)]) is Phase.EMERGENCY


def test_a_drill_never_changes_what_the_plan_was_in() -> None:
    for end in End:
        assert phase_of([RunTrace(RunKind.DRILL, end=end)]) is Phase.PRODUCTION


@pytest.mark.parametrize("kind", [kind for kind in RunKind if NO_RETURN[kind]])
def test_what_failed_after_its_point_of_no_return_is_an_emergency(kind: RunKind) -> None:
    for phase in BEGINS_IN[kind]:
        failed = RunTrace(kind, no_return=True, end=End.FAILED)
        assert after(phase, failed) is Phase.EMERGENCY
        assert may_begin(Phase.EMERGENCY, RunKind.FAILOVER)


def test_a_run_is_abandoned_before_its_point_of_no_return_only() -> None:
    assert may_abandon(failover())
    assert not may_abandon(failover(taken=True))
    assert not may_abandon(failover(End.ABANDONED))


def test_an_emergency_is_left_by_a_failback_and_not_by_a_switchover_or_a_drill() -> None:
    assert may_begin(Phase.EMERGENCY, RunKind.FAILBACK)
    assert not may_begin(Phase.EMERGENCY, RunKind.SWITCHOVER)
    assert not may_begin(Phase.EMERGENCY, RunKind.DRILL)
    assert not may_begin(Phase.PRODUCTION, RunKind.FAILBACK)


def test_who_asks_for_what_may_not_begin_is_told_what_to_do() -> None:
    assert why_not(Phase.EMERGENCY, RunKind.SWITCHOVER) == (
        "a Switchover begins in phase Production, and the plan is in Emergency: bring the sites "
        "together with a Failback first, or move on with a Failover"
    )
    for phase in Phase:
        for kind in RunKind:
            if not may_begin(phase, kind):
                assert str(phase) in why_not(phase, kind)


@given(st.data())
def test_every_history_goes_along_the_published_ways(data: st.DataObject) -> None:
    """Runs that may begin, one at a time, with any end: each move is one that is drawn."""
    drawn = {(each.before, each.after) for each in transitions()}
    phase, runs = Phase.PRODUCTION, []
    for _ in range(data.draw(st.integers(0, 12))):
        kind = data.draw(st.sampled_from([each for each in RunKind if may_begin(phase, each)]))
        gone = bool(NO_RETURN[kind]) and data.draw(st.booleans())
        end = data.draw(st.sampled_from([e for e in End if not (gone and e is End.ABANDONED)]))
        during = after(phase, RunTrace(kind, no_return=gone))
        runs.append(RunTrace(kind, no_return=gone, end=end))
        assert (phase, during) in drawn
        phase = phase_of(runs)
        assert (during, phase) in drawn
        assert phase in (Phase.PRODUCTION, Phase.EMERGENCY)


def test_every_phase_can_be_left_and_reached() -> None:
    ways = {(each.before, each.after) for each in transitions() if each.before != each.after}
    assert {before for before, _ in ways} == {then for _, then in ways} == set(Phase)
    assert set(WHILE_OPEN) == set(RunKind)


def test_the_figure_shows_every_way() -> None:
    texts = [each.text or "" for each in ElementTree.fromstring(phase_figure()).iter(f"{SVG}text")]
    flat = " ".join(texts)
    for each in transitions():
        assert each.said in flat
    for phase in Phase:
        assert texts.count(phase) == 1


def test_an_edited_figure_is_found_stale(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figure = tmp_path / "docs" / "recovery-phases.svg"
    figure.parent.mkdir()
    generate(["--top", str(tmp_path)])
    assert figure.read_text() == phase_figure()
    figure.write_text(phase_figure().replace("Failback begins", "Failback ends"))
    assert generate(["--check", "--top", str(tmp_path)]) == 1
    assert "stale: docs/recovery-phases.svg" in capsys.readouterr().err
