"""`wayfare ledger diff A B`: where the projections of two sites differ, and how."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wayfare_engine.cli.progress import named_progress
from wayfare_engine.cli.recovery_options import AsJson, StoreUrl, open_named_store
from wayfare_engine.errors import FAILED

if TYPE_CHECKING:
    from psycopg import Connection

    from wayfare_engine.projections.digests import (
        Comparison,
        Difference,
        Digest,
        Document,
        TableComparison,
    )
    from wayfare_engine.projections.digests.rows import Found

#: How a digest in the store is told from a file.
IN_STORE = "digests/"


@dataclass(frozen=True)
class _Side:
    """A digest to compare, and where its rows can be read."""

    digest: Digest
    rows: Connection[Any] | None


def register(app: typer.Typer) -> None:
    """Add the command to `wayfare ledger`."""
    app.command("diff")(diff)


def diff(
    a: Annotated[str, typer.Argument(help="A database (postgresql://…), a file, digests/NAME.")],
    b: Annotated[str, typer.Argument(help="Another one.")],
    store: StoreUrl = None,
    rows_a: Annotated[
        str | None,
        typer.Option(help="A database to read rows of A in, when A is a kept digest."),
    ] = None,
    rows_b: Annotated[
        str | None,
        typer.Option(help="A database to read rows of B in, when B is a kept digest."),
    ] = None,
    limit: Annotated[
        int, typer.Option(min=1, max=100_000, help="Keys to show of each table.")
    ] = 20,
    as_json: AsJson = False,
) -> None:
    """Compare two sites' projections and show every key that differs, with both rows.

    A database is digested first, which reads each table once; what `wayfare ledger digest --out`
    kept is there at once. Then a few kilobytes of each are read. A kept digest has hashes only: a
    row of it is shown if a database has it still.

    Exit code 0 when they are equal, 1 when they differ, 3 when they cannot be compared.

    Example: wayfare ledger diff postgresql://wayfare@east/wayfare digests/west-monday
    """
    import psycopg

    from wayfare_engine.projections.digests import CannotCompare, compare

    names = (_label(a), _label(b))
    try:
        with ExitStack() as stack:
            ours = stack.enter_context(_opened(a, rows_a, store))
            theirs = stack.enter_context(_opened(b, rows_b, store))
            found = compare(ours.digest, theirs.digest, limit=limit)
            rows = {t.name: _rows(t, ours, theirs) for t in found.tables if not t.equal}
    except (psycopg.Error, OSError) as error:
        said = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise CannotCompare(*names, said) from None
    documents = (ours.digest.document, theirs.digest.document)
    if as_json:
        typer.echo(json.dumps(_facts(found, rows, names, documents)))
    else:
        _show(found, rows, names, documents)
    if not found.equal:
        raise typer.Exit(FAILED)


def point(document: Document) -> str:
    """What a digest is of, in words."""
    at = ", ".join(f"{chain} at {seq:,}" for chain, seq in document.watermark.items())
    text = at or "no chain"
    if document.unsealed:
        text += f", and {document.unsealed:,} rows that are in no segment"
    return f"{text}; taken {document.taken_at:%Y-%m-%d %H:%M:%S} UTC at site {document.site}"


def _is_database(given: str) -> bool:
    return given.startswith(("postgresql://", "postgres://")) or (
        "=" in given and not Path(given).exists()
    )


def _label(given: str) -> str:
    """A source without its password."""
    if not _is_database(given):
        return given
    import psycopg
    from psycopg.conninfo import conninfo_to_dict

    try:
        facts = conninfo_to_dict(given)
    except psycopg.Error:
        return "a database whose address is not understood"
    return f"{facts.get('host', 'localhost')}:{facts.get('port', 5432)}/{facts.get('dbname', '')}"


@contextmanager
def _opened(given: str, rows: str | None, store: str | None) -> Iterator[_Side]:
    from wayfare_engine.clock import now
    from wayfare_engine.journal import digesting

    with ExitStack() as stack:
        if _is_database(given):
            label = _label(given)
            with named_progress(f"hashing {label}") as told:
                digest, connection = stack.enter_context(
                    digesting.digested(given, label, site=label, clock=now, progress=told)
                )
            yield _Side(digest, connection)
            return
        read = stack.enter_context(digesting.one_snapshot(rows)) if rows else None
        if given.startswith(IN_STORE):
            yield _Side(digesting.opened_in_store(open_named_store(store), given), read)
        else:
            yield _Side(stack.enter_context(digesting.opened_file(Path(given))), read)


_Rows = tuple[dict[str, "Found"], dict[str, "Found"]]


def _rows(table: TableComparison, a: _Side, b: _Side) -> _Rows:
    """The differing rows that can be read, of A and of B, by their keys' hashes."""
    return (
        _read(a, table.name, [(d.key, d.a.ctid) for d in table.differences if d.a]),
        _read(b, table.name, [(d.key, d.b.ctid) for d in table.differences if d.b]),
    )


def _read(side: _Side, table: str, wanted: list[tuple[str, str | None]]) -> dict[str, Found]:
    from wayfare_engine.projections.digests import COVERED
    from wayfare_engine.projections.digests.rows import find

    if side.rows is None or not wanted:
        return {}
    return find(side.rows, COVERED[table], wanted)


def _facts(
    found: Comparison,
    rows: dict[str, _Rows],
    names: tuple[str, str],
    documents: tuple[Document, Document],
) -> dict[str, Any]:
    of = [
        {
            "source": name,
            "site": document.site,
            "takenAt": document.taken_at.isoformat(),
            "watermark": document.watermark,
            "unsealed": document.unsealed,
        }
        for name, document in zip(names, documents, strict=True)
    ]
    return {
        "equal": found.equal,
        "samePoint": found.same_point,
        "a": of[0],
        "b": of[1],
        "tables": {
            table.name: {
                "equal": table.equal,
                "rows": {"a": table.rows_a, "b": table.rows_b},
                "more": table.more,
                "differences": [
                    {"key": key, "in": _where(d), "a": one, "b": other}
                    for d in table.differences
                    for key, one, other in [_shown(table.name, d, rows[table.name])]
                ],
            }
            for table in found.tables
        },
        "exchanges": found.exchanges,
        "bytes": found.exchanged,
    }


def _where(d: Difference) -> str:
    return "both" if d.a and d.b else "a" if d.a else "b"


def _shown(table: str, d: Difference, rows: _Rows) -> tuple[dict[str, Any], Any, Any]:
    """The key (its hash where no row of it can be read) and the other columns of each side: None
    where there is no such row, and a word where there is one that cannot be read."""
    from wayfare_engine.projections.digests import COVERED

    names = COVERED[table].key
    one, other = (rows[0].get(d.key), rows[1].get(d.key))
    known = one or other
    key = {"hash": d.key} if known is None else {n: known.columns[n] for n in names}

    def side(entry: Any, row: Found | None) -> Any:
        if entry is None:
            return None
        if row is None:
            return "cannot be read"
        if row.digest != entry.digest:
            return "has changed since"
        return {n: v for n, v in row.columns.items() if n not in names}

    return key, side(d.a, one), side(d.b, other)


def _show(
    found: Comparison,
    rows: dict[str, _Rows],
    names: tuple[str, str],
    documents: tuple[Document, Document],
) -> None:
    for side, name, document in zip("AB", names, documents, strict=True):
        typer.echo(f"{side}  {name}: {point(document)}")
    if not found.same_point:
        typer.echo("A and B are not at the same point: what differs may be rows on their way")
    _show_tables(found)
    for table in found.tables:
        for d in table.differences:
            key, one, other = _shown(table.name, d, rows[table.name])
            typer.echo(f"{table.name} {_line(key)}")
            if isinstance(one, dict) and isinstance(other, dict):
                unequal = [n for n in one if one[n] != other[n]]
                one, other = ({n: row[n] for n in unequal} for row in (one, other))
            for side, row in (("A", one), ("B", other)):
                typer.echo(f"  {side}  {_line(row)}")
        if table.more:
            typer.echo(f"{table.name}: more keys differ; see them with a higher --limit")
    typer.echo(
        ("equal" if found.equal else "different")
        + f"; {found.exchanges} exchanges, {found.exchanged:,} bytes"
    )


def _show_tables(found: Comparison) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("table", "rows in A", "rows in B", "keys that differ")
    for one in found.tables:
        count = f"{len(one.differences):,}" + (" and more" if one.more else "")
        table.add_row(one.name, f"{one.rows_a:,}", f"{one.rows_b:,}", "" if one.equal else count)
    Console().print(table)


def _line(row: Any) -> str:
    if row is None:
        return "no such row"
    if isinstance(row, str):
        return f"the row {row}"
    return " ".join(f"{name}={json.dumps(value)}" for name, value in row.items()) or "the row"
