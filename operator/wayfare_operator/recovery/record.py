"""What a site's operator remembers of a plan: awake intervals, windows, measured times.

It is kept in the ConfigMap `PLAN-standby` of the plan, so that it survives the operator and needs
no object store. One operator leads, so there is one writer.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec

from wayfare_operator.recovery.awake import Interval

KEY = "record.json"
MOST_WINDOWS = 50
MOST_MEASURED = 5


class Stage(StrEnum):
    """How far a window is, and at last how it ended."""

    WAKE = "Wake"
    CATCH_UP = "CatchUp"
    VERIFY = "Verify"
    SLEEP = "Sleep"
    DONE = "Done"
    MISSED = "Missed"
    UNFINISHED = "Unfinished"
    SUPERSEDED = "Superseded"
    """A run began, or the site acts: it stays awake, and is no less caught up for it."""

    @property
    def ended(self) -> bool:
        """Whether nothing more becomes of it."""
        return self in (Stage.DONE, Stage.MISSED, Stage.UNFINISHED, Stage.SUPERSEDED)


class WindowKind(StrEnum):
    """Why a site is awake though it does not act: a window, or one that the lag asked for."""

    WINDOW = "Window"
    EXTRA = "Extra"


class WindowRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One time of a window. Moments are this operator's clock."""

    id: str
    name: str
    kind: WindowKind = WindowKind.WINDOW
    begins: datetime
    ends: datetime
    stage: Stage = Stage.WAKE
    began: datetime | None = None
    awake: datetime | None = None
    caught_up: datetime | None = None
    serving: datetime | None = None
    """When all of it was up, and no longer the stores alone; `awake` is when these were."""
    verified: datetime | None = None
    ended: datetime | None = None
    attempt: int = 1
    """Of the stage that it is at."""
    tried: datetime | None = None
    """When this attempt's Job was made."""
    message: str = ""


class CaughtUp(msgspec.Struct, frozen=True, kw_only=True):
    """Up to where this site has applied the other's chains, by "site/epoch"; when it looked."""

    watermark: dict[str, int]
    at: datetime


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """A scheduled check, as a Job."""

    began: datetime
    attempt: int = 1


class Level(msgspec.Struct, frozen=True, kw_only=True):
    """What the checks of one level found last."""

    verdict: str
    as_of: datetime
    message: str
    evidence: str | None = None


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """All of it. `since`: when the recording began. `rate`: rows a second of the last catch-up
    that was long enough to tell; `wakes`, `verifies`: the last measured times, seconds."""

    since: datetime
    standby_since: datetime | None = None
    """Since when this site has stood by and slept between windows."""
    consistency: dict[str, Level] = {}
    awake: tuple[Interval, ...] = ()
    windows: tuple[WindowRecord, ...] = ()
    caught_up: CaughtUp | None = None
    rate: float | None = None
    wakes: tuple[float, ...] = ()
    verifies: tuple[float, ...] = ()
    drills_until: datetime | None = None
    """Scheduled drills up to this moment were made, or were in the way of something."""
    checked_until: datetime | None = None
    """The same of scheduled consistency checks."""
    checking: Check | None = None
    """The scheduled check that is under way."""
    format: int = 1

    @property
    def current(self) -> WindowRecord | None:
        """The window that is worked on."""
        last = self.windows[-1] if self.windows else None
        return last if last is not None and not last.stage.ended else None

    @property
    def last(self) -> WindowRecord | None:
        """The window that ended last."""
        return next((each for each in reversed(self.windows) if each.stage.ended), None)

    def replaced(self, **fields: object) -> Standing:
        """With some fields changed."""
        return msgspec.structs.replace(self, **fields)

    def with_window(self, record: WindowRecord) -> Standing:
        """With a window put in, in the place of its earlier state; the oldest are dropped."""
        others = tuple(each for each in self.windows if each.id != record.id)
        return msgspec.structs.replace(self, windows=(*others, record)[-MOST_WINDOWS:])

    def measured(self, *, wake: float | None = None, verify: float | None = None) -> Standing:
        """With times that were measured."""
        wakes = self.wakes if wake is None else (*self.wakes, wake)[-MOST_MEASURED:]
        verifies = self.verifies if verify is None else (*self.verifies, verify)[-MOST_MEASURED:]
        return msgspec.structs.replace(self, wakes=wakes, verifies=verifies)


def encode(standing: Standing) -> str:
    """As it is kept: compact JSON, the same for the same content."""
    return msgspec.json.encode(standing, order="deterministic").decode()


def decode(text: str) -> Standing | None:
    """What was kept; None when it is of another version or damaged, then recording starts anew."""
    try:
        found = msgspec.json.decode(text, type=Standing)
    except msgspec.MsgspecError:
        return None
    return found if found.format == 1 else None
