"""Windows as functions of time: zones, changes of clocks, overlaps, blocked times."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wayfare_engine.resources.standby import CronWindow
from wayfare_operator.recovery.windows import (
    Occurrence,
    ScheduleInvalid,
    blocked_at,
    check_schedule,
    due,
    first_overlap,
    next_time,
    next_window,
    occurrences,
    open_windows,
    times,
)


def utc(text: str) -> datetime:
    """`2026-03-29 01:30` in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def window(
    schedule: str, duration: str = "2h", zone: str = "UTC", name: str = "nightly"
) -> CronWindow:
    """A window."""
    return CronWindow(name=name, schedule=schedule, duration=duration, time_zone=zone)


def found(each: CronWindow, after: str, before: str) -> list[tuple[str, str]]:
    """Begin and end of each time of a window, in UTC."""
    return [
        (f"{one.begins:%m-%d %H:%M}", f"{one.ends:%m-%d %H:%M}")
        for one in occurrences(each, utc(after), utc(before))
    ]


def test_a_window_comes_at_its_local_time() -> None:
    lisbon = window("0 1 * * *", zone="Europe/Lisbon")
    assert found(lisbon, "2026-01-10 00:00", "2026-01-11 00:00") == [("01-10 01:00", "01-10 03:00")]
    assert found(lisbon, "2026-07-10 00:00", "2026-07-11 00:00") == [("07-10 00:00", "07-10 02:00")]


def test_an_hour_that_is_skipped_in_spring_comes_right_after_it() -> None:
    # On 2026-03-29 Berlin goes from 02:00 to 03:00.
    berlin = window("30 2 * * *", "1h", "Europe/Berlin")
    assert found(berlin, "2026-03-28 12:00", "2026-03-31 00:00") == [
        ("03-29 01:00", "03-29 02:00"),
        ("03-30 00:30", "03-30 01:30"),
    ]


def test_an_hour_that_comes_twice_in_autumn_is_taken_once() -> None:
    # On 2026-10-25 Berlin has 02:30 twice: at 00:30 and at 01:30 UTC.
    berlin = window("30 2 * * *", "1h", "Europe/Berlin")
    assert found(berlin, "2026-10-24 12:00", "2026-10-26 12:00") == [
        ("10-25 00:30", "10-25 01:30"),
        ("10-26 01:30", "10-26 02:30"),
    ]


@pytest.mark.parametrize("minute", range(0, 180, 7))
def test_from_within_the_second_hour_no_time_of_the_past_comes(minute: int) -> None:
    after = utc("2026-10-25 00:00") + timedelta(minutes=minute)
    following = next(times("30 2 * * *", "Europe/Berlin", after, where=""))
    wanted = "2026-10-25 00:30" if after < utc("2026-10-25 00:30") else "2026-10-26 01:30"
    assert following == utc(wanted)


def test_its_length_is_time_that_passes_and_not_the_clock_on_the_wall() -> None:
    # 00:00 in Berlin on the day on which 02:00 becomes 03:00: three hours later it is 04:00 there.
    [(begins, ends)] = found(
        window("0 0 * * *", "3h", "Europe/Berlin"), "2026-03-28 23:30", "2026-03-29 00:00"
    )
    assert (begins, ends) == ("03-28 23:00", "03-29 02:00")


def test_one_that_began_before_is_found_while_it_lasts() -> None:
    each = window("0 1 * * *")
    assert found(each, "2026-01-10 02:59", "2026-01-10 03:00") == [("01-10 01:00", "01-10 03:00")]
    assert found(each, "2026-01-10 03:00", "2026-01-10 04:00") == []


@given(
    minutes=st.integers(0, 2 * 365 * 24 * 60),
    zone=st.sampled_from(
        ["UTC", "Europe/Lisbon", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"]
    ),
    schedule=st.sampled_from(["0 1 * * *", "*/20 * * * *", "15 2 * * 0", "@daily", "30 */6 1 * *"]),
)
def test_times_rise_and_are_after_what_was_asked(minutes: int, zone: str, schedule: str) -> None:
    after = utc("2026-01-01 00:00") + timedelta(minutes=minutes)
    some = list(islice(times(schedule, zone, after, where=""), 8))
    assert all(moment > after for moment in some)
    assert some == sorted(set(some))


def test_of_windows_that_are_open_the_one_that_ends_last_is_worked_on() -> None:
    early, late = window("0 1 * * *", name="early"), window("0 2 * * *", name="late")
    both = open_windows([late, early], [], utc("2026-01-10 00:00"), utc("2026-01-10 12:00"))
    assert [each.name for each in both] == ["early", "late"]
    at = utc("2026-01-10 02:30")
    first = due(both, at, set())
    assert first is not None
    assert first.name == "late"
    second = due(both, at, {first.id})
    assert second is not None
    assert second.name == "early"
    assert due(both, at, {first.id, second.id}) is None
    assert due(both, utc("2026-01-10 04:00"), set()) is None


def test_a_window_that_overlaps_a_blocked_time_does_not_open() -> None:
    nightly = window("0 1 * * *")
    close = window("0 0 1 * *", "12h", name="month-end")
    days = open_windows([nightly], [close], utc("2026-01-31 00:00"), utc("2026-02-03 00:00"))
    assert [f"{each.begins:%m-%d}" for each in days] == ["01-31", "02-02"]
    told = first_overlap([nightly], [close], utc("2026-01-10 00:00"))
    assert told is not None
    assert str(told) == (
        "window nightly (2026-02-01 01:00 to 2026-02-01 03:00 UTC) overlaps blocked window "
        "month-end (2026-02-01 00:00 to 2026-02-01 12:00 UTC)"
    )


def test_times_that_only_touch_do_not_overlap() -> None:
    nightly, morning = window("0 1 * * *"), window("0 3 * * *", "6h", name="morning")
    assert first_overlap([nightly], [morning], utc("2026-01-10 00:00")) is None


def test_overlaps_that_come_with_a_change_of_clocks_are_found() -> None:
    # 01:00 UTC is 02:00 in Berlin in winter, and 03:00 in summer.
    here = window("0 1 * * *", "1h")
    there = window("0 3 * * *", "1h", "Europe/Berlin", name="batch")
    told = first_overlap([here], [there], utc("2026-01-10 00:00"))
    assert told is not None
    assert f"{told.window.begins:%Y-%m-%d}" == "2026-03-29"


def test_the_next_window_is_the_first_that_opens() -> None:
    nightly, close = window("0 1 * * *"), window("0 0 1,2 2 *", "24h", name="close")
    following = next_window([nightly], [close], utc("2026-01-31 02:00"))
    assert following is not None
    assert following.begins == utc("2026-02-03 01:00")
    seldom = next_window([window("0 1 30 6 *")], [], utc("2026-01-01 00:00"))
    assert seldom is not None
    assert seldom.begins == utc("2026-06-30 01:00")
    assert next_window([window("0 1 29 2 *")], [], utc("2026-01-01 00:00")) is None


def test_a_drill_time_in_a_blocked_window_is_passed_over() -> None:
    close = window("0 0 1 * *", "24h", name="close")
    after = utc("2026-01-31 12:00")
    assert next_time("0 9 * * *", "UTC", [close], after, where="") == utc("2026-02-02 09:00")
    barred = blocked_at([close], utc("2026-02-01 23:59"))
    assert barred is not None
    assert barred.name == "close"
    assert blocked_at([close], utc("2026-02-02 00:00")) is None


@pytest.mark.parametrize("schedule", ["61 * * * *", "* * * *", "a b c d e", "0 0 31 2 *"])
def test_what_is_no_schedule_or_never_comes_is_refused_by_its_place(schedule: str) -> None:
    with pytest.raises(ScheduleInvalid, match=r"spec\.drill\.schedule"):
        check_schedule(schedule, "UTC", utc("2026-01-01 00:00"), where="spec.drill.schedule")


def test_ids_sort_as_their_times() -> None:
    some = [
        Occurrence(utc("2026-01-10 01:00"), utc("2026-01-10 03:00"), "z"),
        Occurrence(utc("2026-01-11 01:00"), utc("2026-01-11 03:00"), "a"),
    ]
    assert sorted(each.id for each in some) == [each.id for each in some]
