"""What this process knows of a plan. All of it can be found out again."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from wayfare_engine.runs import Capacity, Versions
from wayfare_engine.runs.drift import Drift
from wayfare_operator.recovery.desire import Desire
from wayfare_operator.recovery.record import Standing
from wayfare_operator.recovery.store_view import StoreReader, StoreView
from wayfare_operator.recovery.workloads import State


@dataclass(frozen=True, slots=True)
class SiteFacts:
    """What runs at this site, and what pods can be given."""

    versions: Versions
    capacity: Capacity


@dataclass
class PlanMemory:
    """One plan in this process. `problem`: (reason, message) of the last look at the store."""

    uid: str
    reader: StoreReader
    standing: Standing
    saved: Standing
    view: StoreView | None = None
    problem: tuple[str, str] | None = None
    problem_since: float | None = None
    desire: Desire | None = None
    states: tuple[State, ...] = ()
    waiting_for: str = ""
    looked_at_schedules: tuple[int, datetime] | None = None
    schedule_problem: tuple[str, str] | None = None
    drift: tuple[Drift, ...] | None = None
    drift_unknown: str = "the other site has not said yet what it has"
    conflict: str | None = None
    configured: Any = None
    """What the last export and comparison were made from."""
    exported: str | None = None
    """Digest of what this site exported last."""
    beacon_number: int = 0
    beacon_at: float | None = None
    beacon: Any = None
    site_facts: SiteFacts | None = None
    site_facts_at: float | None = None
    forgot_at: float | None = None
    notes: list[tuple[str, str]] = field(default_factory=list)
    """Events to post: (reason, message)."""
