"""`wayfare import customers`."""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wayfare_engine.cli.cluster import run_in_worker
from wayfare_engine.cli.processes import run
from wayfare_engine.clock import new_id, now

if TYPE_CHECKING:
    from rich.console import Console

    from wayfare_engine.customers import LoadOptions, LoadResult
    from wayfare_engine.customers.load import Column
    from wayfare_engine.customers.source import Progress as Told

app = typer.Typer(help="Bring data in.", no_args_is_help=True)


_TYPES = ("string", "int", "double", "bool", "timestamp")


class OnError(StrEnum):
    """What to do with rows that cannot be loaded."""

    STOP = "stop"
    SKIP = "skip"


@app.callback()
def _group() -> None:
    pass


@app.command()
def customers(
    file: Annotated[str, typer.Argument(help="CSV or Parquet; - reads standard input.")],
    engine: Annotated[
        str | None,
        typer.Option(help="Load into this engine, through its worker pod (NAME or NS/NAME)."),
    ] = None,
    namespace: Annotated[str | None, typer.Option("--namespace", "-n")] = None,
    id_column: Annotated[
        str | None,
        typer.Option("--id", help="Column with the customers' ids; the row number when not given."),
    ] = None,
    types: Annotated[
        list[str] | None,
        typer.Option("--type", help="COLUMN=string|int|double|bool|timestamp; repeat for several."),
    ] = None,
    on_error: Annotated[
        OnError, typer.Option(help="stop: load nothing when a row is bad. skip: load the others.")
    ] = OnError.STOP,
    delimiter: Annotated[str | None, typer.Option(help="Of a CSV; found out by default.")] = None,
    dsn: Annotated[str | None, typer.Option(help="PostgreSQL, when there is no engine.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
    name: Annotated[str | None, typer.Option(hidden=True)] = None,
) -> None:
    """Load customers from a file. Running it again with the same file changes nothing.

    Example: wayfare import customers bank-full.csv --engine retail --type balance=double
    """
    chosen = _types(types or [])
    if delimiter is not None:
        delimiter = {"tab": "\t", "\\t": "\t"}.get(delimiter, delimiter)
        if len(delimiter) != 1:
            raise typer.BadParameter("one character, or tab", param_hint="--delimiter")
    if file != "-" and not Path(file).is_file():
        raise typer.BadParameter(f"there is no file {file}", param_hint="FILE")
    shown = name or ("standard input" if file == "-" else Path(file).name)
    if engine:
        arguments = ["import", "customers", "-", "--name", shown, "--on-error", on_error.value]
        arguments += ["--id", id_column] if id_column else []
        arguments += [w for c, t in chosen.items() for w in ("--type", f"{c}={t}")]
        arguments += ["--delimiter", delimiter] if delimiter else []
        arguments += ["--json"] if as_json else []
        with ExitStack() as stack:
            source = sys.stdin.buffer if file == "-" else stack.enter_context(open(file, "rb"))
            code = run_in_worker(engine, arguments, namespace=namespace, stdin=source)
        raise typer.Exit(code)

    from wayfare_engine.customers import LoadOptions
    from wayfare_engine.plan import AttributeType
    from wayfare_engine.settings import load_settings

    settings = None if dsn else load_settings()
    address = dsn or (settings.direct_dsn if settings else "")
    options = LoadOptions(
        name=shown,
        id_column=id_column,
        types={column: AttributeType(kind) for column, kind in chosen.items()},
        delimiter=delimiter,
        on_error="stop" if on_error is OnError.STOP else "skip",
        site=settings.site if settings else "local",
        epoch=settings.epoch if settings else 1,
    )
    began = time.monotonic()
    with ExitStack() as stack:
        path = _on_disk(file, stack)
        result = load_with_progress(address, path, options)
    _report(result, time.monotonic() - began, as_json=as_json)


def load_with_progress(dsn: str, path: Path, options: LoadOptions) -> LoadResult:
    """Load a file, showing its columns and a progress bar on standard error."""
    from psycopg import AsyncConnection
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn

    from wayfare_engine.customers import load

    console = Console(stderr=True)
    size = max(path.stat().st_size, 1)
    results: list[LoadResult] = []
    with Progress(
        TextColumn("{task.description:14}"),
        BarColumn(),
        DownloadColumn(),
        TimeElapsedColumn(),
        console=console,
        disable=not console.is_terminal,
    ) as bars:

        def progress(step: str) -> Told:
            task = bars.add_task(step, total=size)
            return lambda done: bars.update(task, completed=min(done, size))

        async def work() -> int:
            async with await AsyncConnection.connect(dsn, autocommit=True) as connection:
                results.append(
                    await load(
                        connection,
                        path,
                        options,
                        now=now(),
                        row_id=new_id(),
                        show=lambda columns: show_columns(console, columns),
                        progress=progress,
                    )
                )
            return 0

        run(work())
    return results[0]


def show_columns(console: Console, columns: Sequence[Column]) -> None:
    """A table of what each column will be, and why."""
    from rich.markup import escape
    from rich.table import Table

    meaning = {
        "given": "as given by --type",
        "declared": "as the engine declares it",
        "stored": "as loaded before",
        "inferred": "from the file's values",
        "id": "the customer's id",
    }
    table = Table("column", "type", "because", title="Columns", title_justify="left")
    for column in columns:
        note = meaning[column.source]
        if not column.addressable and column.source != "id":
            note += "; no rule can name it (letters, digits and _ only)"
        table.add_row(escape(column.name), column.type.value, note)
    console.print(table)


def _types(given: list[str]) -> dict[str, str]:
    chosen = {}
    for text in given:
        column, equals, kind = text.rpartition("=")
        if not equals or kind not in _TYPES:
            raise typer.BadParameter(
                f"{text!r}: write COLUMN=TYPE, with one of {', '.join(_TYPES)}",
                param_hint="--type",
            )
        chosen[column] = kind
    return chosen


def _on_disk(file: str, stack: ExitStack) -> Path:
    """The file as a path; standard input is spooled, because types need a look at all of it."""
    if file != "-":
        return Path(file)
    spool = stack.enter_context(
        tempfile.NamedTemporaryFile(prefix="wayfare-import-")  # noqa: SIM115
    )
    shutil.copyfileobj(sys.stdin.buffer, spool, 1 << 20)
    spool.flush()
    return Path(spool.name)


def _report(result: LoadResult, seconds: float, *, as_json: bool) -> None:
    for row in result.bad[:20]:
        typer.echo(f"line {row.line}: {row.message}", err=True)
    if result.bad_rows > 20:
        typer.echo(f"… and {result.bad_rows - 20} more bad rows", err=True)
    if as_json:
        import msgspec

        facts = msgspec.to_builtins(result)
        typer.echo(msgspec.json.encode({**facts, "seconds": round(seconds, 3)}).decode())
        return
    typer.echo(
        f"{result.rows} customers loaded in {seconds:.1f} s: {result.added} new, "
        f"{result.changed} changed, {result.unchanged} as before, {result.bad_rows} bad rows. "
        f"The engine has {result.customers} customers."
    )
