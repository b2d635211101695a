"""Putting the command line together, and turning errors into sentences and exit codes.

Each command imports what it needs when it runs, and a package's group is loaded when it is asked
for: a key or a help text should not wait for numpy and a Kubernetes client.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib.metadata import entry_points, version
from typing import Annotated

import typer

from wayfare_engine.cli import (
    channel,
    customers,
    dev,
    importing,
    journal,
    keys,
    lease,
    ledger,
    processes,
    reconcile,
    recovery,
    sends,
    stores,
    tasks,
)
from wayfare_engine.errors import FAILED, MISSING, SaidToPeople

GROUP = "wayfare.commands"


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"wayfare {version('wayfare')}")
        raise typer.Exit


def _root(
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    pass


def make_app(arguments: Sequence[str]) -> typer.Typer:
    """The application, with the groups of other packages that `arguments` may be about."""
    app = typer.Typer(
        name="wayfare",
        help="Customer journeys on Kubernetes that keep running, correctly, when a site is lost.",
        epilog="Start here: wayfare dev -f examples/bank, or wayfare lab up",
        no_args_is_help=True,
        rich_markup_mode="markdown",
        pretty_exceptions_enable=False,
    )
    app.callback()(_root)
    processes.register(app)
    dev.register(app)
    app.add_typer(stores.app, name="store")
    app.add_typer(keys.app, name="keys")
    app.add_typer(importing.app, name="import")
    app.add_typer(customers.app, name="customers")
    app.add_typer(ledger.app, name="ledger")
    app.add_typer(journal.app, name="journal")
    app.add_typer(lease.app, name="lease")
    app.add_typer(reconcile.app, name="reconcile")
    app.add_typer(recovery.app, name="recovery")
    app.add_typer(sends.app, name="sends")
    app.add_typer(tasks.app, name="tasks")
    app.add_typer(channel.app, name="channel")
    own = {*(c.name for c in app.registered_commands), *(g.name for g in app.registered_groups)}
    own |= {c.callback.__name__ for c in app.registered_commands if c.callback is not None}
    asked = next((a for a in arguments if not a.startswith("-")), None)
    if asked not in own:
        add_groups(app, asked)
    return app


def add_groups(app: typer.Typer, asked: str | None) -> None:
    """Add the group `asked` of another package, or all of them when there is no such group.

    A package that cannot be loaded takes only its own commands away.
    """
    found = sorted(entry_points(group=GROUP), key=lambda entry: entry.name)
    for entry in [e for e in found if e.name == asked] or found:
        try:
            app.add_typer(entry.load(), name=entry.name)
        except Exception as error:
            app.command(
                entry.name,
                help=f"Not available here: {error}",
                context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
            )(_unavailable(entry.name, error))


def _unavailable(name: str, error: Exception) -> Callable[[], None]:
    def command() -> None:
        typer.echo(f"wayfare {name} is not available here: {error}", err=True)
        raise typer.Exit(MISSING)

    return command


def main() -> None:
    """Entry point of the console script."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str], *, name: str | None = None) -> int:
    """Run one command line; returns its exit code. Errors are sentences on standard error. `name`
    is what the program calls itself in its help; what it was started as when not given."""
    try:
        make_app(arguments)(list(arguments), prog_name=name)
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except KeyboardInterrupt:
        return 130
    except SaidToPeople as error:
        _say(str(error))
        return error.exit_code
    except OSError as error:
        _say(str(error))
        return FAILED
    except Exception as error:
        psycopg = sys.modules.get("psycopg")
        if psycopg is None or not isinstance(error, psycopg.Error):
            raise
        _say(f"PostgreSQL: {(str(error).strip() or type(error).__name__).splitlines()[0]}")
        return MISSING if isinstance(error, psycopg.OperationalError) else FAILED
    return 0


def _say(text: str) -> None:
    typer.echo(f"wayfare: {text}", err=True)
