"""Whether the acting site's beats go on, watched over several steps.

Staleness is measured on this machine's own clock since the newest beat was first seen. CatchUp
notes when that was, with which clock it is: a later step on the same machine goes on from there,
one on another machine begins anew. It decides about detection alone, never about the right to act.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from wayfare_engine.lease.beats import Beat, BeatWatch, read_beat, watch_until_stale
from wayfare_engine.lease.epochs import highest
from wayfare_engine.recovery.tasks.task import Task


def this_clock() -> str:
    """Which clock CLOCK_BOOTTIME is here: the machine's start, and the time namespace."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        namespace = str(Path("/proc/self/ns/time").readlink())
    except OSError:
        return ""
    return f"{boot} {namespace}"


def acting_beat(task: Task) -> Beat | None:
    """The newest beat of the site that holds the highest epoch; None: it never wrote one."""
    lease = highest(task.store, task.plan)
    return None if lease is None else read_beat(task.store, task.plan, lease.site)


def note_beats(task: Task) -> None:
    """Look once, and remember when."""
    beat = acting_beat(task)
    task.notes["beat"] = None if beat is None else _named(beat)
    task.notes["seenAt"] = task.boottime()
    task.notes["clock"] = this_clock()


def figures(task: Task) -> dict[str, Any]:
    """What `note_beats` saw, for the result."""
    return {key: task.notes.get(key) for key in ("beat", "seenAt", "clock")}


def watched(task: Task, site: str, limit: float) -> BeatWatch:
    """Watch the site's beat until it is stale or changes; from where CatchUp saw it, if that was
    on this clock. Raises StoreProblem."""

    def look() -> Beat | None:
        return read_beat(task.store, task.plan, site)

    earlier = task.result_of("CatchUp")
    noted = {} if earlier is None else earlier.figures.get("beats") or {}
    beat = look()
    since = noted.get("seenAt")
    same = beat is not None and noted.get("beat") == _named(beat)
    if same and isinstance(since, (int, float)) and noted.get("clock") == this_clock() != "":
        here = task.boottime()
        if since <= here:
            watch = BeatWatch(task.boottime, since=float(since), newest=beat)
            if (watch.age() or 0.0) >= limit:
                return watch
            limit_left = limit - (watch.age() or 0.0)
            later = watch_until_stale(look, limit_left, sleep=task.sleep, boottime=task.boottime)
            return watch if later.newest == beat else later
    task.say(f"watching the beats of site {site} for {limit:.0f} s")
    return watch_until_stale(look, limit, sleep=task.sleep, boottime=task.boottime)


def _named(beat: Beat) -> str:
    return f"{beat.site} {beat.epoch} {beat.writer} {beat.number}"
