"""Awake hours from recorded intervals, and the saving."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wayfare_operator.recovery.awake import (
    CAUSES,
    DAY,
    Cause,
    Interval,
    awake_since,
    observe,
    saving,
    summed,
)

MIDNIGHT = datetime(2026, 1, 10, tzinfo=UTC)
LONG_AGO = MIDNIGHT - timedelta(days=30)


def at(hours: float) -> datetime:
    """So many hours after midnight."""
    return MIDNIGHT + timedelta(hours=hours)


def seen(*looks: tuple[float, int, int, Cause]) -> tuple[Interval, ...]:
    """What is recorded after these looks: (hour, pods, volumes, cause)."""
    recorded: tuple[Interval, ...] = ()
    for hour, pods, volumes, cause in looks:
        recorded = observe(recorded, at(hour), pods=pods, volumes=volumes, cause=cause)
    return recorded


def test_two_of_24_hours_awake_are_a_twelfth_and_save_eleven() -> None:
    recorded = seen((1, 6, 2, "window"), (2, 6, 2, "window"), (3, 0, 0, "window"))
    assert len(recorded) == 1
    found = summed(recorded, at(24), since=LONG_AGO, always=6)
    assert found is not None
    assert found.share == pytest.approx(1 / 12)
    assert found.saved_share == pytest.approx(11 / 12)
    assert found.hours_today == 0  # midnight has just come
    assert found.pod_hours.window == pytest.approx(12)
    assert found.volume_hours.window == pytest.approx(4)
    before = summed(recorded, at(23.99), since=LONG_AGO, always=6)
    assert before is not None
    assert before.hours_today == pytest.approx(2)


def test_hours_are_told_by_what_woke_the_site() -> None:
    recorded = seen(
        (1, 2, 0, "window"),
        (2, 4, 0, "window"),
        (3, 4, 0, "drill"),
        (4, 0, 0, "drill"),
        (10, 5, 0, "emergency"),
    )
    found = summed(recorded, at(12), since=LONG_AGO, always=5)
    assert found is not None
    assert (found.hours.window, found.hours.drill, found.hours.emergency) == (2, 1, 2)
    assert (found.pod_hours.window, found.pod_hours.drill, found.pod_hours.emergency) == (6, 4, 10)


def test_less_than_a_day_of_records_is_a_share_of_that_time() -> None:
    recorded = seen((1, 3, 0, "window"), (2, 0, 0, "window"))
    found = summed(recorded, at(4), since=at(0), always=3)
    assert found is not None
    assert (found.of_hours, found.share, found.saved_share) == (4, 0.25, 0.75)
    assert summed((), at(0), since=at(0), always=3) is None


def test_without_knowing_what_would_be_up_no_saving_is_claimed() -> None:
    found = summed(seen((1, 3, 0, "window")), at(2), since=LONG_AGO, always=None)
    assert found is not None
    assert found.saved_share is None


def test_records_survive_the_operator_and_its_absence_is_counted_as_it_was() -> None:
    recorded = seen((1, 3, 0, "window"))
    # The operator was away from 1:30 on, and sees at 5:00 that nothing is up any more.
    recorded = observe(recorded, at(5), pods=0, volumes=0, cause="window")
    found = summed(recorded, at(24), since=LONG_AGO, always=3)
    assert found is not None
    assert found.hours.window == 4


def test_a_clock_that_is_put_back_makes_no_time() -> None:
    recorded = seen((5, 3, 0, "window"), (4, 0, 0, "window"))
    assert recorded == ()
    recorded = seen((5, 3, 0, "window"), (6, 0, 0, "window"), (5.5, 2, 0, "window"))
    assert recorded[-1].began == at(6)


def test_awake_since_goes_back_over_changes_of_size() -> None:
    recorded = seen((1, 2, 0, "window"), (2, 0, 0, "window"), (3, 2, 0, "window"))
    recorded = observe(recorded, at(4), pods=5, volumes=0, cause="drill")
    assert awake_since(recorded) == at(3)
    assert awake_since(observe(recorded, at(5), pods=0, volumes=0, cause="drill")) is None
    assert awake_since(()) is None


looks = st.lists(
    st.tuples(
        st.floats(0, 20, allow_nan=False),
        st.integers(0, 9),
        st.integers(0, 3),
        st.sampled_from(CAUSES),
    ),
    max_size=40,
)


@given(looks)
def test_the_sum_is_what_counting_minute_by_minute_finds(
    some: list[tuple[float, int, int, Cause]],
) -> None:
    whole = sorted(
        ((round(hour * 60) / 60, pods, 0, cause) for hour, pods, _, cause in some),
        key=lambda each: each[0],
    )
    recorded = seen(*whole)
    end = 21.0
    found = summed(recorded, at(end), since=LONG_AGO, always=9)
    assert found is not None
    by_hand = dict.fromkeys(CAUSES, 0.0)
    for minute in range(int(end * 60)):
        pods, cause = 0, CAUSES[0]
        for hour, those, _, why in whole:
            if round(hour * 60) <= minute:
                pods, cause = those, why
        by_hand[cause] += pods / 60
    for cause in CAUSES:
        assert getattr(found.pod_hours, cause) == pytest.approx(by_hand[cause], abs=1e-6)
    assert 0 <= found.share <= 1


def test_what_is_older_than_a_week_is_forgotten_and_the_day_is_not() -> None:
    recorded: tuple[Interval, ...] = ()
    for day in range(30):
        for hour, pods in ((1, 4), (3, 0)):
            moment = MIDNIGHT + timedelta(days=day, hours=hour)
            recorded = observe(recorded, moment, pods=pods, volumes=0, cause="window")
    assert len(recorded) <= 10
    now = MIDNIGHT + timedelta(days=29, hours=12)
    found = summed(recorded, now, since=LONG_AGO, always=4)
    assert found is not None
    assert found.hours.window == 2
    assert min(each.began for each in recorded) > now - DAY * 9


def test_volumes_are_paid_for_while_it_sleeps_too() -> None:
    found = summed(seen((1, 6, 2, "window"), (3, 0, 0, "window")), at(24), since=LONG_AGO, always=6)
    assert found is not None
    full, was = saving(found, always=6, volumes=2, pod_hour=0.10, volume_hour=0.01)
    assert full == pytest.approx(6 * 24 * 0.10 + 2 * 24 * 0.01)
    assert was == pytest.approx(12 * 0.10 + 2 * 24 * 0.01)
