"""`wayfare dev`."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def dev(
        folder: Annotated[
            Path,
            typer.Option(
                "--file", "-f", exists=True, file_okay=False, help="Folder with manifests."
            ),
        ],
        customers: Annotated[
            Path | None,
            typer.Option(exists=True, dir_okay=False, help="CSV or Parquet to load first."),
        ] = None,
        id_column: Annotated[
            str | None, typer.Option("--id", help="Column with the customers' ids.")
        ] = None,
        port: Annotated[int, typer.Option(min=1, max=65535)] = 8080,
        host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
        engine: Annotated[
            str | None, typer.Option(help="NAMESPACE/NAME, when the folder has several.")
        ] = None,
        data: Annotated[
            Path, typer.Option(help="Folder for the stores; may be removed at any time.")
        ] = Path(".wayfare-dev"),
        fresh: Annotated[bool, typer.Option("--fresh", help="Begin with empty stores.")] = False,
        store: Annotated[
            str | None,
            typer.Option(help="URL of an object store to journal to; else nothing is journaled."),
        ] = None,
    ) -> None:
        """Try journeys on this machine: the compiler and the engine as one process.

        Example: wayfare dev -f examples/bank --customers bank-full.csv
        """
        from rich.console import Console

        from wayfare_engine import logs
        from wayfare_engine.cli.importing import load_with_progress
        from wayfare_engine.cli.processes import run
        from wayfare_engine.customers import LoadOptions
        from wayfare_engine.dev.compile import declared_types
        from wayfare_engine.dev.manifests import read_folder
        from wayfare_engine.dev.run import DevOptions, check_port, run_dev
        from wayfare_engine.dev.sealing import sealing
        from wayfare_engine.dev.stores import data_folder, running_stores
        from wayfare_engine.settings import load_settings
        from wayfare_engine.store.migrate import migrate

        console = Console(stderr=True)
        logs.configure("error", readable=True)
        check_port(host, port)
        place = data_folder(data)
        if fresh:
            shutil.rmtree(place)
            place = data_folder(data)
        console.print(f"starting PostgreSQL and Valkey, data in {place}")
        with running_stores(place) as (postgresql, valkey):
            migrate(postgresql.dsn)
            settings = load_settings(
                engine=engine or "default/dev",
                postgresql_dsn=postgresql.dsn,
                postgresql_direct_dsn=None,
                postgresql_password=None,
                object_store_url=store,
                lease_take_first=True,
                valkey_url=valkey.url,
                valkey_password=(place / "valkey-password").read_text().strip(),
                listen_host=host,
                authentication="APIKey",
                poll_seconds=0.5,
                drain_seconds=0,
            )
            if customers is not None:
                options = LoadOptions(
                    name=customers.name,
                    id_column=id_column,
                    declared=declared_types(read_folder(folder), engine),
                    site=settings.site,
                )
                with sealing(settings):
                    result = load_with_progress(settings, customers, options)
                console.print(f"{result.customers} customers ({result.added} new)")
            code = run(run_dev(DevOptions(folder, place, host, port, engine), settings, console))
            console.print("ending")
        raise typer.Exit(code)
