"""The decision: a pure function of plan, customer's row, context, time, and which channels are
open: nothing leaves through those."""

from __future__ import annotations

from collections.abc import Mapping, Set
from datetime import datetime
from typing import Any

from wayfare_engine.decide.conditions import Check, check, judge
from wayfare_engine.decide.eligibility import (
    MAX_TERMS,
    Eligibility,
    Term,
    both,
    terms_of,
    wanted_texts,
)
from wayfare_engine.decide.explaining import lacking
from wayfare_engine.decide.outcomes import (
    ConditionError,
    Considered,
    Decision,
    DecisionReason,
    Outcome,
    UnknownSlot,
)
from wayfare_engine.decide.schedules import Gate, gate
from wayfare_engine.plan import Candidate, Plan
from wayfare_engine.plan.formula import TRUE, joined
from wayfare_engine.plan.values import EvaluationError

_NONE: frozenset[str] = frozenset()
_NOBODY = Decision(None, DecisionReason.NONE_ELIGIBLE, ())


class Decider:
    """A plan made ready to decide; immutable, and safe to use from several threads.

    Rows are ints whose bit i is membership in the plan's segment i.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        width = max(1, (len(plan.segments) + 7) // 8)
        self._mask = (1 << width * 8) - 1
        self._slots = {
            name: _Slot(candidates, width, self._mask) for name, candidates in plan.slots.items()
        }

    @property
    def slots(self) -> tuple[str, ...]:
        """Names of the slots that some journey fills."""
        return tuple(self._slots)

    def channels(self, slot: str) -> frozenset[str]:
        """Names of the channels that what may be shown in a slot leads to."""
        found = self._slots.get(slot)
        return found.channels if found is not None else _NONE

    def decide(
        self,
        slot: str,
        row: int,
        context: Mapping[str, Any],
        at: datetime,
        open_channels: Set[str] = _NONE,
    ) -> Decision:
        """The first candidate, in order of priority, that fits; raises UnknownSlot.

        context: JSON values. at: an aware datetime. open_channels: through which nothing leaves;
        a candidate that leads to one shows its alternative, or is passed over. Straight-line but
        for the candidates that the tables admit, of which it looks at those before the winner,
        0.5 µs each; see bench/decide.
        """
        found = self._slots.get(slot)
        if found is None:
            raise UnknownSlot(slot)
        return found.decide(row, context, at, open_channels)

    def explain(
        self,
        slot: str,
        row: int,
        context: Mapping[str, Any],
        at: datetime,
        open_channels: Set[str] = _NONE,
    ) -> list[Considered]:
        """What became of every candidate, in order; the winner is the one that `decide` gives."""
        found = self._slots.get(slot)
        if found is None:
            raise UnknownSlot(slot)
        won = False
        considered = []
        for candidate, closed in zip(found.candidates, found.gates, strict=True):
            outcome, detail = self._outcome(candidate, closed, row, context, at)
            if outcome is Outcome.WON and candidate.channel in open_channels:
                detail = f"nothing leaves through channel {candidate.channel}"
                if candidate.alternative is None:
                    outcome = Outcome.CHANNEL_OPEN
                else:
                    detail += ": its alternative"
            if outcome is Outcome.WON:
                outcome = Outcome.LOWER_PRIORITY if won else outcome
                won = True
            considered.append(
                Considered(candidate.journey, candidate.node, candidate.priority, outcome, detail)
            )
        return considered

    def _outcome(
        self,
        candidate: Candidate,
        closed: Gate | None,
        row: int,
        context: Mapping[str, Any],
        at: datetime,
    ) -> tuple[Outcome, str]:
        if candidate.paused:
            return Outcome.PAUSED, ""
        if closed is not None:
            why = closed(at)
            if why is not None:
                return why, ""
        if judge(candidate.audience, context, row) is not True:
            return Outcome.NOT_IN_AUDIENCE, lacking(candidate.audience, self.plan, row)
        verdict = judge(candidate.condition, context, row)
        if isinstance(verdict, EvaluationError):
            return Outcome.CONDITION_ERROR, str(verdict)
        if not verdict:
            return Outcome.CONDITION_FALSE, ""
        return Outcome.WON, ""


class _Slot:
    """The candidates of one slot, ready."""

    def __init__(self, candidates: tuple[Candidate, ...], width: int, mask: int) -> None:
        self.candidates = candidates
        self.gates = [None if c.schedule is None else gate(c.schedule) for c in candidates]
        self._mask = mask
        self.channels = frozenset(c.channel for c in candidates if c.channel is not None)
        prepared = [_prepared(candidate) for candidate in candidates]
        self._checks = [rest for _, rest in prepared]
        self._eligibility = Eligibility(
            [terms for terms, _ in prepared],
            width,
            [wanted_texts(candidate.condition) for candidate in candidates],
        )

    def decide(
        self, row: int, context: Mapping[str, Any], at: datetime, open_channels: Set[str]
    ) -> Decision:
        eligibility = self._eligibility
        admitted = eligibility.admitted(row & self._mask, context)
        if not admitted:
            return _NOBODY
        errors: list[EvaluationError] = []
        failed: list[ConditionError] = []
        winner: Candidate | None = None
        alternative = False
        while admitted:
            position = eligibility.owners[(admitted & -admitted).bit_length() - 1]
            admitted &= ~eligibility.siblings[position]
            holds = self._checks[position]
            closed = self.gates[position]
            if closed is not None and closed(at) is not None:
                continue
            if holds is None or holds(context, row, errors):
                candidate = self.candidates[position]
                if open_channels and candidate.channel in open_channels:
                    if candidate.alternative is None:
                        continue
                    alternative = True
                winner = candidate
                break
            if errors:
                failed.extend(_failure(self.candidates[position], context, row))
                errors.clear()
        if winner is None:
            return (
                Decision(None, DecisionReason.NONE_ELIGIBLE, tuple(failed)) if failed else _NOBODY
            )
        return Decision(winner, DecisionReason.WON, tuple(failed), alternative)


def _prepared(candidate: Candidate) -> tuple[list[Term], Check | None]:
    """Terms for the tables, and a check of what they leave open, if anything."""
    if candidate.paused:
        return [], None
    terms, audience_settled = terms_of(candidate.audience)
    more, condition_settled = terms_of(candidate.condition)
    together = both(terms, more)
    if len(together) <= MAX_TERMS:
        terms = together
    else:
        condition_settled = False
    rest = joined(
        "all",
        (
            TRUE if audience_settled else candidate.audience,
            TRUE if condition_settled else candidate.condition,
        ),
    )
    return terms, None if rest == TRUE else check(rest)


def _failure(
    candidate: Candidate, context: Mapping[str, Any], row: int
) -> tuple[ConditionError, ...]:
    """The condition's error, if it is one in three values and not just in a part of it."""
    verdict = judge(candidate.condition, context, row)
    if not isinstance(verdict, EvaluationError):
        return ()
    if judge(candidate.audience, context, row) is not True:
        return ()
    return (ConditionError(candidate.journey, candidate.node, str(verdict)),)
