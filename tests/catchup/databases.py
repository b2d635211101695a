"""Emptying and comparing databases, and rows that are written as a site writes them."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable, Sequence
from typing import Any

import psycopg

from tests.journal.making import PLAN, SITE, seal_all
from tests.projections.drawing import ORDINARY, draw
from tests.projections.tables import Tables, as_table, contents
from tests.servers.wait import until
from wayfare_engine.clock import new_id
from wayfare_engine.journal.segment import ROWS, encode
from wayfare_engine.journal.status import lag
from wayfare_engine.ledger import Kind, LedgerRow, append_rows
from wayfare_engine.ledger.fence import site_epoch
from wayfare_engine.objectstore import ObjectStore, paths
from wayfare_engine.projections import apply_rows

KINDS = (*ORDINARY, Kind.ERASURE, Kind.RETENTION)


def reset(dsn: str) -> str:
    """Empty every table, as migrations left them; returns the address."""
    with psycopg.connect(dsn) as connection:
        names = connection.execute(
            "SELECT string_agg(format('wayfare.%I', relname), ', ') FROM pg_class "
            "WHERE relnamespace = 'wayfare'::regnamespace AND relkind = 'r' "
            "AND NOT relispartition AND relname <> 'schema_revision'"
        ).fetchone()
        assert names is not None
        connection.execute(f"TRUNCATE {names[0]}".encode())
        # The ledger lets nobody empty it: its partitions go as a whole.
        filled = connection.execute(
            "SELECT DISTINCT tableoid::regclass::text FROM wayfare.ledger"
        ).fetchall()
        for (partition,) in filled:
            assert partition != "wayfare.ledger_elsewhere", "ids of the tests are of this week"
            connection.execute(f"DROP TABLE {partition}".encode())
        connection.execute(
            "SELECT wayfare.make_ledger_partitions((now() AT TIME ZONE 'UTC')::date - 1, 15)"
        )
        connection.execute("INSERT INTO wayfare.site_epoch VALUES (true, 1, 1)")
        connection.execute("INSERT INTO wayfare.customer_version VALUES (true, 0, 0)")
    return dsn


def tables(dsn: str) -> Tables:
    """All projections, row by row."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        return contents(connection)


def random_rows(
    count: int, seed: int, *, kinds: tuple[Kind, ...] = KINDS, epoch: int = 1
) -> list[LedgerRow]:
    """Rows of one site, of all kinds that need no blob, over few keys."""
    source = random.Random(seed)
    return [draw(source, kinds)._replace(id=new_id(), site=SITE, epoch=epoch) for _ in range(count)]


def write_live(dsn: str, rows: Sequence[LedgerRow], *, at_once: int = 17) -> None:
    """Append and apply, as the acting site does: in one transaction."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        for start in range(0, len(rows), at_once):
            some = rows[start : start + at_once]
            with connection.transaction():
                append_rows(connection, some)
                apply_rows(connection, some)


def write_and_seal(
    dsn: str, store: ObjectStore, rows: Sequence[LedgerRow], *, segments: int = 4
) -> None:
    """Write live in so many parts, each sealed. An ANALYZE of PostgreSQL's own holds the horizon
    back for a moment, so it is asked until nothing is left."""
    size = -(-len(rows) // segments)
    for start in range(0, len(rows), size):
        write_live(dsn, rows[start : start + size])

        def sealed() -> bool:
            seal_all(dsn, store)
            with psycopg.connect(dsn, autocommit=True) as connection:
                epoch = site_epoch(connection).epoch
                return lag(connection, SITE, epoch).rows == 0

        until(sealed, what="all rows are sealed")


def put_chain(
    store: ObjectStore, parts: Iterable[Sequence[LedgerRow]], *, site: str, epoch: int
) -> int:
    """A chain of these rows, a segment a part; its last position."""
    first, previous = 1, ""
    for rows in parts:
        table = as_table(rows)
        table = table.append_column("tx", [[700 + first] * len(rows)]).select(ROWS.names)
        data = encode(
            table.cast(ROWS),
            plan=PLAN,
            site=site,
            epoch=epoch,
            first=first,
            previous=previous,
            sealed_at="2026-11-23T08:00:00+00:00",
        )
        assert store.put_if_absent(paths.segment(site, epoch, first), data)
        first, previous = first + len(rows), hashlib.sha256(data).hexdigest()
    return first - 1


def scalar(dsn: str, query: str, *arguments: Any) -> Any:
    """One value."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        row = connection.execute(query.encode(), arguments).fetchone()
    return row[0] if row is not None else None
