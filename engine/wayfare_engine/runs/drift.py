"""How the configuration of one site differs from the other's (pure)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from wayfare_engine.runs.bundle import Object, identity


class Change(StrEnum):
    """How an object differs: it is here only, there only, or at both with other content."""

    ADDED = "Added"
    REMOVED = "Removed"
    CHANGED = "Changed"


@dataclass(frozen=True)
class Drift:
    """One object that differs; the paths of the fields that are only here (`added`), only there
    (`removed`), and at both with other values (`changed`). Values are not told."""

    kind: str
    namespace: str
    name: str
    change: Change
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()

    def said(self, most: int = 5) -> str:
        """One sentence, with at most so many paths of each sort."""
        what = f"{self.kind} {self.namespace}/{self.name}"
        if self.change is Change.ADDED:
            return f"{what} is only here"
        if self.change is Change.REMOVED:
            return f"{what} is missing here"
        parts = (
            ("differs in", self.changed),
            ("has only here", self.added),
            ("lacks here", self.removed),
        )
        return f"{what} " + ", ".join(f"{w} {_listed(p, most)}" for w, p in parts if p)


def _listed(found: Sequence[str], most: int) -> str:
    more = len(found) - most
    return " ".join(found[:most]) + (f" and {more} more" if more > 0 else "")


def compare(there: Sequence[Object], here: Sequence[Object]) -> tuple[Drift, ...]:
    """What differs here from there; both are exported. Empty when the digests are equal."""
    ours, theirs = ({identity(one): one for one in side} for side in (here, there))
    return tuple(
        drift
        for name in sorted({*ours, *theirs})
        if (drift := _object(name, theirs.get(name), ours.get(name))) is not None
    )


def _object(name: tuple[str, str, str], there: Object | None, here: Object | None) -> Drift | None:
    if there is None:
        return Drift(*name, Change.ADDED)
    if here is None:
        return Drift(*name, Change.REMOVED)
    found: dict[Change, list[str]] = {change: [] for change in Change}
    for change, path in _fields(there, here, ""):
        found[change].append(path)
    added, removed, changed = (tuple(found[change]) for change in Change)
    if not (added or removed or changed):
        return None
    return Drift(*name, Change.CHANGED, added, removed, changed)


def _fields(there: Any, here: Any, path: str) -> Iterator[tuple[Change, str]]:
    if isinstance(there, Mapping) and isinstance(here, Mapping):
        yield from _keys(there, here, lambda key: f"{path}.{key}" if path else str(key))
        return
    theirs, ours = _by_name(there), _by_name(here)
    if theirs is not None and ours is not None:
        yield from _keys(theirs, ours, lambda key: f"{path}[{key}]")
        if list(theirs) != list(ours) and theirs.keys() == ours.keys():
            yield Change.CHANGED, f"{path} (order)"
        return
    # JSON has one sort of number, and true is none of them.
    if there != here or isinstance(there, bool) != isinstance(here, bool):
        yield Change.CHANGED, path


def _keys(
    there: Mapping[str, Any], here: Mapping[str, Any], path: Callable[[str], str]
) -> Iterator[tuple[Change, str]]:
    for key in sorted({*there, *here}):
        if key not in there:
            yield Change.ADDED, path(key)
        elif key not in here:
            yield Change.REMOVED, path(key)
        else:
            yield from _fields(there[key], here[key], path(key))


def _by_name(value: Any) -> dict[str, Any] | None:
    """The items of a list by their names; None when it is no list of uniquely named objects."""
    if not isinstance(value, (list, tuple)):
        return None
    if not all(isinstance(one, Mapping) and isinstance(one.get("name"), str) for one in value):
        return None
    found = {one["name"]: one for one in value}
    return found if len(found) == len(value) else None
