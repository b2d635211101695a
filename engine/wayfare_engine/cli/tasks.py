"""`wayfare tasks list | take | return | close`: what `/v1/tasks` does, past the pods."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

if TYPE_CHECKING:
    from psycopg import AsyncConnection

    from wayfare_engine.ledger.bodies import TaskState
    from wayfare_engine.tasks.rules import Standing

app = typer.Typer(help="Tasks: work items for people.", no_args_is_help=True)

Dsn = Annotated[
    str | None,
    typer.Option(help="PostgreSQL; WAYFARE_POSTGRESQL_DSN when not given.", show_default=False),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Task = Annotated[str, typer.Argument(help="The task's id.", show_default=False)]
By = Annotated[str, typer.Option(help="Who does it.", show_default=False)]
Site = Annotated[
    str | None,
    typer.Option(help="This site's name; WAYFARE_SITE when not given.", show_default=False),
]
Note = Annotated[str | None, typer.Option(help="What others should know.", show_default=False)]
_T = TypeVar("_T")


@app.callback()
def _group() -> None:
    pass


@app.command("list")
def list_tasks(
    assignee: Annotated[str | None, typer.Option(help="Of whom.", show_default=False)] = None,
    state: Annotated[
        str | None, typer.Option(help="Open, Taken, Expired or Closed.", show_default=False)
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many.")] = 100,
    dsn: Dsn = None,
    as_json: AsJson = False,
) -> None:
    """List tasks, those that are due first.

    Example: wayfare tasks list --assignee b17 --state Open
    """
    from wayfare_engine.tasks.storage import Wanted, page

    wanted = Wanted(assignee=assignee, state=state, limit=limit)
    found = _with(dsn, lambda connection: page(connection, wanted))
    if as_json:
        _print_json(found)
        return
    if not found:
        typer.echo("there is none")
    for task in found:
        typer.echo(_line(task))


@app.command()
def take(task: Task, by: By, site: Site = None, dsn: Dsn = None, as_json: AsJson = False) -> None:
    """Take a task.

    Example: wayfare tasks take TASK --by eve
    """
    from wayfare_engine.tasks import rules

    _change(task, lambda standing: rules.take(standing, by), site, dsn, as_json)


@app.command("return")
def return_task(
    task: Task,
    by: By,
    note: Note = None,
    site: Site = None,
    dsn: Dsn = None,
    as_json: AsJson = False,
) -> None:
    """Give a task back that somebody took.

    Example: wayfare tasks return TASK --by eve --note "on leave"
    """
    from wayfare_engine.tasks import rules

    said = _json(note)
    _change(task, lambda standing: rules.give_back(standing, by, said), site, dsn, as_json)


@app.command()
def close(
    task: Task,
    by: By,
    outcome: Annotated[str, typer.Option(help="How it ended.", show_default=False)],
    note: Note = None,
    site: Site = None,
    dsn: Dsn = None,
    as_json: AsJson = False,
) -> None:
    """Close a task that somebody took, with one of its outcomes.

    Example: wayfare tasks close TASK --by eve --outcome reached
    """
    from wayfare_engine.tasks import rules

    said = _json(note)
    _change(task, lambda standing: rules.close(standing, by, outcome, said), site, dsn, as_json)


def _change(
    task: str,
    to: Callable[[Standing], TaskState | None],
    site: str | None,
    dsn: str | None,
    as_json: bool,
) -> None:
    from wayfare_engine.cli.recovery_options import site_name
    from wayfare_engine.clock import new_id, now
    from wayfare_engine.tasks import storage

    name = site_name(site)
    found, _ = _with(
        dsn,
        lambda connection: storage.change(connection, task, to, site=name, ids=new_id, now=now()),
    )
    if as_json:
        _print_json([found])
    else:
        typer.echo(_line(found))


def _with(dsn: str | None, do: Callable[[AsyncConnection[Any]], Awaitable[_T]]) -> _T:
    from psycopg import AsyncConnection

    from wayfare_engine.settings import load_settings

    async def work() -> _T:
        address = dsn or load_settings().direct_dsn
        async with await AsyncConnection.connect(address, autocommit=True) as connection:
            return await do(connection)

    return asyncio.run(work())


def _json(note: str | None) -> str:
    import msgspec

    return msgspec.json.encode(note).decode()


def _print_json(found: list[Standing]) -> None:
    import msgspec

    from wayfare_engine.api.tasks import shown

    typer.echo(msgspec.json.encode([shown(task) for task in found]).decode())


def _line(task: Standing) -> str:
    due = f"{task.due:%Y-%m-%d %H:%M}" if task.due else "no due time"
    who = f", {task.holder} has it" if task.state == "Taken" else ""
    end = f": {task.outcome}" if task.outcome else ""
    return f"{due} {task.send_key} {task.assignee} {task.customer} {task.state}{who}{end}"
