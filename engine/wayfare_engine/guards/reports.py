"""Changes of state reach the callback in their order, outside of the lock that made them."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

import structlog

from wayfare_engine.guards.states import Change

log = structlog.get_logger(__name__)

Report = Callable[[Change], None]


class Reports:
    """A queue before one callback. The callback may use the breaker, and what it raises is logged:
    nobody's call fails because somebody could not be told."""

    def __init__(self, report: Report | None) -> None:
        self._report = report
        self._waiting: deque[Change] = deque()
        self._telling = threading.Lock()

    def add(self, change: Change) -> None:
        """Queue a change; called under the breaker's lock, which is what orders them."""
        if self._report is not None:
            self._waiting.append(change)

    def tell(self) -> None:
        """Report what is queued, unless another thread is at it: that one takes ours along."""
        while self._waiting and self._telling.acquire(blocking=False):
            try:
                while self._waiting:
                    self._tell(self._waiting.popleft())
            finally:
                self._telling.release()

    def _tell(self, change: Change) -> None:
        assert self._report is not None
        try:
            self._report(change)
        except Exception:
            log.exception("guards.report_failed", breaker=change.name, state=change.after.value)
