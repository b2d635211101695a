"""What may be done with a task, and what it comes to. Pure.

Open ── take ──► Taken ── close ──► Closed
  ▲                │
  └─── return ─────┘        due: Expired, or handed back: Open for somebody else
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import msgspec

from wayfare_engine.errors import SaidToPeople
from wayfare_engine.ledger.bodies import TaskState


@dataclass(frozen=True)
class Standing:
    """A task as it stands. `script`, `outcomes` and `note` are JSON text; `version` is of its
    state, and `changed_at` when it came there."""

    send_key: str
    customer: str
    channel: str
    script: str
    outcomes: str
    on_due: str
    hand_back_to: str | None
    expires: datetime | None
    made_at: datetime
    version: int
    changed_at: datetime
    state: str
    assignee: str
    due: datetime | None
    holder: str | None
    by: str
    outcome: str | None
    note: str

    @property
    def ends(self) -> tuple[str, ...]:
        """The outcomes that it may have."""
        return msgspec.json.decode(self.outcomes, type=tuple[str, ...])


@dataclass(eq=False)
class Conflict(SaidToPeople):
    """It cannot be done with the task as it stands; `kind` is a word in kebab case."""

    kind: str
    said: str

    def __str__(self) -> str:
        return self.said


@dataclass(eq=False)
class NoSuchOutcome(SaidToPeople):
    """The task cannot end so."""

    outcome: str
    ends: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.outcome!r} is none of its outcomes: {', '.join(self.ends)}"


def take(task: Standing, by: str) -> TaskState | None:
    """`by` has it from now on; None when they have it already. Raises Conflict."""
    _require_going(task)
    if task.state == "Taken":
        if task.holder == by:
            return None
        raise Conflict("task-taken", f"{task.holder} took it at {_time(task.changed_at)}")
    return _state(task, "Taken", by, holder=by)


def give_back(task: Standing, by: str, note: str) -> TaskState | None:
    """It is open again; None when it is so by the same person's word. Raises Conflict."""
    _require_going(task)
    if task.state == "Open" and task.by == by:
        return None
    _require_holder(task, by)
    return _state(task, "Open", by, note=note)


def close(task: Standing, by: str, outcome: str, note: str) -> TaskState | None:
    """It is done, with this outcome; None when the same person said so before. Raises Conflict and
    NoSuchOutcome."""
    if task.state == "Closed" and (task.by, task.outcome) == (by, outcome):
        return None
    if outcome not in task.ends:
        raise NoSuchOutcome(outcome, task.ends)
    _require_going(task)
    _require_holder(task, by)
    return _state(task, "Closed", by, holder=by, outcome=outcome, note=note)


def overdue(task: Standing, now: datetime) -> TaskState | None:
    """What time does with it; None when it is not due, or ended."""
    if task.state not in ("Open", "Taken") or task.due is None or task.due > now:
        return None
    over = task.expires is not None and task.due >= task.expires
    if task.on_due == "Expire" or over:
        return _state(task, "Expired", "", holder=task.holder)
    return TaskState(
        send_key=task.send_key,
        state="Open",
        assignee=task.hand_back_to or task.assignee,
        due=task.expires,
        note=msgspec.Raw(task.note.encode()),
    )


def _require_going(task: Standing) -> None:
    if task.state == "Closed":
        said = f"{task.by} closed it at {_time(task.changed_at)}: {task.outcome}"
        raise Conflict("task-ended", said)
    if task.state == "Expired":
        raise Conflict("task-ended", f"it expired at {_time(task.changed_at)}")


def _require_holder(task: Standing, by: str) -> None:
    if task.state != "Taken":
        raise Conflict("task-not-taken", "nobody has taken it: take it first")
    if task.holder != by:
        raise Conflict("task-taken", f"{task.holder} took it at {_time(task.changed_at)}")


def _state(
    task: Standing,
    state: str,
    by: str,
    *,
    holder: str | None = None,
    outcome: str | None = None,
    note: str | None = None,
) -> TaskState:
    return TaskState(
        send_key=task.send_key,
        state=state,  # type: ignore[arg-type]
        assignee=task.assignee,
        due=task.due,
        holder=holder,
        by=by,
        outcome=outcome,
        note=msgspec.Raw((task.note if note is None else note).encode()),
    )


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
