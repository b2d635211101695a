"""AssignmentsUnchanged: every customer has the arm of an experiment that the chains gave them, and
no move between sites gave them another."""

from __future__ import annotations

from typing import Any

import msgspec
import pyarrow as pa

from wayfare_engine.ledger import Kind
from wayfare_engine.recovery.checks import from_chains
from wayfare_engine.recovery.checks.check import Check, Cost, Found, Step, failed, passed, unknown
from wayfare_engine.recovery.checks.looking import Looking, Source
from wayfare_engine.resources import CheckLevel


class _Assignment(msgspec.Struct):
    experiment: str
    customer: str
    arm: str


_assignment = msgspec.json.Decoder(_Assignment).decode


class _Arms:
    """Of each (experiment, customer), the first arm, and from which epoch it is."""

    def __init__(self) -> None:
        self._first: dict[tuple[str, str], tuple[int, str]] = {}
        self.moved: list[dict[str, Any]] = []
        self.reassigned = 0

    def saw(self, rows: pa.Table, site: str, epoch: int) -> None:
        """Rows of one chain; chains come in the order of their epochs."""
        for row in rows.select(["id", "customer_id", "body"]).to_pylist():
            said = _assignment(row["body"])
            key = (said.experiment, row["customer_id"] or said.customer)
            began, arm = self._first.setdefault(key, (epoch, said.arm))
            if arm == said.arm:
                continue
            if began == epoch:
                self.reassigned += 1
            else:
                self.moved.append(
                    {
                        "what": "another arm after a move",
                        "row": row["id"].hex(),
                        "experiment": said.experiment,
                        "epochs": [began, epoch],
                        "arms": [arm, said.arm],
                    }
                )
            self._first[key] = (epoch, said.arm)


def _ask(at: Looking) -> Found:
    arms = _Arms()
    with at.database() as connection:
        said = from_chains.expected(at, connection, Kind.ASSIGNMENT)
        if not said.segments:
            return unknown("this database applied no chain, so there is nothing to compare with")
        for rows, site, epoch in said.rows:
            arms.saw(rows, site, epoch)
        compared = from_chains.compare(connection, said)
    findings = compared.findings + arms.moved
    figures = compared.figures | {
        "expected": len(said.states),
        "movedToAnotherArm": len(arms.moved),
        "reassigned": arms.reassigned,
        "segments": said.segments,
    }
    saw = {"reached": {f"{s}/{e}": seq for (s, e), seq in sorted(said.reached.items())}}
    if findings:
        parts = [compared.said] if compared.said else []
        if arms.moved:
            parts.append(f"{len(arms.moved):,} with another arm after a move")
        return failed(f"assignments: {', '.join(parts)}", figures, findings, **saw)
    return passed(f"{compared.rows:,} assignments are as the chains gave them", figures, **saw)


CHECK = Check(
    name="AssignmentsUnchanged",
    level=CheckLevel.BUSINESS,
    gate=True,
    cost=Cost.FULL,
    guards="Every customer has the arm of an experiment that the chains (of long ones the newest "
    "20,000 segments) gave them; no move between sites gave them another.",
    seen="The ids of the rows that are lost, changed or from nowhere, and which arms changed.",
    unclear="Store or database do not answer, a chain is damaged, or none was applied here.",
    steps=frozenset({Step.VERIFY}),
    needs=(Source.STORE, Source.DATABASE),
    ask=_ask,
)
