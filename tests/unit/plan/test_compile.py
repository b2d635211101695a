"""Compiling resources into a plan."""

from __future__ import annotations

import gc
import random
from typing import Any

import pytest

from tests.oracle.building import BANK, journey, segment, slot
from wayfare_engine.plan import CompileResult, Plan, Schema, compile_plan, parts, versions
from wayfare_engine.plan.cel import compile_expression
from wayfare_engine.resources import Journey, Segment, canonical


def compiled(
    *resources: Segment | Journey, previous: Plan | None = None, schema: Schema = BANK
) -> CompileResult:
    return compile_plan(
        engine="bank/retail",
        schema=schema,
        segments=[r for r in resources if isinstance(r, Segment)],
        journeys=[r for r in resources if isinstance(r, Journey)],
        previous=previous,
    )


def told(result: CompileResult) -> dict[str, list[tuple[str, str]]]:
    """Problems as kind/name → [(path, reason)]."""
    return {
        f"{kind} {name}": [(p.path, p.reason.value) for p in problems]
        for (kind, name), problems in result.problems.items()
    }


def served(result: CompileResult) -> set[str]:
    return {c.journey for candidates in result.plan.slots.values() for c in candidates}


def test_the_order_of_inputs_does_not_matter() -> None:
    resources: list[Segment | Journey] = [
        segment("a", "customer.age > 30"),
        segment("b", 'segment("a") && customer.balance > 1.0'),
        segment("l", list={"customers": ["3", "1", "2", "1"]}),
        journey("j1", 'segment("a") || segment("l")', 'context.page == "x"'),
        journey("j2", 'customer.age < 20 && !segment("b")', priority=7),
        journey("j3", 'segment("missing")'),
    ]
    digests = set()
    for seed in range(6):
        random.Random(seed).shuffle(resources)
        digests.add(compiled(*resources).plan.digest)
    assert len(digests) == 1


def test_candidates_are_in_order_of_priority_then_name() -> None:
    result = compiled(
        journey("b", priority=10), journey("a", priority=10), journey("c", priority=900)
    )
    order = [(c.journey, c.node) for c in result.plan.slots["home-banner"]]
    assert order == [("bank/c", "offer"), ("bank/a", "offer"), ("bank/b", "offer")]


def test_a_journey_that_does_not_compile_is_left_out_alone() -> None:
    result = compiled(journey("good"), journey("bad", "customer.balance > 2000"))
    assert served(result) == {"bank/good"}
    (problem,) = result.problems["Journey", "bank/bad"]
    assert (problem.path, problem.line, problem.column) == ("spec.audience", 1, 18)
    assert problem.reason == "TypeError"
    assert "write 2000.0" in problem.message


def test_every_problem_of_a_journey_is_told() -> None:
    nodes = [
        slot("one", when="context.a ="),
        slot("two", when="context.x > customer.age"),
        {"name": "pause", "type": "wait", "wait": {"for": "2d"}},
    ]
    result = compiled(journey("j", "customer.agee > 1", nodes=nodes))
    assert told(result) == {
        "Journey bank/j": [
            ("spec.audience", "UnknownAttribute"),
            ("spec.nodes[0].slot.when", "SyntaxError"),
            ("spec.nodes[2].type", "NotSupportedYet"),
        ]
    }


def test_the_last_good_version_goes_on() -> None:
    first = compiled(journey("j", "customer.age > 30"))
    second = compiled(journey("j", "customer.agee > 30"), previous=first.plan)
    assert second.plan.slots == first.plan.slots
    assert second.plan.digest == first.plan.digest
    assert told(second) == {"Journey bank/j": [("spec.audience", "UnknownAttribute")]}


def test_the_last_good_version_goes_on_through_many_plans() -> None:
    plan = compiled(journey("j", "customer.age > 30")).plan
    for turn in range(3):
        plan = compiled(
            journey("j", "nonsense"), journey("other", f"customer.age > {turn}"), previous=plan
        ).plan
    assert "bank/j" in plan.journeys


def test_the_last_good_version_is_compiled_against_the_present() -> None:
    first = compiled(segment("s", "customer.age > 30"), journey("j", 'segment("s")'))
    second = compiled(
        segment("s", "customer.age > 40"), journey("j", "nonsense"), previous=first.plan
    )
    (row,) = second.plan.segments
    assert row.expression == ("gt", ("attr", "age", "int"), ("int", 40))
    assert served(second) == {"bank/j"}


def test_a_broken_segment_keeps_its_last_good_rule_for_those_who_use_it() -> None:
    first = compiled(segment("s", "customer.age > 30"), journey("j", 'segment("s")'))
    second = compiled(
        segment("s", "customer.age >"), journey("j", 'segment("s")'), previous=first.plan
    )
    assert second.plan.digest == first.plan.digest
    assert told(second) == {"Segment bank/s": [("spec.rule", "SyntaxError")]}


def test_a_deleted_segment_is_told_and_goes_on_for_what_is_served() -> None:
    resources = (segment("base", "customer.age > 30"), segment("s", 'segment("base")'))
    first = compiled(*resources, journey("j", 'segment("s")'))
    second = compiled(journey("j", 'segment("s")'), previous=first.plan)
    assert told(second) == {"Journey bank/j": [("spec.audience", "UnknownSegment")]}
    assert second.plan.slots == first.plan.slots
    third = compiled(journey("k", 'segment("s")'), previous=second.plan)
    assert told(third) == {"Journey bank/k": [("spec.audience", "UnknownSegment")]}
    assert served(third) == set()
    assert third.plan.segments == ()


def test_a_deleted_journey_is_gone() -> None:
    first = compiled(journey("j"), journey("k"))
    assert served(compiled(journey("k"), previous=first.plan)) == {"bank/k"}


def test_segments_in_a_circle_are_refused_and_so_is_what_needs_them() -> None:
    result = compiled(
        segment("a", 'segment("b")'),
        segment("b", 'segment("c") || customer.age > 3'),
        segment("c", 'segment("a")'),
        segment("d", 'segment("a")'),
        segment("fine", "customer.age > 3"),
    )
    assert told(result) == {
        "Segment bank/a": [("spec.rule", "SegmentCycle")],
        "Segment bank/b": [("spec.rule", "SegmentCycle")],
        "Segment bank/c": [("spec.rule", "SegmentCycle")],
        "Segment bank/d": [("spec.rule", "UnknownSegment")],
    }
    assert "bank/a → bank/b → bank/c → bank/a" in (result.problems["Segment", "bank/a"][0].message)
    assert [s.name for s in result.plan.segments] == ["bank/fine"]


def test_closing_a_circle_leaves_the_segments_as_they_were() -> None:
    first = compiled(segment("a", "customer.age > 3"), segment("b", 'segment("a")'))
    second = compiled(
        segment("a", 'segment("b")'), segment("b", 'segment("a")'), previous=first.plan
    )
    assert second.plan.segments == first.plan.segments
    assert told(second)["Segment bank/a"] == [("spec.rule", "SegmentCycle")]


def test_an_unknown_segment_is_told_with_its_place_and_a_suggestion() -> None:
    result = compiled(segment("savers", "true"), journey("j", 'true && segment("saver")'))
    (problem,) = result.problems["Journey", "bank/j"]
    assert (problem.line, problem.column) == (1, 17)
    assert "did you mean 'savers'?" in problem.message


def test_segments_are_named_with_their_namespace() -> None:
    result = compiled(
        segment("shared/s", "customer.age > 3"),
        journey("j", 'segment("shared/s")'),
        journey("k", 'segment("s")'),
    )
    assert served(result) == {"bank/j"}


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"sql": {"query": "select 1"}}, "spec.sql"),
        ({"lookalike": {"seed": {"name": "x"}, "size": 5}}, "spec.lookalike"),
    ],
)
def test_sources_of_later_versions_are_told(spec: dict[str, Any], path: str) -> None:
    assert told(compiled(segment("s", **spec))) == {"Segment bank/s": [(path, "NotSupportedYet")]}


def test_equal_predicates_are_hoisted_once() -> None:
    result = compiled(
        journey("a", 'customer.age > 30 && customer.housing == "no"'),
        journey("b", 'customer.housing == "no" && customer.age > 30', priority=1),
        journey("c", 'true && (customer.age > 30 && customer.housing == "no")', priority=2),
    )
    assert [s.kind for s in result.plan.segments] == ["hoisted"]


def test_a_key_follows_the_content_of_what_is_referred_to() -> None:
    def key(age: int) -> str:
        plan = compiled(segment("a", f"customer.age > {age}"), segment("b", '!segment("a")')).plan
        return next(s.key for s in plan.segments if s.name == "bank/b")

    assert key(30) == key(30)
    assert key(30) != key(31)


def test_the_plan_survives_its_bytes() -> None:
    plan = compiled(
        segment("l", list={"customers": ["1"]}),
        journey(
            "j",
            'segment("l") && customer.balance > 0.1',
            "context.n > 9007199254740993",
            schedule={
                "startAt": "2026-01-01T00:00:00+01:00",
                "timeZone": "Europe/Lisbon",
                "windows": [{"days": ["Monday"], "from": "22:00", "to": "06:00"}],
            },
        ),
    ).plan
    again = Plan.from_bytes(plan.to_bytes())
    assert again == plan
    assert again.digest == plan.digest
    assert b"9007199254740993" in plan.to_bytes()


class Work:
    """How often the costly steps of a compile were taken, and for what."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.expressions: list[str] = []
        self.specs = 0
        # What other tests compiled is neither found here nor pushes anything out.
        monkeypatch.setattr(versions, "_CACHE", {})
        monkeypatch.setattr(versions, "_SOURCES", {})

        def compiling(source: str, *arguments: Any) -> Any:
            self.expressions.append(source)
            return compile_expression(source, *arguments)

        def writing(spec: Any) -> Any:
            self.specs += 1
            return canonical(spec)

        monkeypatch.setattr(parts, "compile_expression", compiling)
        monkeypatch.setattr(versions, "canonical", writing)

    def taken(self) -> tuple[int, int]:
        """Expressions compiled and specs written out, since it was asked last."""
        found = len(self.expressions), self.specs
        self.expressions, self.specs = [], 0
        return found


def test_of_thirteen_hundred_journeys_only_the_changed_one_is_compiled_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    work = Work(monkeypatch)
    segments = [
        segment(f"s{i}", f"customer.age > {i % 70} && customer.day < {i}") for i in range(300)
    ]
    journeys = [
        journey(
            f"j{i}",
            f'segment("s{i % 300}") && !segment("s{i * 7 % 300}") && customer.age > {i % 50}',
            f'context.page == "p{i % 9}" && context.n > {i}',
        )
        for i in range(1300)
    ]
    first = compiled(*segments, *journeys)
    assert not first.problems
    # A segment's rule; a journey's audience and its slot's condition.
    assert work.taken() == (300 + 2 * 1300, 300 + 1300)

    journeys[5] = journey("j5", "customer.age > 99")
    second = compiled(*segments, *journeys, previous=first.plan)
    assert work.expressions == ["customer.age > 99"]
    assert work.taken() == (1, 1)
    assert first.plan.digest != second.plan.digest
    # The parts that were used again make the plan that a compile of everything makes.
    monkeypatch.setattr(versions, "_CACHE", {})
    monkeypatch.setattr(versions, "_SOURCES", {})
    assert compiled(*segments, *journeys).plan == second.plan


def test_a_spec_that_is_gone_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versions, "_SOURCES", {})
    plan = None
    for age in range(20):
        plan = compiled(journey("j", f"customer.age > {age}"), previous=plan).plan
    gc.collect()

    assert len(versions._SOURCES) == 0
