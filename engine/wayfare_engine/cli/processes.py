"""`wayfare serve`, `wayfare worker`, `wayfare migrate`."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Coroutine
from typing import Annotated, Any

import typer

Port = Annotated[int, typer.Option(min=1, max=65535, help="Port to listen at.")]


def run(work: Coroutine[Any, Any, int]) -> int:
    """Run `work` on the quickest event loop that this platform has."""
    if sys.platform == "win32":
        return asyncio.run(work)
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


def register(app: typer.Typer) -> None:
    """Add the commands."""

    @app.command()
    def serve(port: Port = 8080) -> None:
        """Answer decisions over HTTP (what a serving pod runs).

        Configured by the environment: WAYFARE_POSTGRESQL_DSN, WAYFARE_VALKEY_URL, and others in
        docs/engine-api.md.
        """
        from wayfare_engine import logs
        from wayfare_engine.api.serve import serve as run_serve
        from wayfare_engine.settings import load_settings

        settings = load_settings()
        logs.configure(settings.log_level)
        raise typer.Exit(run(run_serve(settings, port=port)))

    @app.command()
    def worker(port: Port = 8081) -> None:
        """Compute segments and take plans from the operator (what a worker pod runs)."""
        from wayfare_engine import logs
        from wayfare_engine.settings import load_settings
        from wayfare_engine.worker.run import work

        settings = load_settings()
        logs.configure(settings.log_level)
        raise typer.Exit(run(work(settings, port=port)))

    @app.command()
    def migrate(
        dsn: Annotated[
            str | None, typer.Option(help="PostgreSQL; WAYFARE_POSTGRESQL_DSN when not given.")
        ] = None,
        wait: Annotated[
            float, typer.Option(help="Seconds to wait for PostgreSQL to answer.")
        ] = 60.0,
    ) -> None:
        """Bring the database's schema to this version. Safe to run again."""
        import psycopg

        from wayfare_engine.settings import load_settings
        from wayfare_engine.store.migrate import migrate as apply

        address = dsn or load_settings().direct_dsn
        deadline = time.monotonic() + wait
        while True:
            try:
                typer.echo(f"schema revision {apply(address)}")
                return
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.5)
