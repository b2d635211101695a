"""From moments to places on a line. Long spans in which nothing ran are cut short, and marked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

#: Seconds: a shorter pause is drawn as long as it is.
_SHORTEST_CUT = 30.0
#: A pause is cut when it is longer than this share of the time in which something ran.
_SHARE = 0.35
#: How long a cut is drawn, as a share of the drawn time.
_CUT = 0.05


@dataclass(frozen=True)
class Cut:
    """A pause from `begin` to `end` (seconds), drawn between the places `left` and `right`."""

    begin: float
    end: float
    left: float
    right: float


@dataclass(frozen=True)
class _Piece:
    begin: float
    end: float
    drawn: float
    cut: bool


class Scale:
    """Seconds to places from 0 to `width`, monotonic.

    `busy` are the spans (begin, end) in which something ran; `moments` are others to be shown.
    """

    def __init__(
        self,
        busy: Sequence[tuple[float, float]],
        moments: Sequence[float] = (),
        *,
        width: float,
    ) -> None:
        points = [p for span in busy for p in span] + list(moments)
        self.begin = min(points, default=0.0)
        self.end = max(points, default=1.0)
        if self.end <= self.begin:
            self.end = self.begin + 1.0
        self._width = width
        ran = sum(end - begin for begin, end in _merged(busy)) or self.end - self.begin
        longest = max(_SHORTEST_CUT, ran * _SHARE)
        still = [*busy, *((m, m) for m in moments)]
        pieces: list[_Piece] = []
        at = self.begin
        for begin, end in [*_merged(still), (self.end, self.end)]:
            if begin - at > longest:
                pieces.append(_Piece(at, begin, ran * _CUT, cut=True))
            elif begin > at:
                pieces.append(_Piece(at, begin, begin - at, cut=False))
            if end > begin:
                pieces.append(_Piece(begin, end, end - begin, cut=False))
            at = max(at, end)
        self._pieces = pieces
        self._factor = width / sum(piece.drawn for piece in pieces)

    def place(self, seconds: float) -> float:
        """Where a moment is; what is outside is at the edge."""
        left = 0.0
        for piece in self._pieces:
            if seconds <= piece.end:
                share = (seconds - piece.begin) / (piece.end - piece.begin)
                return min(max(left + share * piece.drawn, 0.0) * self._factor, self._width)
            left += piece.drawn
        return self._width

    def cuts(self) -> tuple[Cut, ...]:
        """The pauses that are drawn short."""
        return tuple(
            Cut(p.begin, p.end, self.place(p.begin), self.place(p.end))
            for p in self._pieces
            if p.cut
        )

    def ticks(self, most: int = 8) -> tuple[float, ...]:
        """Round seconds that are far enough from each other and in no cut."""
        drawn = sum(p.end - p.begin for p in self._pieces if not p.cut)
        step = round_step(drawn / most)
        found: list[float] = []
        for piece in self._pieces:
            if piece.cut:
                continue
            number = math.ceil(piece.begin / step - 1e-9)
            while number * step <= piece.end + 1e-9:
                tick = number * step
                if not found or self.place(tick) - self.place(found[-1]) > self._width / most / 2:
                    found.append(tick)
                number += 1
        return tuple(found)


def round_step(least: float) -> float:
    """The smallest round number of seconds that is not below `least`."""
    for step in (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600):
        if step >= least:
            return float(step)
    return math.ceil(least / 3600) * 3600.0


def round_top(largest: float) -> float:
    """The top of an axis: 1, 2, 2.5 or 5 times a power of ten, not below `largest`."""
    if largest <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(largest))
    return next(m * power for m in (1.0, 2.0, 2.5, 5.0, 10.0) if m * power >= largest * 0.999999)


def _merged(spans: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    found: list[tuple[float, float]] = []
    for begin, end in sorted(spans):
        if found and begin <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((begin, max(begin, end)))
    return found
