"""`wayfare ledger digest | diff | rebuild | checkpoint | verify`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import typer

from wayfare_engine.cli import ledger_checkpoint, ledger_diff, ledger_rebuild
from wayfare_engine.cli.progress import named_progress
from wayfare_engine.cli.recovery_options import (
    AsJson,
    Dsn,
    StoreUrl,
    ThisSite,
    direct_address,
    open_named_store,
    site_name,
)

if TYPE_CHECKING:
    from wayfare_engine.projections.digests import Document

app = typer.Typer(
    help="The ledger's projections: digests, differences, rebuilding, checkpoints.",
    no_args_is_help=True,
)


@app.callback()
def _group() -> None:
    pass


ledger_diff.register(app)
ledger_rebuild.register(app)
ledger_checkpoint.register(app)


@app.command()
def digest(
    dsn: Dsn = None,
    out: Annotated[
        str | None,
        typer.Option(
            help="Keep it for `wayfare ledger diff`: a file, or digests/NAME in the store.",
            show_default=False,
        ),
    ] = None,
    store: StoreUrl = None,
    site: ThisSite = None,
    as_json: AsJson = False,
) -> None:
    """Show the digest of each table that follows from the chains: equal tables have equal digests.

    Reads every such table once, in one snapshot. What is kept with --out has no keys and no values
    in it, only hashes, some 40 bytes a row.

    Example: wayfare ledger digest --out digests/east-monday --store s3://recovery/retail
    """
    import tempfile

    from wayfare_engine.clock import now
    from wayfare_engine.journal import digesting

    in_store = out is not None and out.startswith(ledger_diff.IN_STORE)
    opened = open_named_store(store) if in_store else None
    with ExitStack() as stack:
        if out is None or opened is not None:
            file = stack.enter_context(tempfile.NamedTemporaryFile(prefix="wayfare-digest-")).file
        else:
            file = stack.enter_context(_new_file(Path(out)))
        told = stack.enter_context(named_progress("hashing"))
        with digesting.one_snapshot(direct_address(dsn)) as connection:
            taken = digesting.take(connection, file, site=site_name(site), clock=now, progress=told)
        file.flush()
        if opened is not None and out is not None:
            digesting.put(opened, out, Path(file.name))
    if as_json:
        typer.echo(json.dumps(taken.facts() | {"out": out}))
        return
    _show(taken)
    if out is not None:
        typer.echo(f"kept as {out}")


@contextmanager
def _new_file(path: Path) -> Iterator[IO[bytes]]:
    """A file that was not there before, and is not afterwards unless all went well."""
    with path.open("xb") as file:
        try:
            yield file
        except BaseException:
            path.unlink(missing_ok=True)
            raise


def _show(taken: Document) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("table", "rows", "digest")
    for one in taken.tables:
        table.add_row(one.name, f"{one.rows:,}", one.digest)
    Console().print(table)
    typer.echo(ledger_diff.point(taken))
