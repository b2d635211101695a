"""`wayfare import customers`."""

from __future__ import annotations

import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wayfare_engine.cli.cluster import run_in_worker
from wayfare_engine.clock import new_id, now

if TYPE_CHECKING:
    from rich.console import Console

    from wayfare_engine.customers import LoadOptions, LoadResult, Place
    from wayfare_engine.customers.load import Column
    from wayfare_engine.customers.source import Progress as Told
    from wayfare_engine.settings import Settings

app = typer.Typer(help="Bring data in.", no_args_is_help=True)


#: How long a block of ids may take into the store: the worker seals several times a second.
_SEALED_SECONDS = 60.0
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
    sensitive: Annotated[
        list[str] | None,
        typer.Option(
            help="Column to seal, now and in later loads; needs WAYFARE_MASTER_KEY_FILE. Repeat "
            "for several."
        ),
    ] = None,
    delimiter: Annotated[str | None, typer.Option(help="Of a CSV; found out by default.")] = None,
    dsn: Annotated[str | None, typer.Option(help="PostgreSQL, when there is no engine.")] = None,
    store: Annotated[
        str | None, typer.Option(help="Object store; WAYFARE_OBJECT_STORE_URL when not given.")
    ] = None,
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
        arguments += [w for c in sensitive or [] for w in ("--sensitive", c)]
        arguments += ["--delimiter", delimiter] if delimiter else []
        arguments += ["--json"] if as_json else []
        with ExitStack() as stack:
            source = sys.stdin.buffer if file == "-" else stack.enter_context(open(file, "rb"))
            code = run_in_worker(engine, arguments, namespace=namespace, stdin=source)
        raise typer.Exit(code)

    from wayfare_engine.customers import LoadOptions
    from wayfare_engine.plan import AttributeType
    from wayfare_engine.settings import load_settings

    overrides = {"postgresql_dsn": dsn, "postgresql_direct_dsn": None} if dsn else {}
    overrides |= {"object_store_url": store} if store else {}
    settings = load_settings(**overrides)
    options = LoadOptions(
        name=shown,
        id_column=id_column,
        types={column: AttributeType(kind) for column, kind in chosen.items()},
        delimiter=delimiter,
        on_error="stop" if on_error is OnError.STOP else "skip",
        site=settings.site,
        sensitive=frozenset(sensitive or []),
    )
    began = time.monotonic()
    with ExitStack() as stack:
        path = _on_disk(file, stack)
        result = load_with_progress(settings, path, options)
    _report(result, time.monotonic() - began, as_json=as_json)


def load_with_progress(settings: Settings, path: Path, options: LoadOptions) -> LoadResult:
    """Load a file, showing its columns and a progress bar on standard error."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn

    from wayfare_engine.customers import load

    console = Console(stderr=True)
    size = max(path.stat().st_size, 1)
    with (
        Progress(
            TextColumn("{task.description:14}"),
            BarColumn(),
            DownloadColumn(),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
        ) as bars,
        _place(settings) as place,
    ):

        def progress(step: str) -> Told:
            task = bars.add_task(step, total=size)
            return lambda done: bars.update(task, completed=min(done, size))

        return load(
            place,
            path,
            options,
            now=now(),
            ids=new_id,
            show=lambda columns: show_columns(console, columns),
            progress=progress,
        )


@contextmanager
def _place(settings: Settings) -> Iterator[Place]:
    """PostgreSQL, the object store and the keys that the settings name."""
    import psycopg

    from wayfare_engine.customers import Place
    from wayfare_engine.journal.waiting import wait_journaled
    from wayfare_engine.objectstore import open_store
    from wayfare_engine.privacy import CustomerKeys, MasterKeys

    url, file = settings.object_store_url, settings.master_key_file
    store = open_store(url) if url is not None else None
    masters = MasterKeys.read(file, random=secrets.token_bytes) if file is not None else None
    with (
        psycopg.connect(settings.direct_dsn, autocommit=True) as connection,
        psycopg.connect(settings.direct_dsn, autocommit=True) as waiting,
    ):
        keys = CustomerKeys(connection, store, masters, ids=new_id) if masters else None
        sealed = None
        if store is not None:
            sealed = lambda tx: wait_journaled(waiting, tx, _SEALED_SECONDS)  # noqa: E731
        yield Place(connection, store, keys, sealed)


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
        if column.sensitive:
            note += "; sealed"
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
