"""`wayfare recovery task`: one attempt of one data step, as a Job's pod makes it."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wayfare_engine.cli.recovery_options import Plan, ThisSite, open_named_store, plan_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from wayfare_engine.recovery.tasks.attempt import Ended, Wanted
    from wayfare_engine.recovery.tasks.task import Task
    from wayfare_engine.runs import Run
    from wayfare_engine.settings import Settings
    from wayfare_engine.store.task_claims import TaskClaim

#: What Kubernetes shows of a pod that ended.
_TERMINATION_LOG = Path("/dev/termination-log")


def task(
    step: Annotated[str, typer.Argument(help="The step, such as CatchUp or TakeEpoch.")],
    attempt: Annotated[int, typer.Option(min=1, help="Which attempt of the step this is.")],
    run: Annotated[int | None, typer.Option(min=1, help="The run's number.")] = None,
    window: Annotated[
        int | None, typer.Option(min=1, help="Instead of a run: the wake window's number.")
    ] = None,
    then: Annotated[
        list[str] | None,
        typer.Option(help="A step to go on with when its first attempt begins; can be repeated."),
    ] = None,
    patience: Annotated[
        float,
        typer.Option(min=0, help="Seconds that an outage of the stores is waited for."),
    ] = 60.0,
    plan: Plan = None,
    site: ThisSite = None,
) -> None:
    """Make one attempt of a data step of a run: what a Job of a recovery run starts.

    Its result is in the object store when it ends, and so is its failure. It can be killed
    anywhere: the next attempt goes on with what is there. PostgreSQL, Valkey and the object store
    are those of the engine's worker, by the same variables.

    With --then the process waits for the turn of that step, three minutes at the most, and makes
    its first attempt too; a turn that does not come is no failure.

    Exit codes, of the last attempt that was made: 0 the step has its result; 1 the attempt failed,
    and the store says why; 2 wrong options, or no such run; 3 the stores were away for longer than
    --patience; 4 a later attempt has the step, or the run has ended: nothing was done.

    Example: wayfare recovery task CatchUp --run 12 --attempt 1 --then Verify
    """
    from wayfare_engine import logs
    from wayfare_engine.recovery.tasks import load
    from wayfare_engine.recovery.tasks.attempt import Wanted
    from wayfare_engine.recovery.tasks.attempt import attempt as make
    from wayfare_engine.settings import MissingSetting, load_settings

    number = run if window is None else window
    if number is None or (run is not None and window is not None):
        raise typer.BadParameter("give --run or --window", param_hint="--run")
    if then and window is not None:
        raise typer.BadParameter("a window's tasks have a Job each", param_hint="--then")
    for each in (step, *(then or ())):
        load(each)
    # A process that is the first of its container is ended by no signal that it does not ask for.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(128 + signal.SIGTERM))
    logs.configure()
    name = plan_name(plan)
    here = site or os.environ.get("WAYFARE_SITE")
    if not here:
        raise MissingSetting("WAYFARE_SITE", "is not set; or give --site")
    settings = load_settings()
    wanted = Wanted(
        plan=name,
        records=name if window is None else _windows_of(name, here),
        run=number,
        step=step,
        attempt=attempt,
        pod=settings.pod_uid,
        window=window is not None,
        patience=patience,
    )
    ended = make(wanted, load(step), _maker(wanted, here, settings))
    _tell(ended)
    for following in then or ():
        if ended.exit_code or not _turn(wanted, following):
            break
        wanted = replace(wanted, step=following, attempt=1)
        ended = make(wanted, load(following), _maker(wanted, here, settings))
        _tell(ended)
    if ended.exit_code:
        raise typer.Exit(ended.exit_code)


def _turn(wanted: Wanted, step: str) -> bool:
    """Wait for the turn of a step; whether it came."""
    from wayfare_engine.recovery.tasks.going_on import turn_of

    store = open_named_store(None)
    _say(f"waiting for the turn of {step}")
    return turn_of(
        store, wanted.records, wanted.run, step, monotonic=time.monotonic, sleep=time.sleep
    )


def _windows_of(plan: str, site: str) -> str:
    from wayfare_engine.runs.windows import window_plan

    return window_plan(plan, site)


def _maker(
    wanted: Wanted, site: str, settings: Settings
) -> Callable[[Run | None, TaskClaim], Task]:
    """How an attempt's task is made from this process's environment."""
    from wayfare_engine.clock import new_id, now
    from wayfare_engine.lease import boottime
    from wayfare_engine.recovery.tasks.task import Task
    from wayfare_engine.recovery.tasks.terms import VARIABLE, parse_terms

    store = open_named_store(None)
    terms = parse_terms(os.environ.get(VARIABLE))

    def made(run: Run | None, claim: TaskClaim) -> Task:
        return Task(
            run=run,
            number=wanted.run,
            step=wanted.step,
            attempt=wanted.attempt,
            plan=wanted.plan,
            records=wanted.records,
            site=site,
            dsn=settings.direct_dsn,
            store=store,
            settings=settings,
            terms=terms,
            claim=claim,
            say=_say,
            clock=now,
            ids=new_id,
            monotonic=time.monotonic,
            boottime=boottime,
            sleep=time.sleep,
        )

    return made


def _say(text: str) -> None:
    """A line of progress, for who reads the pod's log."""
    typer.echo(f"{datetime.now(UTC):%H:%M:%S} {text}", err=True)


def _tell(ended: Ended) -> None:
    """The last sentence: on standard output, and where Kubernetes shows it."""
    words = f"{ended.summary} (it had been done before)" if ended.again else ended.summary
    typer.echo(words, err=bool(ended.exit_code))
    with contextlib.suppress(OSError):
        if _TERMINATION_LOG.exists():
            _TERMINATION_LOG.write_text(words[:4000])
