"""Where a standby's windows and scheduled checks keep what became of them.

They are no runs: they take no number and no lock. Their attempts and results are records as those
of a run's steps, under a plan id of their own; the number of one is the minute it began.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from wayfare_engine.objectstore import ObjectStore, paths

CATCH_UP = "CatchUp"
CHECK = "Check"


def window_plan(plan: str, site: str) -> str:
    """The plan id of a site's windows, for `steps` and `paths`."""
    return f"{plan}.windows.{site}"


def number(begins: datetime) -> int:
    """The number of what begins then: minutes since 1970."""
    return int(begins.timestamp()) // 60


def forget_but(store: ObjectStore, plan: str, site: str, kept: Iterable[int]) -> int:
    """Remove the records of all windows but these; how many objects that were."""
    of, keep = window_plan(plan, site), set(kept)
    gone = 0
    for name in store.folders(paths.runs(of)):
        if name.isdecimal() and int(name) not in keep:
            for found in list(store.list(paths.run(of, int(name)))):
                store.delete(found.path)
                gone += 1
    return gone
