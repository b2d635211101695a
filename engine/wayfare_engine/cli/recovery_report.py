"""`wayfare recovery report`."""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wayfare_engine.cli.kube import complete
from wayfare_engine.cli.recovery_options import AsJson, StoreUrl, open_named_store
from wayfare_engine.cli.recovery_runs import PlanId, find, keys, plan_of
from wayfare_engine.errors import FAILED

if TYPE_CHECKING:
    from wayfare_engine.recovery.report import Report

_NAME = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"

Engine = Annotated[
    str | None,
    typer.Option(
        help="Read the records in this engine's worker pod (NAME or NAMESPACE/NAME), which knows "
        "the store, instead of here."
    ),
]


def report(
    run: Annotated[
        str | None,
        typer.Argument(
            help="The run, by its name or number; the newest when not given.",
            autocompletion=complete("RecoveryRun"),
        ),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(
            "--output", "-o", help="File to write, - for standard output; RUN.html by default."
        ),
    ] = None,
    show: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    store: StoreUrl = None,
    plan: PlanId = None,
    engine: Engine = None,
    as_json: AsJson = False,
) -> None:
    """Make the report of a run, for an auditor: one HTML page, or JSON, from the records in the
    object store alone. No cluster is needed; none has to be there any more.

    The page needs nothing from outside and runs no code: it can be mailed, archived and printed. It
    has the steps over time, each check with its evidence, recovery time and loss against the
    objective and earlier runs, who asked and who approved, and what is not known. Each piece of
    evidence is read and its digest computed anew. With WAYFARE_RECOVERY_KEY the signatures of what
    the sites asked each other are checked as well.

    Exit codes: 0 the report is made and all evidence is sound; 1 it is made, and evidence or
    records in it are damaged or missing, or there is no such run; 2 wrong options; 3 the store
    cannot be used, or a setting is missing.

    Examples: wayfare recovery report failover-x7k2p --store s3://recovery/retail --open

    wayfare recovery report 12 --json | jq .unknowns
    """
    if engine:
        raise typer.Exit(_in_worker(engine, run, plan, output, as_json=as_json, show=show))
    from wayfare_engine.clock import now
    from wayfare_engine.recovery.report import make_report, page

    opened = open_named_store(store)
    wanted = plan_of(opened, plan)
    number = find(opened, wanted, run)
    made = make_report(opened, wanted, number, now=now(), keys=keys())
    text = json.dumps(made.facts(), indent=2) + "\n" if as_json else page(made)
    # Halves of pairs in a record are no UTF-8; the page shows them as codes, JSON escapes them.
    body = text.encode("utf-8", "backslashreplace")
    default = "-" if as_json else _file_name(made.head.name, number)
    _write(body, output or default, show=show)
    _say_problems(made)


def _file_name(name: str, number: int) -> str:
    """After the run; a name that no RecoveryRun can have is not one for a file either."""
    return f"{name if re.fullmatch(_NAME, name) else number}.html"


def _write(body: bytes, output: str, *, show: bool) -> None:
    if output == "-":
        sys.stdout.buffer.write(body)
        sys.stdout.buffer.flush()
        return
    file = Path(output)
    _put(file, body)
    _written(file, show=show)


def _written(file: Path, *, show: bool) -> None:
    typer.echo(f"written: {file}", err=True)
    if show:
        typer.launch(file.resolve().as_uri())


def _put(file: Path, body: bytes) -> None:
    """The file takes the other's place when it is whole."""
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    new = Path(name)
    try:
        with os.fdopen(handle, "wb") as written:
            written.write(body)
        new.chmod(0o644)
        new.replace(file)
    except BaseException:
        new.unlink()
        raise


def _say_problems(made: Report) -> None:
    """What a reader has to know before they open it; exit code 1 then."""
    from wayfare_engine.recovery.report.shown import one_line

    unsound = [one for one in made.evidence if one.state != "Verified"]
    damaged = [one for one in made.objects if one.problem]
    for one in unsound:
        typer.echo(f"evidence {one_line(one.digest)} is {one.state.lower()}", err=True)
    for each in damaged:
        typer.echo(one_line(f"{each.path}: {each.problem}"), err=True)
    if unsound or damaged:
        raise typer.Exit(FAILED)


def _in_worker(
    engine: str,
    run: str | None,
    plan: str | None,
    output: str | None,
    *,
    as_json: bool,
    show: bool,
) -> int:
    from wayfare_engine.cli.cluster import run_in_worker

    words = ["recovery", "report", "--output", "-"]
    words += ["--json"] if as_json else []
    words += ["--plan", plan] if plan else []
    words += ["--", run] if run else []
    target = output or ("-" if as_json else f"{run or 'newest-run'}.html")
    if target == "-":
        return run_in_worker(engine, words, namespace=None)
    file = Path(target)
    with tempfile.TemporaryFile() as spooled:
        code = run_in_worker(engine, words, namespace=None, stdout=spooled)
        spooled.seek(0)
        body = spooled.read()
    if body:
        _put(file, body)
        _written(file, show=show)
    return code
