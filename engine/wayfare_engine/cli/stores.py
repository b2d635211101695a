"""`wayfare store postgresql` and `wayfare store valkey`: evaluation-grade stores."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Protocol

import typer

if TYPE_CHECKING:
    from wayfare_engine.store.embedded import StoreProcess

app = typer.Typer(
    help="Evaluation-grade stores: one instance, no replication, no TLS.", no_args_is_help=True
)

Data = Annotated[Path, typer.Option(help="Folder for the data; what is in it is kept.")]


class _Store(Protocol):
    process: StoreProcess | None

    def start(self, *, log: Path | None = None) -> None: ...

    def stop(self) -> int: ...


@app.command()
def postgresql(
    data: Data,
    port: Annotated[int, typer.Option(min=1, max=65535)] = 5432,
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "0.0.0.0",  # noqa: S104
) -> None:
    """Run PostgreSQL, with role and database `wayfare`.

    The password comes from WAYFARE_POSTGRESQL_PASSWORD and is set at each start.
    """
    from wayfare_engine.store.embedded import EmbeddedPostgresql

    password = _secret("WAYFARE_POSTGRESQL_PASSWORD")
    _supervise("postgresql", EmbeddedPostgresql(data, port=port, password=password, host=host))


@app.command()
def valkey(
    data: Data,
    port: Annotated[int, typer.Option(min=1, max=65535)] = 6379,
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "0.0.0.0",  # noqa: S104
) -> None:
    """Run Valkey. The password comes from WAYFARE_VALKEY_PASSWORD."""
    from wayfare_engine.store.embedded import EmbeddedValkey

    password = _secret("WAYFARE_VALKEY_PASSWORD")
    _supervise("valkey", EmbeddedValkey(data, port=port, password=password, host=host))


def _secret(name: str) -> str:
    from wayfare_engine.settings import MissingSetting

    value = os.environ.get(name)
    if not value:
        raise MissingSetting(name, "is not set")
    return value


class _Asked(BaseException):
    """SIGTERM or SIGINT came."""


def _supervise(name: str, store: _Store) -> None:
    """Run until a signal; PostgreSQL would take a pod's SIGTERM as "wait for all clients"."""

    from wayfare_engine import logs
    from wayfare_engine.store.embedded import StoreError

    logs.configure()

    def ask(*_: object) -> None:
        raise _Asked

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, ask)
    code = 0
    try:
        store.start()
        assert store.process is not None
        typer.echo(f"{name} is ready", err=True)
        code = store.process.process.wait()
        raise StoreError(name, f"ended by itself with code {code}")
    except _Asked:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        code = store.stop()
    raise typer.Exit(1 if code else 0)
