"""How far this site's own database follows production while a drill goes on beside it."""

from __future__ import annotations

from typing import Any

from psycopg import Connection

from wayfare_engine.journal import positions
from wayfare_engine.journal.chain import last_object, opened
from wayfare_engine.journal.segment import Closed
from wayfare_engine.lease.epochs import highest
from wayfare_engine.recovery.tasks.task import Task

KEY = "replication"
#: Steps of a drill whose results have looks at it.
LOOKED = ("Fork", "ReplayDecisions", "Verify")


def look(task: Task, connection: Connection[Any]) -> dict[str, Any]:
    """One look: rows of the acting site's chain that are not applied here yet. Raises
    StoreProblem, ChainProblem, psycopg.Error."""
    at = task.clock().isoformat()
    lease = highest(task.store, task.plan)
    if lease is None:
        return {"at": at, "rows": None}
    last = last_object(task.store, lease.site, lease.epoch)
    if last is None:
        return {"at": at, "rows": 0}
    found = opened(last.path, task.store.get(last.path), bodies=False)
    end = found.at_seq if isinstance(found, Closed) else found.header.last
    here = positions.positions(connection).get((lease.site, lease.epoch))
    return {"at": at, "rows": max(0, end - (here.seq if here is not None else 0)), "end": end}


def looks(task: Task) -> list[dict[str, Any]]:
    """All that the drill's steps saw until now, in order. Raises StoreProblem."""
    found: list[dict[str, Any]] = []
    for step in LOOKED:
        result = task.result_of(step)
        seen = None if result is None else result.figures.get(KEY)
        if isinstance(seen, list):
            found += seen
    return found
