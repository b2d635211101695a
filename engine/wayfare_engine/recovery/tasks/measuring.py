"""Measure: what would be, or was, lost; in rows, with where the number comes from."""

from __future__ import annotations

from typing import Any

from wayfare_engine.journal.chain import chains
from wayfare_engine.lease.beats import read_beat
from wayfare_engine.lease.epochs import highest
from wayfare_engine.recovery.tasks import losing
from wayfare_engine.recovery.tasks.task import Done, Task


def measure(task: Task) -> Done:
    """The lost rows as they are known now: by ids once RecoverStranded counted them, as TakeEpoch
    estimated them at a failover, and in a drill what would be lost if the acting site were lost
    at this moment."""
    rpo = _known(task) or _would_be(task)
    objective = task.terms.rpo_seconds
    figures: dict[str, Any] = {"rpo": rpo, "objectiveSeconds": objective}
    return Done(_said(rpo), figures, evidence=task.keep(figures))


def _known(task: Task) -> dict[str, Any] | None:
    for step in ("RecoverStranded", "TakeEpoch"):
        found = task.result_of(step)
        rpo = None if found is None else found.figures.get("rpo")
        if isinstance(rpo, dict):
            return rpo
    return None


def _would_be(task: Task) -> dict[str, Any]:
    lease = highest(task.store, task.plan)
    if lease is None or (lease.site, lease.epoch) not in chains(task.store):
        return losing.Unknown("no site has sealed anything in the present epoch").figures()
    segments, closed = losing.ending(task, lease.site, lease.epoch)
    sealed = segments[-1].last if segments else 0
    found = losing.estimated(
        segments,
        sealed=sealed if closed is None else closed.at_seq,
        beat=read_beat(task.store, task.plan, lease.site),
        beat_seconds=task.settings.beat_seconds,
        fault_at=None if task.run is None else task.run.fault_at,
        taken_at=task.clock(),
    )
    return found.figures()


def _said(rpo: dict[str, Any]) -> str:
    rows = rpo.get("rows")
    if rows is None:
        return f"how many rows are lost is not known: {rpo.get('arithmetic')}"
    if rpo.get("basis") == "Exact":
        beside = rpo.get("estimated")
        off = rpo.get("offShare")
        words = f"{rows:,} rows were in no chain, counted by id"
        if beside is not None:
            words += f"; {beside:,} had been estimated"
        return words + (f", off by {off:.1%}" if off is not None else "")
    return f"about {rows:,} rows: {rpo.get('arithmetic')}"
