"""What calls of a channel came to, over the last minutes; for its report and the metrics."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from wayfare_engine.metrics import SendMetrics
from wayfare_engine.outbox.channel import (
    Answer,
    BatchHost,
    HandOver,
    Host,
    Reading,
    Result,
)

_SECONDS = 120.0
#: Calls that the percentile looks at: the last ones of the window.
_MOST = 2000


@dataclass(frozen=True)
class Rates:
    """Per minute; `p99` in seconds, None without a call."""

    accepted: float
    failed: float
    p99: float | None
    error: tuple[datetime, str] | None


class Figures:
    """Thread-safe. `boottime` in seconds; `clock` is the wall clock and ends up in the report."""

    def __init__(
        self,
        channel: str,
        metrics: SendMetrics,
        *,
        boottime: Callable[[], float],
        clock: Callable[[], datetime],
    ) -> None:
        self._channel = channel
        self._metrics = metrics
        self._boottime = boottime
        self._clock = clock
        self._lock = threading.Lock()
        self._since = boottime()
        self._ends: deque[tuple[float, bool]] = deque()
        self._times: deque[tuple[float, float]] = deque(maxlen=_MOST)
        self._error: tuple[datetime, str] | None = None

    def saw(self, answers: Sequence[Answer], seconds: float) -> None:
        """One call, of one send or several, and how long it took."""
        now = self._boottime()
        with self._lock:
            self._times.append((now, seconds))
            for answer in answers:
                if answer.result is Result.OFFERED:
                    continue  # nobody has it yet
                good = answer.result in (Result.ACCEPTED, Result.REJECTED)
                self._ends.append((now, good))
                if not good:
                    self._error = (self._clock(), f"{answer.result.value}: {answer.detail}"[:500])
            self._forget(now)
        for answer in answers:
            self._metrics.hand_overs.labels(self._channel, answer.result.value).inc()
        self._metrics.seconds.labels(self._channel).observe(seconds)

    def rates(self) -> Rates:
        """Of the window, or of what there was of it since the start."""
        now = self._boottime()
        with self._lock:
            self._forget(now)
            minutes = max(min(_SECONDS, now - self._since), 1.0) / 60
            good = sum(1 for _, well in self._ends if well)
            times = sorted(seconds for _, seconds in self._times)
            p99 = times[min(len(times) - 1, int(len(times) * 0.99))] if times else None
            return Rates(good / minutes, (len(self._ends) - good) / minutes, p99, self._error)

    def _forget(self, now: float) -> None:
        for kept in (self._ends, self._times):
            while kept and now - kept[0][0] > _SECONDS:
                kept.popleft()


class WatchedHost:
    """A host whose hand-overs are counted."""

    def __init__(self, host: Host, figures: Figures, *, boottime: Callable[[], float]) -> None:
        self._host = host
        self._figures = figures
        self._boottime = boottime

    def reading(self, youngest: float) -> Reading:
        """See `Host.reading`."""
        return self._host.reading(youngest)

    def hand_over(self, what: HandOver) -> Answer:
        """See `Host.hand_over`."""
        began = self._boottime()
        answer = self._host.hand_over(what)
        self._figures.saw([answer], self._boottime() - began)
        return answer

    def batch_size(self) -> int:
        """See `BatchHost.batch_size`."""
        return self._host.batch_size() if isinstance(self._host, BatchHost) else 1

    def hand_over_batch(self, what: Sequence[HandOver]) -> Sequence[Answer]:
        """See `BatchHost.hand_over_batch`."""
        assert isinstance(self._host, BatchHost)
        began = self._boottime()
        answers = self._host.hand_over_batch(what)
        self._figures.saw(answers, self._boottime() - began)
        return answers

    def took_effect(self, send_key: str, seconds: float) -> bool:
        """See `Host.took_effect`."""
        return self._host.took_effect(send_key, seconds)
