"""Each stranded row by its id with what became of it, from the pieces of evidence that the steps
which decide about such rows leave: a JSON object a line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from wayfare_engine.objectstore import ObjectStore
from wayfare_engine.reconcile.rules import ATTENTION, RULES
from wayfare_engine.recovery.report.model import StrandedRow, StrandedRows
from wayfare_engine.runs import StepResult, evidence
from wayfare_engine.runs.problems import EvidenceMissing, RecordDamaged

#: Rows that are told of one by one, of each step; those that a person should look at come first.
MOST_ROWS = 20_000


def pieces_of(store: ObjectStore, results: Iterable[StepResult]) -> dict[str, StepResult]:
    """The digest of each piece and whose it is, in order. Evidence that is missing or damaged names
    none: it is told of as such. Raises StoreProblem, StoreUnavailable."""
    found: dict[str, StepResult] = {}
    for result in results:
        if "stranded" in result.figures and result.evidence is not None:
            try:
                kept = evidence.get(store, result.evidence)
            except (EvidenceMissing, RecordDamaged, ValueError):
                continue
            named = kept.get("entries") if isinstance(kept, dict) else None
            for digest in named if isinstance(named, list) else ():
                found.setdefault(str(digest), result)
    return found


def stranded_rows(store: ObjectStore, pieces: dict[str, StepResult]) -> tuple[StrandedRows, ...]:
    """The rows of each step. Raises StoreProblem, StoreUnavailable."""
    of: dict[str, list[str]] = {}
    results: dict[str, StepResult] = {}
    for digest, result in pieces.items():
        of.setdefault(result.step, []).append(digest)
        results[result.step] = result
    return tuple(_of_step(store, results[step], digests) for step, digests in of.items())


def _of_step(store: ObjectStore, result: StepResult, digests: list[str]) -> StrandedRows:
    marked: list[StrandedRow] = []
    others: list[StrandedRow] = []
    rows, unread = 0, 0
    for digest in digests:
        try:
            lines = evidence.get_text(store, digest).splitlines()
        except (EvidenceMissing, RecordDamaged, ValueError):
            unread += 1
            continue
        for row in _rows(lines):
            rows += 1
            kept = marked if row.look else others
            if len(kept) < MOST_ROWS:
                kept.append(row)
    shown = (*marked, *others)[:MOST_ROWS]
    return StrandedRows(
        step=result.step,
        attempt=result.attempt,
        rows=shown,
        left_out=rows - len(shown),
        unread=unread,
    )


def _rows(lines: Iterable[str]) -> Iterator[StrandedRow]:
    for line in lines:
        try:
            told = json.loads(line)
        except (ValueError, RecursionError):
            told = None
        yield _row(told if isinstance(told, dict) else {"id": line})


def _row(told: dict[str, Any]) -> StrandedRow:
    rule = _text(told.get("rule"))
    return StrandedRow(
        id=str(told.get("id")),
        kind=_text(told.get("kind")),
        at=_text(told.get("at")),
        resolution=_text(told.get("resolution")),
        rule=rule,
        says=None if rule is None or rule not in RULES else RULES[rule][1],
        look=rule is None or rule in ATTENTION,
    )


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
