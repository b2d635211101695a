"""Finding runs in the object store by number or name, for the commands that read their records."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from wayfare_engine.errors import FAILED, SaidToPeople

if TYPE_CHECKING:
    from wayfare_engine.objectstore import ObjectStore
    from wayfare_engine.runs import Keys, Run

PlanId = Annotated[
    str | None,
    typer.Option(
        help="The plan's name in the store, NAMESPACE.ENGINE; WAYFARE_RECOVERY_PLAN when not "
        "given, else the one that the store belongs to."
    ),
]


@dataclass(eq=False)
class NoRun(SaidToPeople):
    """There is no such run. `known` are some that there are, the newest first."""

    exit_code = FAILED

    plan: str
    wanted: str | None
    known: tuple[str, ...]

    def __str__(self) -> str:
        if not self.known:
            return f"plan {self.plan} has no run in this store; --plan and --store choose others"
        return f"plan {self.plan} has no run {self.wanted}; the newest are {', '.join(self.known)}"


def plan_of(store: ObjectStore, given: str | None) -> str:
    """The plan that is meant. Raises ForeignStore when the store is another's."""
    from wayfare_engine.objectstore.marker import check

    wanted = given or os.environ.get("WAYFARE_RECOVERY_PLAN")
    if wanted is None:
        wanted = owner(store) or "default"
    check(store, wanted)
    return wanted


def owner(store: ObjectStore) -> str | None:
    """The plan that the store belongs to; None when it says so nowhere."""
    import msgspec

    from wayfare_engine.objectstore import paths
    from wayfare_engine.objectstore.marker import Marker

    try:
        return msgspec.json.decode(store.get(paths.MARKER) or b"", type=Marker).plan
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def numbers(store: ObjectStore, plan: str) -> list[int]:
    """The numbers that were taken, the newest first."""
    from wayfare_engine.objectstore import paths

    return sorted((int(n) for n in store.folders(paths.runs(plan)) if n.isdecimal()), reverse=True)


def find(store: ObjectStore, plan: str, wanted: str | None) -> int:
    """The number of the run that is meant: by its number, its name, or the newest. Raises NoRun."""
    from wayfare_engine.recovery.report.shown import one_line

    known = numbers(store, plan)
    if wanted is None and known:
        return known[0]
    if wanted is not None and wanted.isdecimal() and int(wanted) in known:
        return int(wanted)
    seen: list[str] = []
    for number in known:
        run = read(store, plan, number)
        if wanted is not None and run is not None and run.name == wanted:
            return number
        if len(seen) < 5:
            seen.append(f"{number}" if run is None else f"{one_line(run.name)} ({number})")
    raise NoRun(plan, wanted, tuple(seen))


def read(store: ObjectStore, plan: str, number: int) -> Run | None:
    """A run's first record; None when it cannot be used."""
    from wayfare_engine import runs

    try:
        return runs.read_run(store, plan, number)
    except (runs.RecordDamaged, runs.NewerRecord):
        return None


def keys() -> Keys | None:
    """The keys that requests are signed with, where they are given. Raises BadKey."""
    from wayfare_engine.runs import Keys

    given = os.environ.get("WAYFARE_RECOVERY_KEY")
    return Keys.of(given) if given else None
