"""What the cheap checks found last, by level; stale is Unknown. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import islice

from wayfare_engine.resources import CheckLevel, Verdict
from wayfare_engine.resources.standby import CronWindow
from wayfare_engine.runs import CheckResult, StepResult
from wayfare_operator.kube.kinds import Object
from wayfare_operator.recovery.record import Level
from wayfare_operator.recovery.windows import next_window, times
from wayfare_operator.status import timestamp

#: A check that is late by this is not stale yet: it has to run as well.
GRACE = timedelta(minutes=10)
_WORST = (Verdict.FAILED, Verdict.UNKNOWN, Verdict.PASSED)


def levels(result: StepResult) -> dict[str, Level]:
    """What a check's result says, by level; a level that nothing looked at is not in it."""
    found: dict[str, Level] = {}
    for level in CheckLevel:
        of = [check for check in result.checks if check.level is level]
        if not of:
            continue
        verdict = next(each for each in _WORST if any(check.verdict is each for check in of))
        told = [check for check in of if check.verdict is verdict]
        found[str(level)] = Level(
            verdict=str(verdict),
            as_of=min(check.as_of for check in of),
            message=_message(verdict, told, len(of)),
            evidence=result.evidence,
        )
    return found


def nobody_knows(began: datetime, why: str) -> dict[str, Level]:
    """What a check that came to no result leaves: what was found before is not true of now."""
    said = f"the check of {began:%Y-%m-%d %H:%M} UTC came to no result: {why}"[:2000]
    unknown = Level(verdict=str(Verdict.UNKNOWN), as_of=began, message=said)
    return {str(level): unknown for level in CheckLevel}


def _message(verdict: Verdict, told: Sequence[CheckResult], looked: int) -> str:
    if verdict is Verdict.PASSED:
        return f"{looked} checks passed"
    return "; ".join(f"{check.name}: {check.message}" for check in told)[:2000]


def stale_after_schedule(as_of: datetime, schedule: str) -> datetime:
    """When a check by schedule is stale: when two that should have come after it did not."""
    following = list(islice(times(schedule, "UTC", as_of, where="spec.consistency.schedule"), 2))
    last = following[-1] if following else as_of
    return last + GRACE


def stale_after_windows(
    as_of: datetime, windows: Sequence[CronWindow], blocked: Sequence[CronWindow]
) -> datetime:
    """When a check of a sleeping site is stale: when the next window is over."""
    following = next_window(windows, blocked, as_of)
    return (following.ends if following is not None else as_of) + GRACE


def status_of(
    found: Mapping[str, Level], now: datetime, stale_after: Mapping[str, datetime]
) -> Object | None:
    """`status.consistency`, with all levels once one was looked at. `stale_after`: by level."""
    if not found:
        return None
    told: Object = {
        str(level).lower(): {
            "verdict": str(Verdict.UNKNOWN),
            "message": "nothing was looked at at this level",
        }
        for level in CheckLevel
    }
    for name, level in found.items():
        stale = now > stale_after[name]
        verdict = str(Verdict.UNKNOWN) if stale else level.verdict
        message = f"stale, it was {level.verdict}: {level.message}" if stale else level.message
        entry = {"verdict": verdict, "asOf": timestamp(level.as_of), "message": message}
        if level.evidence is not None:
            entry["evidence"] = level.evidence
        told[name.lower()] = entry
    return told
