"""Conditions, in one function: Ready, Reconciling, Stalled and what is told beside them.

A condition's lastTransitionTime moves only when its status does; everything else may change
without it. kstatus reads the same three types.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from wayfare_engine.resources import ConditionType, Reason
from wayfare_operator.kube.kinds import Object

State = Literal["True", "False", "Unknown"]
_LONGEST_MESSAGE = 2000


@dataclass(frozen=True, slots=True)
class Extra:
    """A condition beside the three."""

    type: str
    status: State
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a reconcile found, in one word and one sentence.

    ready: whether the object works as its present spec says.
    progressing: it is being worked on and needs nobody.
    stalled: it will not become ready without a change by a person.
    """

    ready: bool
    reason: str
    message: str
    progressing: bool = False
    stalled: bool = False
    progress_reason: str | None = None
    progress_message: str | None = None
    extra: tuple[Extra, ...] = ()


@dataclass(frozen=True, slots=True)
class Transition:
    """A change worth an Event: same reason, same message."""

    warning: bool
    reason: str
    message: str


def timestamp(now: datetime) -> str:
    """RFC 3339 in UTC with whole seconds, as the API server writes times."""
    return now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def conditions(
    outcome: Outcome, *, generation: int, observed: Sequence[Object], now: datetime
) -> list[Object]:
    """The conditions for this outcome, given those that were there."""
    done = (str(Reason.UP_TO_DATE), "")
    told = (outcome.reason, outcome.message)
    progress = (
        outcome.progress_reason or outcome.reason,
        outcome.progress_message or outcome.message,
    )
    wanted: list[tuple[str, State, str, str]] = [
        (ConditionType.READY, "True" if outcome.ready else "False", *told),
        (
            ConditionType.RECONCILING,
            "True" if outcome.progressing else "False",
            *(progress if outcome.progressing else done),
        ),
        (
            ConditionType.STALLED,
            "True" if outcome.stalled else "False",
            *(told if outcome.stalled else done),
        ),
        *((extra.type, extra.status, extra.reason, extra.message) for extra in outcome.extra),
    ]
    present = {condition.get("type"): condition for condition in observed}
    built = []
    for kind, state, reason, message in wanted:
        before = present.get(str(kind))
        same = before is not None and before.get("status") == state
        since = before.get("lastTransitionTime") if same and before is not None else None
        built.append(
            {
                "type": str(kind),
                "status": state,
                "reason": str(reason),
                "message": _short(message),
                "observedGeneration": generation,
                "lastTransitionTime": since or timestamp(now),
            }
        )
    return built


def status(
    outcome: Outcome,
    fields: dict[str, Any],
    *,
    generation: int,
    observed: Object,
    now: datetime,
) -> Object:
    """A whole status: the conditions, observedGeneration, and the kind's own fields."""
    return {
        "observedGeneration": generation,
        "conditions": conditions(
            outcome,
            generation=generation,
            observed=observed.get("conditions") or (),
            now=now,
        ),
        **{name: value for name, value in fields.items() if value is not None},
    }


_TOLD = {
    ConditionType.DEGRADED: "True",
    ConditionType.LEASE_LAPSED: "True",
    ConditionType.READY_TO_TAKE_OVER: "False",
    ConditionType.WINDOW_MISSED: "True",
    ConditionType.SENDS_HELD: "True",
    ConditionType.CONFIGURATION_DRIFT: "True",
}
"""Conditions that people are told of when they become bad, by what is bad; and when that ends."""


def transitions(observed: Object, written: Object) -> list[Transition]:
    """The Events that go with a new status: Ready, or a condition that people are told of,
    changed its status or its reason."""
    stalled = condition(written, ConditionType.STALLED)
    found = _changed(observed, written, ConditionType.READY)
    told = []
    if found is not None:
        warning = stalled is not None and stalled["status"] == "True"
        told.append(Transition(warning, found["reason"], found["message"]))
    for kind, bad in _TOLD.items():
        found = _changed(observed, written, kind)
        if found is None:
            continue
        warning, was = found["status"] == bad, condition(observed, kind)
        ended = was is not None and (was.get("status") == bad or kind is ConditionType.DEGRADED)
        if warning or ended:
            told.append(Transition(warning, found["reason"], found["message"]))
    return told


def _changed(observed: Object, written: Object, kind: str) -> Object | None:
    before, after = condition(observed, kind), condition(written, kind)
    if after is None:
        return None
    if before is None:
        return after
    what = ["status", "reason"]
    # Each window is an occurrence of its own, which the message names.
    if kind == ConditionType.WINDOW_MISSED and after["reason"] != Reason.DRILL_OVERRAN:
        what.append("message")
    return None if all(before.get(each) == after[each] for each in what) else after


def condition(status: Object, kind: str) -> Object | None:
    """One condition of a status."""
    return next((each for each in status.get("conditions") or () if each.get("type") == kind), None)


def _short(message: str) -> str:
    if len(message) <= _LONGEST_MESSAGE:
        return message
    return message[: _LONGEST_MESSAGE - 1] + "…"
