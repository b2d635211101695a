"""Which run may be made while which site acts, and while how much is known of it."""

from __future__ import annotations

import pytest

from wayfare_engine.resources import RunKind
from wayfare_engine.runs.authority import Authority
from wayfare_operator.recovery.steps.precheck import Grounds, why_no_grounds

EAST = Authority("Acting", 1, "east")
WEST = Authority("Acting", 2, "west")
NOBODY = Authority("NotTaken", 0, None)


def why(
    kind: RunKind,
    age: float | None,
    *,
    came: bool = True,
    held: Authority = EAST,
    stated: bool = False,
) -> str | None:
    """Why a run at west has no grounds."""
    grounds = Grounds(held, None, None, None, age, came, 15.0)
    return why_no_grounds(kind, "west", "east", grounds, stated)


@pytest.mark.parametrize(
    ("age", "stated", "said"),
    [
        (1.0, False, "is healthy"),
        (None, False, "is unknown"),
        (20.0, False, None),
        (1.0, True, None),
        (None, True, None),
    ],
)
def test_a_failover_needs_silence_or_a_word(
    age: float | None, stated: bool, said: str | None
) -> None:
    found = why(RunKind.FAILOVER, age, stated=stated)
    assert found is None if said is None else said in str(found)


@pytest.mark.parametrize("kind", [RunKind.SWITCHOVER, RunKind.FAILBACK])
@pytest.mark.parametrize(
    ("age", "came", "may"),
    [(1.0, True, True), (1.0, False, False), (20.0, True, False), (None, False, False)],
)
def test_a_planned_move_needs_a_site_that_was_seen_to_live(
    kind: RunKind, age: float | None, came: bool, may: bool
) -> None:
    found = why(kind, age, came=came)
    assert (found is None) is may
    assert may or "does not become one by itself" in str(found)


@pytest.mark.parametrize("kind", list(RunKind))
def test_a_site_that_acts_already_has_nothing_to_take(kind: RunKind) -> None:
    assert "already" in str(why(kind, 1.0, held=WEST))


@pytest.mark.parametrize("kind", list(RunKind))
def test_before_the_first_epoch_nothing_can_be_taken_over(kind: RunKind) -> None:
    assert "ever taken" in str(why(kind, 1.0, held=NOBODY))


@pytest.mark.parametrize("age", [None, 1.0, 100.0])
def test_a_drill_needs_nothing_of_the_other_site(age: float | None) -> None:
    assert why(RunKind.DRILL, age) is None
