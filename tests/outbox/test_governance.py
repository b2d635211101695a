"""What governs contacts is asked when a send leaves: quiet hours, caps of a channel, lists."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.outbox.conftest import Outbox, now
from tests.servers.wait import until
from wayfare_engine.clock import new_id
from wayfare_engine.facts import Draft, Fact, write
from wayfare_engine.ledger.bodies import ListMember
from wayfare_engine.outbox.checks import Check
from wayfare_engine.outbox.governance import ChannelCap, Lists, QuietHours, quiet_until
from wayfare_engine.plan import PlanWindow

LISBON, NEW_YORK = ZoneInfo("Europe/Lisbon"), ZoneInfo("America/New_York")


def window(start: int, end: int, *days: int) -> PlanWindow:
    """Minutes of the day; on no days: on all."""
    return PlanWindow(start=start, end=end, days=days)


NIGHT = window(21 * 60, 8 * 60)


def open_now(zone: ZoneInfo) -> PlanWindow:
    """A window that began an hour ago and ends in two, there."""
    local = now().astimezone(zone)
    minute = local.hour * 60 + local.minute
    return window((minute - 60) % 1440, (minute + 120) % 1440)


def on_list(outbox: Outbox, customer: str, name: str, *, member: bool = True) -> None:
    fact = Fact(ListMember(list=name, customer=customer, member=member), now())
    with psycopg.connect(outbox.dsn, autocommit=True) as connection:
        write(connection, [Draft(new_id(), fact)], site=outbox.site)


def reason(outbox: Outbox, key: str) -> str | None:
    found = outbox.ask("SELECT reason FROM wayfare.send_holds WHERE send_key = %s", key)
    return found[0][0] if found else None


@pytest.mark.parametrize(
    ("at", "ends"),
    [
        ("2026-06-01T23:30:00+01:00", "2026-06-02T08:00:00+01:00"),
        ("2026-06-02T07:59:59+01:00", "2026-06-02T08:00:00+01:00"),
        ("2026-06-02T08:00:00+01:00", None),
        ("2026-06-02T20:59:59+01:00", None),
        # The night in which Lisbon's clocks go forward, and the one in which they go back.
        ("2026-03-28T22:00:00+00:00", "2026-03-29T08:00:00+01:00"),
        ("2026-10-24T22:00:00+01:00", "2026-10-25T08:00:00+00:00"),
    ],
)
def test_the_night_ends_by_the_customers_clock(at: str, ends: str | None) -> None:
    moment = datetime.fromisoformat(at).astimezone(UTC)
    found = quiet_until([NIGHT], LISBON, moment)
    assert found == (None if ends is None else datetime.fromisoformat(ends))


def test_days_are_those_on_which_a_window_starts() -> None:
    friday = window(18 * 60, 9 * 60, 4)
    saturday, sunday = (datetime(2026, 6, day, 7, tzinfo=UTC) for day in (6, 7))
    assert quiet_until([friday], ZoneInfo("UTC"), saturday) == saturday.replace(hour=9)
    assert quiet_until([friday], ZoneInfo("UTC"), sunday) is None


def test_windows_without_a_gap_are_one_quiet_time() -> None:
    windows = [window(20 * 60, 0), window(0, 6 * 60), window(360, 480)]
    at = datetime(2026, 6, 1, 21, tzinfo=UTC)
    assert quiet_until(windows, ZoneInfo("UTC"), at) == datetime(2026, 6, 2, 8, tzinfo=UTC)
    always = [window(0, 720), window(720, 0)]
    later = quiet_until(always, ZoneInfo("UTC"), at)
    assert later is not None
    assert later >= at + timedelta(days=7)


_minutes = st.integers(0, 1439)
_windows = st.lists(
    st.builds(
        PlanWindow,
        start=_minutes,
        end=_minutes,
        days=st.lists(st.integers(0, 6), unique=True, max_size=3).map(tuple),
    ).filter(lambda w: w.start != w.end),
    min_size=1,
    max_size=3,
)


@settings(max_examples=150, deadline=None)
@given(
    windows=_windows,
    zone=st.sampled_from([LISBON, NEW_YORK, ZoneInfo("Asia/Kolkata"), ZoneInfo("UTC")]),
    hours=st.integers(0, 24 * 365),
)
def test_nothing_is_quiet_at_the_end_and_all_is_until_then(
    windows: list[PlanWindow], zone: ZoneInfo, hours: int
) -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=hours)
    until_then = quiet_until(windows, zone, at)
    if until_then is None:
        return
    assert until_then > at
    step = at
    while step < until_then:
        assert quiet_until(windows, zone, step) is not None, step
        step += timedelta(minutes=37)
    if until_then < at + timedelta(days=7):
        assert quiet_until(windows, zone, until_then) is None


def test_quiet_hours_hold_who_sleeps_and_nobody_else(outbox: Outbox) -> None:
    zones = {"lisbon": "Europe/Lisbon", "new york": "America/New_York", "nowhere": "Moon/Crater"}
    quiet = QuietHours((open_now(NEW_YORK),), LISBON, lambda _: zones)
    awake = [outbox.send("Key", customer=name) for name in ("lisbon", "nowhere", "unknown")]
    asleep = outbox.send("Key", customer="new york")
    outbox.plan(*awake, asleep)
    with outbox.sealing(), outbox.sending(checks=(quiet,)):
        until(lambda: outbox.count("Accepted") == 3, what="those who are awake")
        until(lambda: reason(outbox, asleep.key) == "quiet hours", what="the pause")
    assert outbox.state(asleep)[:2] == (None, 0)
    assert asleep.key not in outbox.receivers["Key"].effects()


def test_a_test_that_is_no_customers_disturbs_nobody(outbox: Outbox) -> None:
    quiet = QuietHours((open_now(LISBON),), LISBON)
    test = outbox.send("Key", customer="~probe", test=True, address="me@example.com")
    held = [
        outbox.send("Key", customer="anna", test=True, address="me@example.com"),
        outbox.send("Key", customer="~not a test"),
    ]
    outbox.plan(test, *held)
    with outbox.sealing(), outbox.sending(checks=(quiet,)):
        until(lambda: outbox.outcome(test) == "Accepted", what="the test")
        quiet_ones = {send.key: "quiet hours" for send in held}
        until(lambda: {k: reason(outbox, k) for k in quiet_ones} == quiet_ones, what="the pauses")


def test_what_expires_in_the_quiet_hours_is_recorded_as_expired(outbox: Outbox) -> None:
    quiet = QuietHours((open_now(LISBON),), LISBON)
    send = outbox.send("Key", expires=now() + timedelta(seconds=1))
    outbox.plan(send)
    with outbox.sealing(), outbox.sending(checks=(quiet,)):
        until(lambda: reason(outbox, send.key) == "quiet hours", what="the pause")
        until(lambda: outbox.outcome(send) == "Expired", what="its end")
    assert outbox.receivers["Key"].records() == []


def test_a_channels_cap_counts_its_channel_only(outbox: Outbox) -> None:
    cap = ChannelCap("weekly", frozenset({"Key"}), 2, 7 * 86400.0)
    keyed = [outbox.send("Key", customer="anna", node=f"n{n}") for n in range(4)]
    other = [outbox.send("Query", customer="anna", node=f"q{n}") for n in range(2)]
    outbox.plan(*keyed, *other)
    with outbox.sealing(), outbox.sending(checks=(cap,)):
        until(lambda: outbox.count("Accepted") == 4, what="two of each")
        held = [s for s in keyed if outbox.outcome(s) is None]
        until(lambda: all(reason(outbox, s.key) == "cap weekly" for s in held), what="the cap")
    assert len(held) == 2
    oldest = outbox.ask("SELECT min(at) FROM wayfare.contacts WHERE channel = 'Key'")[0][0]
    until_then = outbox.ask("SELECT min(until) FROM wayfare.send_holds")[0][0]
    assert until_then == oldest + timedelta(days=7)


def test_a_cap_of_nothing_is_a_no(outbox: Outbox) -> None:
    send = outbox.send("Key")
    outbox.plan(send)
    with outbox.sending(checks=(ChannelCap("none", frozenset({"Key"}), 0, 60.0),)):
        until(lambda: outbox.outcome(send) == "Rejected", what="the refusal")
    assert outbox.state(send)[2] == "cap none"


@pytest.mark.parametrize(
    ("check", "reached"),
    [
        (Lists(blocked=frozenset({"deceased"})), {"vip", "nobody"}),
        (Lists(allowed=frozenset({"pilot"})), {"vip", "both"}),
        (Lists(blocked=frozenset({"deceased"}), allowed=frozenset({"pilot"})), {"vip"}),
        (Lists(blocked=frozenset({"deceased"}), channels=frozenset({"Query"})), None),
    ],
)
def test_lists_say_whom_to_contact(outbox: Outbox, check: Check, reached: set[str] | None) -> None:
    for customer, name in (("vip", "pilot"), ("both", "pilot"), ("both", "deceased")):
        on_list(outbox, customer, name)
    on_list(outbox, "gone", "deceased")
    on_list(outbox, "nobody", "pilot")
    on_list(outbox, "nobody", "pilot", member=False)
    sends = {c: outbox.send("Key", customer=c) for c in ("vip", "both", "gone", "nobody")}
    outbox.plan(*sends.values())
    with outbox.sealing(), outbox.sending(checks=(check,)):
        until(lambda: all(outbox.outcome(s) for s in sends.values()), what="all have ended")
    accepted = {c for c, s in sends.items() if outbox.outcome(s) == "Accepted"}
    assert accepted == (set(sends) if reached is None else reached)
