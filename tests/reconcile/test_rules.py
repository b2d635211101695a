"""Each written rule, and that the order in which tails are merged changes no value."""

from __future__ import annotations

import itertools
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wayfare_engine.facts.fact import STATES
from wayfare_engine.ledger import Kind, bodies
from wayfare_engine.projections.ranks import TASKS
from wayfare_engine.reconcile import rules
from wayfare_engine.reconcile.keys import StateKey, state_key
from wayfare_engine.reconcile.rules import (
    ATTENTION,
    RULES,
    Known,
    Resolution,
    SendState,
    Span,
    State,
    resolve,
)
from wayfare_engine.reconcile.tail import StrandedRow

AT = datetime(2026, 11, 24, tzinfo=UTC)
MINE = uuid.UUID(int=1).bytes
OTHER = uuid.UUID(int=2).bytes


def row(kind: Kind, body: Any, *, version: int | None = None, epoch: int = 1) -> StrandedRow:
    return StrandedRow(MINE, "east", epoch, kind, None, version, "ada", AT, bodies.encode(body))


def intent() -> bodies.Intent:
    return bodies.Intent(
        send_key="s", instance="i", journey="j", node="n", visit=1, channel="c", due=AT
    )


def dispatch(guard: Any) -> bodies.Dispatch:
    return bodies.Dispatch(send_key="s", attempt=1, channel="c", guard=guard)


def outcome(result: Any) -> bodies.Outcome:
    return bodies.Outcome(send_key="s", attempt=1, result=result)


def ruling(action: Any, result: Any) -> bodies.Ruling:
    return bodies.Ruling(
        send_key="s",
        number=1,
        action=action,
        attempt=2,
        by="ada",
        reason="asked",
        outcome=result,
        ended="Rejected",
    )


def arm(name: str = "a") -> bodies.Assignment:
    return bodies.Assignment(experiment="e", customer="ada", arm=name)


def opt(out: bool) -> bodies.OptOut:
    return bodies.OptOut(customer="ada", channel="sms", out=out)


def task() -> bodies.Task:
    return bodies.Task(send_key="s", channel="branch", outcomes=("reached",))


def stands(state: Any) -> bodies.TaskState:
    return bodies.TaskState(send_key="s", state=state, assignee="b1")


EVENT = bodies.Event(customer="ada", name="buy", client_id="order")
ARM: StateKey = (Kind.ASSIGNMENT, ("e", "ada"))
OUT: StateKey = (Kind.OPT_OUT, ("ada", "sms"))
TASK: StateKey = (Kind.TASK_STATE, ("s",))
ONCE = Span(2, 2)


@dataclass(frozen=True)
class Case:
    """A row, what is known, and the rule that it comes to."""

    rule: str
    row: StrandedRow
    known: Known
    span: Span | None = None
    as_version: int | None = None


CASES = [
    Case("customer-erased", row(Kind.EVENT, EVENT), Known(erased={"ada"})),
    Case("fact", row(Kind.EVENT, EVENT), Known()),
    Case("fact", row(Kind.RECEIPT, bodies.Receipt(send_key="s", state="read")), Known()),
    Case("ruling-set-aside", row(Kind.RULING, ruling("Drop", None)), Known()),
    Case("ruling-set-aside", row(Kind.RULING, ruling("Undo", None)), Known()),
    Case("ruling-replayed", row(Kind.RULING, ruling("Replay", "NotAccepted")), Known()),
    Case("ruling-replayed", row(Kind.RULING, ruling("Undo", "Rejected")), Known()),
    Case("event-repeated", row(Kind.EVENT, EVENT), Known(repeats={"order": OTHER})),
    Case("send-planned", row(Kind.INTENT, intent()), Known(instances={"i": 1})),
    Case("send-known", row(Kind.INTENT, intent()), Known(sends={"s": SendState(True, None)})),
    Case("path-changed", row(Kind.INTENT, intent()), Known(instances={"i": 2})),
    Case("dispatch-never-left", row(Kind.DISPATCH, dispatch("Journaled")), Known()),
    Case("dispatch-perhaps-left", row(Kind.DISPATCH, dispatch("Local")), Known()),
    Case(
        "dispatched-at-both-sites",
        row(Kind.DISPATCH, dispatch("Local")),
        Known(sends={"s": SendState(True, 2)}),
    ),
    Case(
        "accepted", row(Kind.OUTCOME, outcome("Accepted")), Known(sends={"s": SendState(True, 2)})
    ),
    Case(
        "outcome-final",
        row(Kind.OUTCOME, outcome("Rejected")),
        Known(sends={"s": SendState(True, 1)}),
    ),
    Case(
        "outcome-overtaken",
        row(Kind.OUTCOME, outcome("Expired")),
        Known(sends={"s": SendState(True, 2)}),
    ),
    Case("outcome-open", row(Kind.OUTCOME, outcome("NotAccepted")), Known()),
    Case("outcome-open", row(Kind.OUTCOME, outcome("Held")), Known()),
    Case("task-made", row(Kind.TASK, task()), Known()),
    Case("task-known", row(Kind.TASK, task()), Known(tasks={"s"})),
    Case("task-closed", row(Kind.TASK_STATE, stands("Closed"), version=2), Known(), ONCE),
    Case(
        "task-closed",
        row(Kind.TASK_STATE, stands("Closed"), version=2),
        Known(states={TASK: State(2, 7)}),
        ONCE,
    ),
    Case(
        "task-closed-twice",
        row(Kind.TASK_STATE, stands("Closed"), version=2),
        Known(states={TASK: State(2, 7, closed=True)}),
        ONCE,
    ),
    Case(
        "later-epoch",
        row(Kind.TASK_STATE, stands("Taken"), version=2),
        Known(states={TASK: State(2, 7)}),
        ONCE,
    ),
    Case("next-version", row(Kind.ASSIGNMENT, arm(), version=2), Known(), ONCE),
    Case(
        "next-version",
        row(Kind.ASSIGNMENT, arm(), version=2),
        Known(states={ARM: State(1, 1)}),
        ONCE,
    ),
    Case(
        "next-version",
        row(Kind.ASSIGNMENT, arm(), version=2, epoch=3),
        Known(states={ARM: State(2, 7)}),
        ONCE,
        as_version=8,
    ),
    Case(
        "later-epoch",
        row(Kind.ASSIGNMENT, arm(), version=9),
        Known(states={ARM: State(2, 2)}),
        Span(9, 9),
    ),
    Case("later-version", row(Kind.ASSIGNMENT, arm(), version=2), Known(), Span(2, 3)),
    Case(
        "later-version",
        row(Kind.ASSIGNMENT, arm(), version=2),
        Known(states={ARM: State(1, 2)}),
        ONCE,
    ),
    Case(
        "opt-out-stands",
        row(Kind.OPT_OUT, opt(True), version=2),
        Known(states={OUT: State(2, 5, out=False)}),
        ONCE,
        as_version=6,
    ),
    Case(
        "next-version",
        row(Kind.OPT_OUT, opt(False), version=2),
        Known(states={OUT: State(1, 1, out=True)}),
        ONCE,
    ),
    Case(
        "opt-out-again",
        row(Kind.OPT_OUT, opt(True), version=2),
        Known(states={OUT: State(2, 5, out=True)}),
        ONCE,
        as_version=6,
    ),
    Case(
        "opt-in-conflict",
        row(Kind.OPT_OUT, opt(False), version=2),
        Known(states={OUT: State(2, 2, out=True)}),
        ONCE,
    ),
    Case("erasure", row(Kind.ERASURE, bodies.Erasure(customer="ada")), Known(erased={"ada"})),
    Case("retention", row(Kind.RETENTION, bodies.Retention(projection="p", before=AT)), Known()),
    Case("block-unused", row(Kind.ID_BLOCK, bodies.IdBlock(first=0, size=9)), Known()),
    Case("bookkeeping", row(Kind.CHECKPOINT, bodies.Checkpoint(watermark={}, tables={})), Known()),
    Case(
        "load-from-source",
        row(
            Kind.LOAD,
            bodies.Load(
                file="f",
                digest="d",
                rows=1,
                bad_rows=0,
                id=None,
                mapping={},
                added=1,
                changed=0,
                as_of=AT,
                customers_version=2,
            ),
        ),
        Known(),
    ),
    Case(
        "computed-again",
        row(
            Kind.SEGMENT_REFRESH,
            bodies.SegmentRefresh(
                name="s", key="k", size=1, digest="d", as_of=AT, customers_version=1
            ),
        ),
        Known(),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.rule)
def test_the_rule(case: Case) -> None:
    body = bodies.decode(case.row.kind, case.row.body)
    found = resolve(case.row, body, state_key(case.row.kind, body), case.span, case.known)
    assert (found.rule, found.as_version) == (case.rule, case.as_version)
    assert found.resolution == RULES[case.rule][0]


def test_every_rule_has_a_case_and_every_resolution_a_rule() -> None:
    assert {case.rule for case in CASES} == set(RULES)
    assert {resolution for resolution, _ in RULES.values()} == set(Resolution)
    assert set(RULES) >= ATTENTION


def test_every_kind_has_a_rule() -> None:
    decided = {case.row.kind for case in CASES}
    assert decided | set(STATES) | set(rules._ALWAYS) == set(Kind)


@dataclass(frozen=True)
class Change:
    """A tail's change of the one key."""

    epoch: int
    version: int
    value: str
    number: int


def _merged(kind: Kind, here: Change | None, tails: tuple[tuple[Change, ...], ...]) -> Any:
    """The value at the end, and the rows that were given a decision."""
    make: Any = {Kind.OPT_OUT: lambda v: opt(v == "out"), Kind.TASK_STATE: stands}.get(kind, arm)
    key = {Kind.OPT_OUT: OUT, Kind.TASK_STATE: TASK}.get(kind, ARM)
    rank = TASKS if kind is Kind.TASK_STATE else {}
    present = (here.version, here.epoch, here.number, here.value) if here else None
    decided = set()
    for tail in tails:
        span = Span(min(c.version for c in tail), max(c.version for c in tail))
        for change in tail:
            known = Known()
            if present is not None:
                known.states[key] = State(
                    present[1], present[0], present[3] == "out", present[3] == "Closed"
                )
            given = row(kind, make(change.value), version=change.version, epoch=change.epoch)
            body = bodies.decode(kind, given.body)
            found = resolve(given, body, key, span, known)
            decided.add(change.number)
            if found.resolution is Resolution.APPLIED:
                # As the projection joins: the highest (rank, version, epoch, id) stands.
                version = found.as_version or change.version
                new = (version, change.epoch, change.number, change.value)
                both = [new] if present is None else [present, new]
                present = max(both, key=lambda one: (rank.get(one[3], 0), one))
    return (present and present[3]), decided


@st.composite
def histories(draw: st.DrawFn, values: tuple[str, ...]) -> Any:
    """What the chains say of a key at the site that acts under epoch 5, and tails of the epochs
    before it. Each epoch goes on from what the chains had when it began, ships some of its
    changes, and loses the rest."""
    numbers = itertools.count(1)
    here: Change | None = None
    tails = []
    for epoch in range(1, 6):
        version = here.version if here else 0
        shipped = draw(st.integers(0, 2))
        lost = draw(st.integers(0, 2)) if epoch < 5 else 0
        made = [
            Change(epoch, version + 1 + i, draw(st.sampled_from(values)), next(numbers))
            for i in range(shipped + lost)
        ]
        if shipped:
            here = made[shipped - 1]
        if lost:
            tails.append(tuple(made[shipped:]))
    return here, tuple(tails)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (Kind.ASSIGNMENT, ("a", "b", "c")),
        (Kind.OPT_OUT, ("in", "out")),
        (Kind.TASK_STATE, ("Open", "Taken", "Expired", "Closed")),
    ],
)
@settings(max_examples=400, deadline=None, derandomize=True, print_blob=True)
@given(data=st.data())
def test_tails_in_any_order_give_the_same_value_and_the_same_rows(
    kind: Kind, values: tuple[str, ...], data: st.DataObject
) -> None:
    here, tails = data.draw(histories(values))
    ends = [_merged(kind, here, order) for order in itertools.permutations(tails)]
    assert all(end == ends[0] for end in ends), ends


@settings(max_examples=300, deadline=None, derandomize=True, print_blob=True)
@given(data=st.data())
def test_an_opt_out_of_any_tail_is_never_lost(data: st.DataObject) -> None:
    here, tails = data.draw(histories(("in", "out")))
    value, _ = _merged(Kind.OPT_OUT, here, tails)
    if any(tail[-1].value == "out" for tail in tails):
        assert value == "out"


@settings(max_examples=300, deadline=None, derandomize=True, print_blob=True)
@given(data=st.data())
def test_a_closing_of_any_tail_is_never_lost(data: st.DataObject) -> None:
    here, tails = data.draw(histories(("Open", "Taken", "Closed")))
    value, _ = _merged(Kind.TASK_STATE, here, tails)
    if any(change.value == "Closed" for tail in tails for change in tail):
        assert value == "Closed"
