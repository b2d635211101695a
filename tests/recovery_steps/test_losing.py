"""How many rows are said to be lost, from what a site said last."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from wayfare_engine.lease.beats import Beat
from wayfare_engine.recovery.tasks.losing import Estimate, Sealed, Unknown, estimated, off_share

START = datetime(2026, 11, 28, 12, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def beat(seconds: float, sealed: int, unsealed: int) -> Beat:
    return Beat(
        site="east",
        epoch=1,
        awake=True,
        at=at(seconds),
        writer="w",
        number=1,
        sealed_seq=sealed,
        unsealed=unsealed,
        oldest_unsealed_at=at(seconds - 1) if unsealed else None,
    )


def told(
    *,
    segments: list[Sealed] | None = None,
    sealed: int = 1000,
    last_beat: Beat | None = None,
    fault: float | None = None,
    taken: float = 60.0,
) -> Estimate | Unknown:
    """100 rows a second were sealed for ten seconds when nothing else is said."""
    usual = [Sealed(100 * second, at(second)) for second in range(11)]
    return estimated(
        usual if segments is None else segments,
        sealed=sealed,
        beat=last_beat,
        beat_seconds=5.0,
        lease_seconds=30.0,
        fault_at=None if fault is None else at(fault),
        taken_at=at(taken),
    )


def test_what_was_not_sealed_at_the_last_beat_and_what_came_since() -> None:
    found = told(last_beat=beat(10, 980, 40), fault=12)
    assert isinstance(found, Estimate)
    # 1,020 written by then, 1,000 sealed, and 102 a second for 2 s.
    assert found.rows == 20 + 204
    assert found.low == found.high == found.rows
    assert "1,020 rows written by its last beat − 1,000 in the closed chain" in found.arithmetic
    assert found.basis == "Estimated"


def test_a_night_before_the_load_began_says_nothing_of_its_rate() -> None:
    """The segment before the last half minute is hours old; since then 100 rows a second."""
    loaded = [Sealed(5000 + 100 * second, at(second)) for second in range(31)]
    segments = [Sealed(5000, at(-7200)), *loaded[1:]]
    found = told(segments=segments, sealed=8000, fault=38)
    assert isinstance(found, Estimate)
    assert found.rows == 800


def test_rows_that_were_sealed_after_the_beat_are_not_lost() -> None:
    found = told(last_beat=beat(9, 880, 20), fault=10)
    assert isinstance(found, Estimate)
    assert (found.rows, found.oldest_at) == (0, None)


def test_when_nobody_knows_when_it_was_lost_it_says_between_what_it_is() -> None:
    found = told(last_beat=beat(10, 1000, 0), taken=60)
    assert isinstance(found, Estimate)
    assert (found.low, found.rows, found.high) == (0, 250, 5000)
    assert "half a beat later" in found.arithmetic


def test_a_store_that_was_away_for_minutes_before_the_loss() -> None:
    """Neither segments nor beats came for two minutes, in which the site went on writing."""
    found = told(last_beat=beat(10, 1000, 10), fault=130)
    assert isinstance(found, Estimate)
    assert found.rows == 10 + 101 * 120
    assert found.oldest_at == at(9)


def test_a_site_that_cannot_ship_hands_no_sends_over_and_dispatches_none_without_a_lease() -> None:
    """100 rows a second: 20 dispatches, 20 outcomes of sends, and 60 others."""
    segments = [
        Sealed(100 * second, at(second), dispatches=20, outcomes=20) for second in range(11)
    ]
    found = told(segments=segments, fault=20)
    assert isinstance(found, Estimate)
    assert found.rows == 60 * 10 + 20 * 10
    assert "60.0 a second × 10.0 s until the fault + 20.0 sends a second" in found.arithmetic
    found = told(segments=segments, fault=130)
    assert isinstance(found, Estimate)
    assert found.rows == 60 * 120 + 20 * 30


def test_a_site_that_was_silent_before_it_was_lost_lost_little() -> None:
    quiet = [Sealed(1000, at(0)), Sealed(1010, at(1))]
    found = told(segments=quiet, sealed=1010, last_beat=beat(1000, 1010, 0), fault=1005)
    assert isinstance(found, Estimate)
    assert found.rows == 0


def test_a_site_that_never_said_anything_is_unknown() -> None:
    found = told(segments=[], sealed=0)
    assert isinstance(found, Unknown)
    assert found.figures()["rows"] is None
    assert found.figures()["basis"] == "Unknown"


@given(
    rate=st.integers(1, 5000),
    away=st.floats(0, 600),
    beat_at=st.floats(0, 30),
)
def test_at_an_even_rate_the_estimate_is_right(rate: int, away: float, beat_at: float) -> None:
    """Rows come at one rate; the store is away from `beat_at` seconds after the last seal on."""
    segments = [Sealed(rate * second, at(second)) for second in range(1, 31)]
    sealed = rate * 30
    written = sealed + round(rate * beat_at)
    last = beat(30 + beat_at, sealed, written - sealed)
    found = told(segments=segments, sealed=sealed, last_beat=last, fault=30 + beat_at + away)
    assert isinstance(found, Estimate)
    exact = sealed + round(rate * (beat_at + away)) - sealed
    assert abs(found.rows - exact) <= 2 + 0.01 * exact
    off = off_share(found.rows, exact)
    assert off is None or off <= 0.1 or exact < 30


def test_the_share_by_which_it_was_off() -> None:
    assert off_share(95, 100) == 0.05
    assert off_share(3, 0) is None
