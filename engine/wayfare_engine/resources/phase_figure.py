"""The figure of a plan's phases, drawn from `phases.transitions`: docs/recovery-phases.svg."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from math import hypot

from .phases import transitions
from .recovery_words import Phase

_WIDTH, _HEIGHT = 1264, 450
_BOX = (190, 72)  # width and height of a phase's box

_CENTRE: dict[Phase, tuple[int, int]] = {
    Phase.DRILL: (120, 80),
    Phase.PRODUCTION: (500, 80),
    Phase.SWITCHING: (945, 80),
    Phase.FAILBACK: (330, 370),
    Phase.EMERGENCY: (945, 370),
}
_SAID: dict[Phase, tuple[str, str]] = {
    Phase.PRODUCTION: ("one site acts,", "the other can take over"),
    Phase.DRILL: ("rehearsal on a copy;", "production goes on"),
    Phase.SWITCHING: ("the acting site", "hands the work over"),
    Phase.EMERGENCY: ("a site was taken over;", "records may be stranded"),
    Phase.FAILBACK: ("records are brought together,", "work goes back"),
}
_LINE_HEIGHT = 15
_APART = 13  # how far a line lies beside the middle, so that there and back do not meet

_HEAD = f"""\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" \
font-family="Helvetica, Arial, sans-serif" font-size="14">
  <title>The phases of a RecoveryPlan, and which runs lead from one to the next</title>
  <!-- Generated from engine/wayfare_engine/resources/phases.py by `make generate`. -->
  <defs>
    <marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" \
orient="auto"><path d="M0 0L10 5L0 10z" fill="#334155"/></marker>
    <style>
      .box{{fill:#e0f2fe;stroke:#0369a1;stroke-width:1.5}}.alarm{{fill:#fef3c7;stroke:#b45309}}
      .line{{stroke:#334155;stroke-width:1.5;fill:none;marker-end:url(#tip)}}
      .small{{font-size:12px;fill:#475569}}.head{{font-weight:bold}}
    </style>
  </defs>
  <rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>
"""


def phase_figure() -> str:
    """The SVG, as text."""
    ways: dict[tuple[Phase, Phase], list[str]] = {}
    for each in sorted(transitions(), key=lambda each: not each.begins):
        said = ways.setdefault((each.before, each.after), [])
        if each.said not in said:
            said.append(each.said)
    lines = [line for (a, b), said in ways.items() for line in _way(a, b, said, (b, a) in ways)]
    boxes = [line for phase in Phase for line in _box(phase)]
    return _HEAD + "\n".join([*lines, *boxes]) + "\n</svg>\n"


def _box(phase: Phase) -> Iterator[str]:
    (x, y), (width, height) = _CENTRE[phase], _BOX
    css = "box alarm" if phase is Phase.EMERGENCY else "box"
    left, top = x - width // 2, y - height // 2
    yield f'  <rect class="{css}" x="{left}" y="{top}" width="{width}" height="{height}" rx="8"/>'
    yield f'  <text x="{x}" y="{y - 12}" text-anchor="middle" class="head">{phase}</text>'
    for row, text in enumerate(_SAID[phase]):
        below = y + 6 + row * _LINE_HEIGHT
        yield f'  <text x="{x}" y="{below}" text-anchor="middle" class="small">{text}</text>'


def _way(before: Phase, after: Phase, said: list[str], and_back: bool) -> Iterator[str]:
    if before is after:
        yield from _loop(before, said)
        return
    (x1, y1), (x2, y2) = _CENTRE[before], _CENTRE[after]
    length = hypot(x2 - x1, y2 - y1)
    along = (x2 - x1) / length, (y2 - y1) / length
    apart = _APART if and_back else 0
    aside = -along[1] * apart, along[0] * apart
    out, back = _edge(aside, along), _edge(aside, (-along[0], -along[1]))
    x1, y1 = round(x1 + out[0]), round(y1 + out[1])
    x2, y2 = round(x2 + back[0]), round(y2 + back[1])
    yield f'  <path class="line" d="M{x1} {y1}L{x2} {y2}"/>'
    # Beside the line's middle, on the side away from the way back.
    x, y = (x1 + x2) / 2, (y1 + y2) / 2
    if y1 == y2:
        top = y + 17 if aside[1] > 0 else y - 8 - _LINE_HEIGHT * (len(said) - 1)
        yield from _text(x, top, "middle", said)
    else:
        rows = _wrapped(said)
        anchor, away = ("start", 16) if aside[0] >= 0 else ("end", -16)
        yield from _text(x + away, y - _LINE_HEIGHT * (len(rows) - 1) / 2 + 4, anchor, rows)


def _loop(phase: Phase, said: list[str]) -> Iterator[str]:
    right, y = _CENTRE[phase][0] + _BOX[0] // 2, _CENTRE[phase][1]
    yield (
        f'  <path class="line" d="M{right} {y - 20}C{right + 44} {y - 36} '
        f'{right + 44} {y + 36} {right + 2} {y + 20}"/>'
    )
    rows = _wrapped(said)
    yield from _text(right + 42, y - _LINE_HEIGHT * (len(rows) - 1) / 2 + 4, "start", rows)


def _wrapped(said: list[str]) -> list[str]:
    """Long labels in two rows."""
    rows = []
    for text in said:
        at = max(text.find(" ends "), text.find(" fails "))
        rows += [text] if at < 0 else [text[:at], text[at + 1 :]]
    return rows


def _text(x: float, y: float, anchor: str, said: list[str]) -> Iterator[str]:
    for row, text in enumerate(said):
        yield (
            f'  <text x="{round(x)}" y="{round(y) + row * _LINE_HEIGHT}" '
            f'text-anchor="{anchor}" class="small">{escape(text)}</text>'
        )


def _edge(aside: tuple[float, float], along: tuple[float, float]) -> tuple[float, float]:
    """Where a line that passes a box's middle at `aside`, in direction `along`, leaves the box."""
    far = min(
        (_BOX[axis] / 2 - aside[axis] * (1 if along[axis] > 0 else -1)) / abs(along[axis])
        for axis in (0, 1)
        if along[axis]
    )
    return aside[0] + along[0] * (far + 3), aside[1] + along[1] * (far + 3)
