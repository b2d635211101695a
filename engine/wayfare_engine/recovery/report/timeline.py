"""The chart of the steps over time: where each bar, line and label goes. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from wayfare_engine.recovery.progress import APPROVED_PAST
from wayfare_engine.recovery.report.model import StepSeen
from wayfare_engine.recovery.report.scale import Scale
from wayfare_engine.recovery.report.shown import span

WIDTH, LEFT, RIGHT, TOP, ROW = 960, 178, 84, 34, 26
_LEAST_BAR = 2.5


@dataclass(frozen=True)
class Bar:
    """An attempt: `state` is its class in the style sheet, `said` its length in words."""

    x: float
    y: float
    width: float
    state: str
    title: str
    said: str


@dataclass(frozen=True)
class Label:
    """Text at a place."""

    x: float
    y: float
    text: str


@dataclass(frozen=True)
class Mark:
    """A moment: a line from top to bottom with its name."""

    x: float
    name: str
    text: str
    y: float


@dataclass(frozen=True)
class Break:
    """A pause that is drawn short."""

    x: float
    width: float
    text: str


@dataclass(frozen=True)
class Timeline:
    """All of it, in units of the drawing."""

    width: int
    height: float
    left: float
    top: float
    bottom: float
    rows: tuple[Label, ...]
    bars: tuple[Bar, ...]
    ticks: tuple[Label, ...]
    marks: tuple[Mark, ...]
    breaks: tuple[Break, ...]
    no_way_back_y: float | None


def timeline(
    steps: Sequence[StepSeen],
    *,
    origin: datetime,
    marks: Sequence[tuple[str, str, datetime]],
    until: datetime,
) -> Timeline:
    """Place everything. `origin` is when the clock started; `marks` are (class, name, moment);
    attempts that have not ended are drawn until `until`."""

    def after(at: datetime) -> float:
        return (at - origin).total_seconds()

    ran = [
        (step, attempt, after(attempt.began_at), after(attempt.ended_at or until))
        for step in steps
        for attempt in step.attempts
    ]
    spans = [(begin, max(begin, end)) for _, _, begin, end in ran]
    scale = Scale(spans, [after(at) for _, _, at in marks], width=WIDTH - LEFT - RIGHT)
    place = {step.name: number for number, step in enumerate(steps)}
    bottom = TOP + ROW * len(steps)
    bars = []
    for (step, attempt, _, _), (begin, end) in zip(ran, spans, strict=True):
        state = attempt.outcome or "Running"
        if step.state == APPROVED_PAST and attempt is step.attempts[-1]:
            state = APPROVED_PAST
        left, right = scale.place(begin), scale.place(end)
        bars.append(
            Bar(
                x=LEFT + left,
                y=TOP + ROW * place[step.name] + 5,
                width=max(right - left, _LEAST_BAR),
                state=state,
                title=f"{step.name}, attempt {attempt.attempt}: {state}, "
                f"{span(begin)} to {span(end)} ({span(end - begin)})",
                said=span(end - begin),
            )
        )
    barred = [number for number, step in enumerate(steps) if step.no_way_back]
    return Timeline(
        width=WIDTH,
        height=bottom + 26 + 14 * len(marks),
        left=LEFT,
        top=TOP,
        bottom=bottom,
        rows=tuple(Label(LEFT - 10, TOP + ROW * n + 17, s.name) for n, s in enumerate(steps)),
        bars=tuple(bars),
        ticks=tuple(Label(LEFT + scale.place(t), TOP - 10, _tick(t)) for t in scale.ticks()),
        marks=tuple(
            Mark(LEFT + scale.place(after(at)), name, text, bottom + 14 + 14 * number)
            for number, (name, text, at) in enumerate(marks)
        ),
        breaks=tuple(
            Break(LEFT + cut.left, cut.right - cut.left, f"{span(cut.end - cut.begin)} pause")
            for cut in scale.cuts()
        ),
        no_way_back_y=TOP + ROW * barred[0] if barred else None,
    )


def _tick(seconds: float) -> str:
    return f"{seconds:g} s" if abs(seconds) < 120 else span(seconds)
