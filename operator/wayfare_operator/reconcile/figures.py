"""Counters in status change at most once a minute; what matters changes at once."""

from __future__ import annotations

from collections.abc import Hashable, Iterable

from wayfare_operator.kube.kinds import Object

EVERY_SECONDS = 60.0


class Figures:
    """When each object's status was last written by this process."""

    def __init__(self) -> None:
        self._written: dict[Hashable, float] = {}

    def wrote(self, key: Hashable, now: float) -> None:
        """Status was written."""
        self._written[key] = now

    def hold(
        self, key: Hashable, observed: Object, wanted: Object, names: Iterable[str], now: float
    ) -> float | None:
        """Seconds to wait when only figures differ and they were written lately; else None."""
        if observed == wanted:
            return None
        figures = set(names)
        if _without(observed, figures) != _without(wanted, figures):
            return None
        written = self._written.get(key)
        if written is None or now - written >= EVERY_SECONDS:
            return None
        return EVERY_SECONDS - (now - written)


def _without(status: Object, names: set[str]) -> Object:
    return {name: value for name, value in status.items() if name not in names}
