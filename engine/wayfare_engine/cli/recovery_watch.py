"""`wayfare recovery watch`."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wayfare_engine.cli.kube import Context, Kube, Namespace, complete
from wayfare_engine.cli.recovery_options import AsJson, StoreUrl, open_named_store
from wayfare_engine.cli.recovery_runs import PlanId, find, plan_of
from wayfare_engine.errors import SaidToPeople

if TYPE_CHECKING:
    from rich.console import RenderableType

    from wayfare_engine.recovery.watching import Sight

Look = Callable[[], "Sight"]


def watch(
    run: Annotated[
        str | None,
        typer.Argument(
            help="The run, by its name; in a store also by its number, or the newest.",
            autocompletion=complete("RecoveryRun"),
        ),
    ] = None,
    every: Annotated[float, typer.Option(min=0.1, max=60, help="Seconds between looks.")] = 1.0,
    stop_when_waiting: Annotated[
        bool, typer.Option(help="End when a person has to decide, too; exit code 5.")
    ] = False,
    timeout: Annotated[
        float | None, typer.Option(min=0, help="End after so many seconds; exit code 5.")
    ] = None,
    store: StoreUrl = None,
    plan: PlanId = None,
    namespace: Namespace = None,
    context: Context = None,
    as_json: AsJson = False,
) -> None:
    """Follow a run to its end: its steps, their states and times, and the clock of the recovery
    time.

    By its records where --store or WAYFARE_OBJECT_STORE_URL names the store, else by the
    RecoveryRun through kubectl. With --json, or where no terminal is, a line for each change. When
    the store or the cluster does not answer, that is said, and it is asked again.

    Exit codes: 0 the run passed; 1 it failed, was abandoned or rejected, or there is none; 2 wrong
    options; 3 the store or cluster could not be asked at the start; 4 it ended, and its verdict is
    Unknown; 5 it has not ended (--stop-when-waiting, --timeout); 130 interrupted.

    Example: wayfare recovery watch failover-x7k2p --namespace bank
    """
    look = _by_store(run, store, plan) if _in_store(store) else by_cluster(run, namespace, context)
    raise typer.Exit(
        follow(
            look,
            every=every,
            stop_when_waiting=stop_when_waiting,
            timeout=timeout,
            as_json=as_json,
        )
    )


def follow(
    look: Look,
    *,
    every: float = 1.0,
    stop_when_waiting: bool = False,
    timeout: float | None = None,
    as_json: bool = False,
) -> int:
    """Look until the run has ended; the exit code. The first look raises what it raises."""
    from rich.console import Console

    console = Console()
    shown = _Live(console) if console.is_terminal and not as_json else _Lines(as_json)
    deadline = None if timeout is None else time.monotonic() + timeout
    seen = look()
    with shown:
        shown.show(None, seen)
        while not (seen.ended or (stop_when_waiting and seen.waits)):
            if deadline is not None and time.monotonic() >= deadline:
                break
            time.sleep(every)
            try:
                now = look()
            except SaidToPeople as problem:
                shown.away(str(problem))
                continue
            shown.show(seen, now)
            seen = now
    return seen.exit_code()


class _Lines:
    """A line for each change: JSON, or a sentence."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json
        self._away = ""

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass

    def show(self, before: Sight | None, now: Sight) -> None:
        """What changed."""
        from wayfare_engine.recovery.watching import changes

        self._away = ""
        for event in changes(before, now):
            typer.echo(json.dumps(event) if self._as_json else _sentence(event))

    def away(self, problem: str) -> None:
        """Said once for as long as it lasts."""
        if problem != self._away:
            self._away = problem
            typer.echo(json.dumps({"event": "away", "message": problem}), err=not self._as_json)


class _Live:
    """A table that is drawn anew in its place."""

    def __init__(self, console: Any) -> None:
        from rich.live import Live

        self._sight: Sight | None = None
        self._problem = ""
        self._live = Live(
            console=console, get_renderable=self._drawn, refresh_per_second=4, transient=False
        )

    def __enter__(self) -> None:
        self._live.start()

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, before: Sight | None, now: Sight) -> None:
        """All of it."""
        self._sight, self._problem = now, ""
        self._live.refresh()

    def away(self, problem: str) -> None:
        """Below the table, until it answers again."""
        self._problem = problem
        self._live.refresh()

    def _drawn(self) -> RenderableType:
        from wayfare_engine.cli.recovery_table import table
        from wayfare_engine.clock import now

        return "" if self._sight is None else table(self._sight, now(), self._problem)


def _sentence(event: dict[str, Any]) -> str:
    from wayfare_engine.recovery.report.shown import one_line, span

    if event["event"] == "step":
        attempt = event["attempt"]
        tried = f", attempt {attempt}" if attempt and attempt > 1 else ""
        said = f": {event['message']}" if event["message"] else ""
        return one_line(f"{event['step']}{tried}: {event['state']}{said}")
    about = f"{event['kind']} {event['name']}"
    if event["event"] == "end":
        rto = event["rtoSeconds"]
        took = "unknown" if rto is None else span(rto)
        said = f" {event['message']}" if event["message"] else ""
        return one_line(
            f"{about} ended: {event['state']}, verdict {event['verdict']}, recovery time {took}."
            + said
        )
    number = f", number {event['number']}" if event["number"] else ""
    return one_line(f"{about}{number}: {event['state']}")


def _in_store(store: str | None) -> bool:
    return bool(store or os.environ.get("WAYFARE_OBJECT_STORE_URL"))


def _by_store(run: str | None, store: str | None, plan: str | None) -> Look:
    from wayfare_engine.recovery.records_of_run import Records
    from wayfare_engine.recovery.watching import of_records

    opened = open_named_store(store)
    wanted = plan_of(opened, plan)
    records = Records(opened, wanted, find(opened, wanted, run))
    return lambda: of_records(records.look())


def by_cluster(run: str | None, namespace: str | None, context: str | None) -> Look:
    """A look at a RecoveryRun through kubectl."""
    from wayfare_engine.recovery.watching import of_object

    if run is None:
        raise typer.BadParameter("name the run; without one, --store looks for the newest")
    kube = Kube(namespace, context)
    return lambda: of_object(kube.get("RecoveryRun", run))
