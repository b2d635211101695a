"""A run as a table in the terminal."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from rich.console import Group
from rich.table import Table
from rich.text import Text

from wayfare_engine.recovery.report.shown import one_line, span

if TYPE_CHECKING:
    from wayfare_engine.recovery.watching import Sight, StepSight

_STYLE = {
    "Succeeded": ("✓", "green"),
    "Passed": ("✓", "green"),
    "Failed": ("✗", "bold red"),
    "Abandoned": ("✗", "red"),
    "Rejected": ("✗", "red"),
    "Running": ("▸", "bold cyan"),
    "WaitingForApproval": ("?", "bold yellow"),
    "ApprovedPast": ("!", "yellow"),
    "Unknown": ("?", "yellow"),
    "Skipped": ("–", "dim"),
    "Pending": ("·", "dim"),
}


def table(sight: Sight, now: datetime, problem: str = "") -> Group:
    """Everything that is known of the run at `now`."""
    made = Table("step", "state", "attempt", "took", "what came of it", title=_title(sight))
    for step in sight.steps:
        made.add_row(
            Text(one_line(step.name)),
            _state(step.state),
            str(step.attempt) if step.attempt else "",
            _took(step, now),
            Text(one_line(step.message), overflow="fold"),
        )
    lines: list[Text | Table] = [made, _clock(sight, now)]
    if sight.ended:
        lines.append(
            Text.assemble("ended: ", _state(sight.state), ", verdict ", _state(sight.verdict))
        )
    elif sight.waits:
        at = sight.step
        choices = "approve, retry or abandon" if sight.state != "Failed" else "retry or abandon"
        where = f" at {at.name}" if at else ""
        lines.append(Text(f"waits for a person{where}: {choices}", style="bold yellow"))
    if sight.message:
        lines.append(Text(one_line(sight.message)))
    if problem:
        lines.append(Text(f"not answered, asking again: {one_line(problem)}", style="yellow"))
    return Group(*lines)


def _title(sight: Sight) -> Text:
    number = f", run {sight.number}" if sight.number else ""
    target = f" to {sight.target}" if sight.target else ""
    return Text(one_line(f"{sight.kind}{target}: {sight.name}{number}"))


def _state(word: str) -> Text:
    sign, style = _STYLE.get(word, (" ", ""))
    return Text(f"{sign} {one_line(word)}", style=style)


def _took(step: StepSight, now: datetime) -> str:
    if step.began_at is None:
        return ""
    return span(max(0.0, ((step.ended_at or now) - step.began_at).total_seconds()))


def _clock(sight: Sight, now: datetime) -> Text:
    """The clock of the recovery time: running, stopped, or unknown."""
    against = f" of {span(sight.objective)}" if sight.objective is not None else ""
    if sight.rto is not None:
        return Text(f"recovery time {span(sight.rto)}{against}", style="bold")
    if sight.clock_from is None or (sight.ended and sight.clock_to is None):
        return Text("recovery time unknown", style="yellow")
    gone = ((sight.clock_to or now) - sight.clock_from).total_seconds()
    running = "" if sight.clock_to else ", running"
    return Text(f"recovery time {span(max(gone, 0.0))}{against}{running}", style="bold")
