"""The charts that compare a run with earlier ones of its plan: a column a run, one line for the
objective. A run whose value is not known has a place and a question mark, and no column. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from wayfare_engine.recovery.report.model import Measured, RunSeen
from wayfare_engine.recovery.report.scale import round_top

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 460, 264, 72, 12, 38, 76
#: So many runs are drawn at most: the newest.
MOST = 12


@dataclass(frozen=True)
class Column:
    """One run. `known` is False when there is nothing to draw; `said` stands above it."""

    x: float
    y: float
    width: float
    height: float
    known: bool
    estimated: bool
    met: bool | None
    this: bool
    said: str
    run: str
    kind: str
    title: str


@dataclass(frozen=True)
class Line:
    """A horizontal line with its label."""

    y: float
    text: str


@dataclass(frozen=True)
class Columns:
    """All of it, in units of the drawing."""

    width: int
    height: int
    left: float
    right: float
    base: float
    columns: tuple[Column, ...]
    grid: tuple[Line, ...]
    objective: Line | None
    left_out: int


def columns(
    history: Sequence[RunSeen],
    value: Callable[[RunSeen], Measured],
    said: Callable[[float], str],
) -> Columns:
    """Place everything. `history` is the oldest first, the run of the report last; the objective is
    that run's; `said` puts a value into words."""
    drawn = history[-MOST:]
    found = [value(run) for run in drawn]
    objective = found[-1].objective if found else None
    top = round_top(max([m.value or 0.0 for m in found] + [objective or 0.0]))
    base, high = HEIGHT - BOTTOM, HEIGHT - BOTTOM - TOP
    slot = (WIDTH - LEFT - RIGHT) / max(len(drawn), 1)
    wide = min(slot * 0.62, 44.0)

    def height(amount: float) -> float:
        return high * amount / top

    made = []
    for number, (run, measured) in enumerate(zip(drawn, found, strict=True)):
        known = measured.value is not None
        tall = max(height(measured.value or 0.0), 1.5) if known else 0.0
        estimated = measured.basis == "Estimated"
        about = "≈ " if estimated else ""
        text = "?" if measured.value is None else about + said(measured.value)
        words = {True: "objective met", False: "objective not met", None: "objective not judged"}
        made.append(
            Column(
                x=LEFT + slot * number + (slot - wide) / 2,
                y=base - tall,
                width=wide,
                height=tall,
                known=known,
                estimated=estimated,
                met=measured.met,
                this=number == len(drawn) - 1,
                said=text,
                run=f"#{run.number}",
                kind=run.kind,
                title=f"run {run.number}, {run.kind}: {text if known else 'unknown'}, "
                f"{words[measured.met]}",
            )
        )
    return Columns(
        width=WIDTH,
        height=HEIGHT,
        left=LEFT,
        right=WIDTH - RIGHT,
        base=base,
        columns=tuple(made),
        grid=tuple(Line(base - high * part, said(top * part)) for part in (0.0, 0.5, 1.0)),
        objective=None
        if objective is None
        else Line(base - height(objective), f"objective {said(objective)}"),
        left_out=len(history) - len(drawn),
    )
