"""Where things are drawn: in the drawing, in order, as long as they took."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wayfare_engine.recovery.report.columns import MOST, columns
from wayfare_engine.recovery.report.model import AttemptSeen, Measured, RunSeen, StepSeen
from wayfare_engine.recovery.report.scale import Scale, round_step, round_top
from wayfare_engine.recovery.report.shown import span
from wayfare_engine.recovery.report.timeline import LEFT, RIGHT, WIDTH, timeline

AT = datetime(2026, 11, 28, 9, tzinfo=UTC)
SPANS = st.lists(
    st.tuples(st.floats(0, 1e6), st.floats(0, 1e5)).map(lambda s: (s[0], s[0] + s[1])), max_size=12
)


@given(SPANS, st.lists(st.floats(-1e6, 1e6), max_size=5))
def test_a_scale_is_monotonic_and_inside(
    busy: list[tuple[float, float]], moments: list[float]
) -> None:
    scale = Scale(busy, moments, width=800)
    points = sorted([p for one in busy for p in one] + moments)
    places = [scale.place(point) for point in points]
    assert places == sorted(places)
    assert all(0 <= place <= 800 for place in places)
    ticks = scale.ticks()
    assert list(ticks) == sorted(ticks)
    assert len(ticks) < 60
    for cut in scale.cuts():
        assert cut.left <= cut.right
        assert not any(cut.begin < (b + e) / 2 < cut.end and e > b for b, e in busy)


def test_a_night_of_waiting_does_not_flatten_the_rest() -> None:
    scale = Scale([(0, 30), (9 * 3600, 9 * 3600 + 30)], width=100)
    [cut] = scale.cuts()
    assert (cut.begin, cut.end) == (30, 9 * 3600)
    assert cut.right - cut.left < 10
    assert scale.place(30) - scale.place(0) > 40


def test_equal_spans_are_equally_long() -> None:
    scale = Scale([(0, 10), (10, 20), (25, 35)], width=350)
    assert scale.place(10) - scale.place(0) == pytest.approx(100)
    assert scale.place(35) - scale.place(25) == pytest.approx(100)
    assert scale.cuts() == ()


@given(st.floats(1e-3, 1e12))
def test_the_top_of_an_axis_is_round_and_not_far_above(largest: float) -> None:
    assert largest * 0.999 <= round_top(largest) <= largest * 2.6


@given(st.floats(0, 1e6))
def test_a_step_of_an_axis_is_not_below_what_was_asked(least: float) -> None:
    assert round_step(least) >= least


def step(name: str, *attempts: tuple[float, float | None], barred: bool = False) -> StepSeen:
    return StepSeen(
        name=name,
        state="Succeeded",
        runs_as="Job",
        no_way_back=barred,
        attempts=tuple(
            AttemptSeen(
                attempt=number + 1,
                by="pod",
                began_at=AT + timedelta(seconds=begin),
                ended_at=None if end is None else AT + timedelta(seconds=end),
                outcome=None if end is None else "Succeeded",
                summary="",
                figures={},
                evidence=None,
            )
            for number, (begin, end) in enumerate(attempts)
        ),
    )


def test_every_attempt_has_a_bar_in_its_steps_row() -> None:
    steps = [step("Wake", (0, 10)), step("Route", (10, 12), (20, None), barred=True)]
    drawn = timeline(
        steps, origin=AT, marks=[("request", "requested", AT)], until=AT + timedelta(seconds=25)
    )
    wake, first, second = drawn.bars
    assert (wake.y, first.y, second.y) == (wake.y, wake.y + 26, wake.y + 26)
    assert second.state == "Running"
    assert second.x + second.width == pytest.approx(WIDTH - RIGHT)
    assert wake.x == LEFT
    assert wake.width == pytest.approx(10 / 25 * (WIDTH - LEFT - RIGHT))
    assert drawn.no_way_back_y == first.y - 5


def test_a_run_of_which_nothing_began_can_be_drawn() -> None:
    drawn = timeline([step("Wake")], origin=AT, marks=[("request", "requested", AT)], until=AT)
    assert drawn.bars == ()
    assert [mark.x for mark in drawn.marks] == [LEFT]


def run(number: int, value: float | None, objective: float | None = 60) -> RunSeen:
    met = None if value is None or objective is None else value <= objective
    rto = Measured(value=value, objective=objective, met=met, basis="Request")
    return RunSeen(
        number=number,
        name=f"drill-{number}",
        kind="Drill",
        at=AT,
        state="Succeeded",
        verdict="Passed",
        rto=rto,
        rpo=rto,
    )


def test_an_unknown_value_has_a_place_and_no_column() -> None:
    drawn = columns([run(1, 30), run(2, None), run(3, 90)], lambda r: r.rto, span)
    first, unknown, last = drawn.columns
    assert (unknown.known, unknown.said, unknown.height) == (False, "?", 0)
    assert first.x < unknown.x < last.x
    assert last.height == pytest.approx(3 * first.height)
    assert [c.this for c in drawn.columns] == [False, False, True]
    assert drawn.objective is not None
    assert last.y < drawn.objective.y < first.y
    assert "objective not met" in last.title


def test_nothing_lost_is_a_thin_column_and_not_a_missing_one() -> None:
    [only] = columns([run(1, 0, None)], lambda r: r.rto, lambda v: f"{v:g}").columns
    assert (only.known, only.said) == (True, "0")
    assert 0 < only.height < 2


def test_only_the_newest_runs_are_drawn_and_the_others_counted() -> None:
    drawn = columns([run(n, 1) for n in range(1, MOST + 4)], lambda r: r.rto, span)
    assert (len(drawn.columns), drawn.left_out) == (MOST, 3)
    assert drawn.columns[-1].run == f"#{MOST + 3}"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.04, "0.0 s"),
        (42, "42.0 s"),
        (185, "3 min 05 s"),
        (7620, "2 h 07 min"),
        (273600, "3 d 04 h"),
        (-3, "-3.0 s"),
        (99.97, "1 min 40 s"),
    ],
)
def test_a_time_in_words(seconds: float, said: str) -> None:
    assert span(seconds) == said
