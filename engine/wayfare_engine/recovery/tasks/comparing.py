"""Comparing this database with the newest checkpoint, on its way past it."""

from __future__ import annotations

from typing import Any

from wayfare_engine.journal import checking
from wayfare_engine.journal.catch_up import CatchUp
from wayfare_engine.journal.checking import Verdict
from wayfare_engine.projections.digests import DigestDamaged
from wayfare_engine.recovery.tasks.task import Task


def compare(task: Task, session: CatchUp) -> Verdict:
    """Catch up to the newest checkpoint and compare there; "unknown" where that is not possible.
    Raises as `CatchUp.once`."""
    try:
        return checking.compare_here(
            session,
            site=task.site,
            clock=task.clock,
            progress=task.progress("rows applied up to the checkpoint"),
            hashing=lambda name, done, rows: task.moved(),
        )
    except DigestDamaged as error:
        return Verdict("unknown", str(error))


def compared_figures(found: Verdict) -> dict[str, Any]:
    """For a step's result."""
    tables = () if found.comparison is None else found.comparison.tables
    return {
        "answer": found.answer,
        "why": found.why,
        "asOf": None if found.at is None else found.at.isoformat(),
        "checkpoint": found.path,
        "different": [table.name for table in tables if not table.equal],
    }
