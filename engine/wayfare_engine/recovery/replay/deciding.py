"""Deciding again, and comparing field by field.

A decision is a function of its plan, the customer's row of memberships, the context, the time and
which channels were open. All but the row come from the record, the plan by its digest. The row is
this database's own wherever it can be known that the memberships here are those of then; else the
recorded one stands in, and that is counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

import msgspec
from psycopg import Connection

from wayfare_engine.decide import Decider, UnknownSlot
from wayfare_engine.ledger.bodies import Decision
from wayfare_engine.recovery.replay.here import Customers, Members, Plans, memberships
from wayfare_engine.recovery.replay.recorded import Recorded, Source

#: Longer than a serving pod takes to hear of new memberships.
_HEARD: Final = timedelta(seconds=60)
_TOLD_EVERY: Final = 250
_context = msgspec.json.Decoder(dict[str, Any]).decode


@dataclass
class Replayed:
    """What came of it. `differences`: a decision each, with every field that differs.

    `not_replayed` and `rows_not_compared` count by reason; `reasons` counts differing fields.
    """

    sample: int = 0
    replayed: int = 0
    equal: int = 0
    rows_compared: int = 0
    plans_loaded: int = 0
    differences: list[dict[str, Any]] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)
    not_replayed: Counter[str] = field(default_factory=Counter)
    rows_not_compared: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class _Gone:
    """Why something cannot be had any more."""

    reason: str


class Replayer:
    """Decides a sample again, over one snapshot of a database."""

    def __init__(self, connection: Connection[Any], sample: Sequence[Recorded], source: Source):
        self._sample = sample
        self._source = source
        self._plans = Plans(connection)
        self._customers = Customers(connection, {one.customer for one in sample})
        self._connection = connection
        self._members: dict[str, Members | None] = {}

    def run(self, say: Callable[[str], None]) -> Replayed:
        """All of them. Raises psycopg.Error."""
        found = Replayed(sample=len(self._sample))
        # One plan after the other, so that each is loaded once.
        ordered = sorted(self._sample, key=lambda o: (o.decision.plan if o.decision else "", o.at))
        for done, one in enumerate(ordered, 1):
            self._again(one, found)
            if done % _TOLD_EVERY == 0 or done == len(ordered):
                say(f"DecisionsReplayed: {done:,} of {len(ordered):,}")
        found.plans_loaded = self._plans.loaded
        return found

    def _again(self, one: Recorded, found: Replayed) -> None:
        said = one.decision
        if said is None:
            found.not_replayed["RecordUnreadable"] += 1
            return
        if one.customer in self._customers.erased:
            found.not_replayed["CustomerErased"] += 1
            return
        decider = self._plans.decider(said.plan)
        if decider is None:
            gone = "PlanUnreadable" if said.plan in self._plans.unreadable else "PlanGone"
            found.not_replayed[gone] += 1
            return
        try:
            context = _context(said.context)
        except msgspec.MsgspecError:
            found.not_replayed["ContextUnreadable"] += 1
            return
        fields: dict[str, Any] = {}
        row = self._row(one, said, decider)
        if isinstance(row, _Gone):
            found.rows_not_compared[row.reason] += 1
            row = int(said.row, 16)
        else:
            found.rows_compared += 1
            if row != int(said.row, 16):
                fields["row"] = {"recorded": said.row, "here": format(row, "x")}
        fields |= _compared(said, decider, row, context)
        found.replayed += 1
        if not fields:
            found.equal += 1
            return
        found.reasons.update(list(fields))
        found.differences.append(
            {"decision": str(one.row_id), "slot": said.slot, "plan": said.plan, "fields": fields}
        )

    def _row(self, one: Recorded, said: Decision, decider: Decider) -> int | _Gone:
        """The customer's row of memberships here, if it has to be what it was then."""
        if said.customers_version != self._customers.version.version:
            return _Gone("CustomersOfAnotherVersion")
        if self._customers.dense is None:
            return _Gone("CustomersNotHere")
        dense = self._customers.dense.get(one.customer)
        if dense is None:
            return _Gone("CustomerNotHere")
        row = 0
        segments = decider.plan.segments
        self._load([segment.key for segment in segments])
        for segment in segments:
            members = self._members[segment.key]
            if members is None or members.version != said.customers_version:
                return _Gone("MembershipsNotHere")
            if self._moved(segment.key, members, said):
                return _Gone("MembershipsChangedSince")
            if dense in members.dense:
                row |= 1 << segment.index
        return row

    def _moved(self, key: str, members: Members, said: Decision) -> bool:
        """Whether a segment's members may be others now than at the decision."""
        if members.as_of + _HEARD <= said.at:
            return False
        whole_from = self._source.whole_from
        if whole_from is None or said.at < whole_from + _HEARD:
            return True
        changed = self._source.changed.get(key)
        return changed is not None and changed + _HEARD > said.at

    def _load(self, keys: Sequence[str]) -> None:
        missing = [key for key in keys if key not in self._members]
        if missing:
            here = memberships(self._connection, missing)
            self._members |= {key: here.get(key) for key in missing}


def _compared(
    said: Decision, decider: Decider, row: int, context: dict[str, Any]
) -> dict[str, Any]:
    """Each field of the outcome that is not as it was."""
    try:
        again = decider.decide(said.slot, row, context, said.at, frozenset(said.open_channels))
    except UnknownSlot:
        return {"slot": {"recorded": said.slot, "here": None}}
    recorded: dict[str, Any] = {
        "journey": said.winner.journey if said.winner is not None else None,
        "node": said.winner.node if said.winner is not None else None,
        "reason": said.reason,
    }
    here = {
        "journey": again.winner.journey if again.winner is not None else None,
        "node": again.winner.node if again.winner is not None else None,
        "reason": again.reason.value,
    }
    return {
        name: {"recorded": recorded[name], "here": here[name]}
        for name in recorded
        if recorded[name] != here[name]
    }
