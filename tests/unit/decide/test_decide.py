"""What a decision is, and how it is explained."""

from __future__ import annotations

import itertools
import random
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.oracle.building import BANK, journey, segment, slot
from wayfare_engine.decide import Decider, DecisionReason, Outcome, UnknownSlot
from wayfare_engine.decide.conditions import judge
from wayfare_engine.decide.eligibility import MAX_TERMS, Eligibility, terms_of
from wayfare_engine.plan import Plan, compile_plan
from wayfare_engine.plan.formula import Formula
from wayfare_engine.resources import Journey

AT = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)  # a Monday
SEGMENTS = [segment(name, f"customer.day == {i}") for i, name in enumerate("abcdef")]


def planned(*journeys: Journey) -> Plan:
    result = compile_plan(
        engine="bank/retail", schema=BANK, segments=SEGMENTS, journeys=journeys, previous=None
    )
    assert not result.problems
    return result.plan


def row(plan: Plan, *names: str) -> int:
    index = {s.name: s.index for s in plan.segments}
    return sum(1 << index[f"bank/{name}"] for name in names)


def outcomes(
    plan: Plan, bits: int, context: dict[str, Any] | None = None, at: datetime = AT
) -> dict[str, str]:
    """Journey → reason, after checking that explain and decide agree."""
    decider = Decider(plan)
    considered = decider.explain("home-banner", bits, context or {}, at)
    winner = decider.decide("home-banner", bits, context or {}, at).winner
    won = [(c.journey, c.node) for c in considered if c.outcome is Outcome.WON]
    assert won == ([(winner.journey, winner.node)] if winner else [])
    return {c.journey.removeprefix("bank/"): c.reason for c in considered}


def test_the_highest_priority_wins_and_the_rest_say_so() -> None:
    plan = planned(journey("low", priority=1), journey("high", priority=9), journey("mid"))
    assert outcomes(plan, 0) == {"mid": "Won", "high": "LowerPriority", "low": "LowerPriority"}


def test_every_loser_has_its_reason() -> None:
    plan = planned(
        journey("paused", paused=True, priority=90),
        journey("early", schedule={"startAt": "2026-03-02T10:00:01Z"}, priority=80),
        journey("late", schedule={"endAt": "2026-03-02T10:00:00Z"}, priority=70),
        journey("night", schedule={"windows": [{"from": "22:00", "to": "06:00"}]}, priority=60),
        journey("others", 'segment("a")', priority=50),
        journey("false", "true", 'context.page == "b"', priority=40),
        journey("error", "true", "context.missing > 3", priority=30),
        journey("wins", priority=20),
        journey("after", priority=10),
    )
    assert outcomes(plan, 0, {"page": "a"}) == {
        "paused": "Paused",
        "early": "NotStarted",
        "late": "Ended",
        "night": "OutsideWindow",
        "others": "NotInAudience",
        "false": "ConditionFalse",
        "error": "ConditionError",
        "wins": "Won",
        "after": "LowerPriority",
    }


def test_a_condition_error_is_reported_with_the_decision() -> None:
    plan = planned(
        journey("broken", "true", "context.n > 3", priority=200),
        journey("absorbed", "true", "context.n > 3 && has(context.x)", priority=150),
        journey("not-invited", 'segment("a")', "context.n > 3", priority=190),
        journey("fine"),
    )
    decision = Decider(plan).decide("home-banner", 0, {"n": "many"}, AT)
    assert decision.winner is not None
    assert decision.winner.journey == "bank/fine"
    assert [(e.journey, e.node) for e in decision.condition_errors] == [("bank/broken", "offer")]
    assert "string" in decision.condition_errors[0].message


def test_nobody_eligible_is_a_decision_too() -> None:
    decision = Decider(planned(journey("j", 'segment("a")'))).decide("home-banner", 0, {}, AT)
    assert decision.winner is None
    assert decision.content is None
    assert decision.reason is DecisionReason.NONE_ELIGIBLE
    assert not decision.condition_errors


def test_an_unknown_slot_is_told() -> None:
    decider = Decider(planned(journey("j")))
    for ask in (decider.decide, decider.explain):
        with pytest.raises(UnknownSlot, match="'nowhere'"):
            ask("nowhere", 0, {}, AT)


def test_the_detail_says_what_is_lacking() -> None:
    plan = planned(
        journey("j", 'segment("a") && !segment("b") && (customer.age > 30 || segment("c"))')
    )
    (considered,) = Decider(plan).explain("home-banner", row(plan, "b"), {}, AT)
    assert considered.detail == (
        "not in segment bank/a; in segment bank/b; "
        "customer.age > 30 is not true and not in segment bank/c"
    )


def test_the_journeys_condition_holds_for_all_of_its_slots() -> None:
    nodes = [slot("x", "one"), slot("y", "two", when="context.n == 1")]
    decider = Decider(planned(journey("j", when='context.page == "a"', nodes=nodes)))

    def wins(name: str, **context: Any) -> bool:
        return decider.decide(name, 0, context, AT).winner is not None

    assert wins("one", page="a")
    assert not wins("one", page="b")
    assert wins("two", page="a", n=1.0)
    assert not wins("two", page="b", n=1)
    assert not wins("two", page="a", n=True)


@pytest.mark.parametrize(
    ("at", "open_"),
    [
        ("2026-03-02T21:59:59+00:00", False),  # Monday, a minute before
        ("2026-03-02T22:00:00+00:00", True),
        ("2026-03-03T05:59:59+00:00", True),  # Tuesday's small hours belong to Monday
        ("2026-03-03T06:00:00+00:00", False),
        ("2026-03-03T22:30:00+00:00", False),  # Tuesday evening
        ("2026-03-02T03:00:00+00:00", False),  # Monday's small hours belong to Sunday
        ("2026-06-01T21:30:00+00:00", True),  # summer time: 22:30 in Lisbon
    ],
)
def test_a_window_past_midnight_belongs_to_the_day_it_starts(at: str, open_: bool) -> None:
    schedule = {
        "timeZone": "Europe/Lisbon",
        "windows": [{"days": ["Monday"], "from": "22:00", "to": "06:00"}],
    }
    plan = planned(journey("j", schedule=schedule))
    expected = "Won" if open_ else "OutsideWindow"
    assert outcomes(plan, 0, at=datetime.fromisoformat(at)) == {"j": expected}


def test_a_schedule_includes_its_start_and_not_its_end() -> None:
    schedule = {"startAt": "2026-03-02T10:00:00Z", "endAt": "2026-03-02T11:00:00Z"}
    plan = planned(journey("j", schedule=schedule))
    assert outcomes(plan, 0, at=datetime(2026, 3, 2, 10, tzinfo=UTC)) == {"j": "Won"}
    assert outcomes(plan, 0, at=datetime(2026, 3, 2, 11, tzinfo=UTC)) == {"j": "Ended"}


def test_the_same_inputs_give_the_same_decision_after_a_round_trip() -> None:
    plan = planned(
        *(journey(f"j{i}", f'segment("{"abcdef"[i % 6]}")', "context.n > 3") for i in range(30))
    )
    one, other = Decider(plan), Decider(Plan.from_bytes(plan.to_bytes()))
    for bits in range(64):
        assert one.decide("home-banner", bits, {"n": 4}, AT) == other.decide(
            "home-banner", bits, {"n": 4}, AT
        )


# -- the tables, against the formulas ------------------------------------------------------------

_BITS = 10
_leaves = st.one_of(
    st.tuples(st.just("bit"), st.integers(0, _BITS - 1)),
    st.tuples(st.just("nobit"), st.integers(0, _BITS - 1)),
)


def _nested(inner: st.SearchStrategy[Formula]) -> st.SearchStrategy[Formula]:
    return st.tuples(st.sampled_from(["all", "any"]), st.lists(inner, max_size=4)).map(
        lambda pair: (pair[0], *pair[1])
    )


_formulas = st.recursive(_leaves, _nested, max_leaves=14)


@settings(max_examples=300, deadline=None)
@given(st.lists(_formulas, min_size=1, max_size=6), st.integers(0, 2**_BITS - 1))
def test_the_tables_admit_whom_the_formulas_admit(formulas: list[Formula], bits: int) -> None:
    terms = [terms_of(formula) for formula in formulas]
    eligibility = Eligibility([found for found, _ in terms], 2)
    admitted = eligibility.admitted(bits, {})
    for position, formula in enumerate(formulas):
        inside = bool(admitted & eligibility.siblings[position])
        holds = judge(formula, {}, bits)
        assert inside or not holds
        if terms[position][1]:
            assert inside is holds


def test_audiences_too_wide_for_the_tables_are_decided_all_the_same() -> None:
    pairs = list(itertools.combinations("abcdef", 2))
    audience = " && ".join(f'(segment("{a}") || segment("{b}"))' for a, b in pairs[:9])
    plan = planned(journey("wide", audience, "context.n == 1 || segment('a')"))
    ((candidate,),) = plan.slots.values()
    assert len(terms_of(candidate.audience)[0]) <= MAX_TERMS
    assert not terms_of(candidate.audience)[1]
    decider = Decider(plan)
    for seed in range(200):
        names = [name for name in "abcdef" if random.Random(f"{seed}{name}").random() < 0.6]
        expected = all(a in names or b in names for a, b in pairs[:9])
        won = decider.decide("home-banner", row(plan, *names), {"n": 1}, AT).winner
        assert (won is not None) is expected
