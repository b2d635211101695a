"""Filling tables, and taking and comparing digests of two databases."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import psycopg

from wayfare_engine.clock import now
from wayfare_engine.journal import digesting
from wayfare_engine.projections.digests import Comparison, Document, compare


def sql(dsn: str, statement: str, *given: Any) -> None:
    """Run a statement."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(statement.encode(), given or None)


def taken(dsn: str, path: Path) -> Document:
    """A digest into a file."""
    with digesting.one_snapshot(dsn) as connection, path.open("wb") as file:
        return digesting.take(connection, file, site=path.stem, clock=now)


def compared(a: str, b: str, folder: Path, *, limit: int = 100) -> Comparison:
    """Two databases, by digests in files."""
    taken(a, folder / "a.digest")
    taken(b, folder / "b.digest")
    with (
        digesting.opened_file(folder / "a.digest") as one,
        digesting.opened_file(folder / "b.digest") as other,
    ):
        return compare(one, other, limit=limit)


def counters(dsn: str, count: int, *, backwards: bool = False) -> None:
    """So many counters, written in this or the other order."""
    sql(
        dsn,
        "INSERT INTO wayfare.counters SELECT 'C' || i, 'journey', '2026-11-23', i "
        f"FROM generate_series(1, {count}) i ORDER BY i {'DESC' if backwards else ''}",
    )


def digests(dsn: str) -> Document:
    """Only the document: what the tables' digests are."""
    with digesting.one_snapshot(dsn) as connection:
        return digesting.take(connection, io.BytesIO(), site="test", clock=now)
