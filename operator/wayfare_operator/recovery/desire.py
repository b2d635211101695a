"""Whether a site is to be awake now, and what for. Pure.

What cannot be told changes nothing: a site that does not know who acts neither wakes nor sleeps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from wayfare_engine.resources import RunKind
from wayfare_operator.recovery.awake import Cause

#: Where a run needs nobody awake, or where it is not known yet at which step it is. What is awake
#: then stays so: it is the run that puts it to sleep.
_LEFT_ALONE = frozenset({None, "Precheck", "Sleep"})

Role = Literal["Acting", "Standby", "Unknown"]


@dataclass(frozen=True, slots=True)
class Situation:
    """`holder`: site of the highest epoch; `known`: whether the store could be asked. `window`: one
    is worked on here. The run is the open one; `run_here`: this site is its target."""

    site: str
    primary: str
    mode: Literal["Cold", "Warm"]
    known: bool
    holder: str | None
    emergency: bool
    window: bool
    catching_up: bool = False
    """The window is not past its catch-up: the stores are enough."""
    window_at: str = ""
    """Where the window is, and why its last attempt there failed."""
    run: RunKind | None = None
    run_here: bool = False
    run_step: str | None = None


@dataclass(frozen=True, slots=True)
class Desire:
    """`awake` None: as it is. `cause` None: its hours are not counted. `all_of_it`: also what
    somebody else scaled to zero is woken; else only what slept."""

    awake: bool | None
    cause: Cause | None
    why: str
    all_of_it: bool = False
    only_stores: bool = False


def role_of(site: str, primary: str, *, known: bool, holder: str | None) -> Role:
    """What a site is. Before the first epoch was taken the primary is the one that acts."""
    if not known:
        return "Unknown"
    return "Acting" if (holder or primary) == site else "Standby"


def desire(it: Situation) -> Desire:
    """What is to be."""
    role = role_of(it.site, it.primary, known=it.known, holder=it.holder)
    if role == "Acting":
        if it.emergency:
            return Desire(True, "emergency", "it acts, in an emergency")
        return Desire(True, None, "it acts")
    if it.run is not None and it.run_here:
        said = f"{it.run} is at {it.run_step or 'a step that is not known yet'}"
        wanted = None if it.run_step in _LEFT_ALONE else True
        return Desire(wanted, _cause(it.run), said, all_of_it=True)
    if role == "Unknown":
        return Desire(None, None, "who acts cannot be told, so nothing is woken or put to sleep")
    if it.run is not None and not it.run_here and it.run is not RunKind.DRILL:
        # A site that gives the work away is stood down by the run before it may sleep.
        return Desire(None, _cause(it.run), f"{it.run} of the other site is open")
    if it.mode == "Warm":
        return Desire(True, None, "standby.mode is Warm")
    if it.window:
        said = "a window is open" + (f", at {it.window_at}" if it.window_at else "")
        return Desire(True, "window", said, all_of_it=True, only_stores=it.catching_up)
    return Desire(False, None, "standby.mode is Cold, and no window is open")


def _cause(kind: RunKind) -> Cause:
    return "drill" if kind is RunKind.DRILL else "emergency"
