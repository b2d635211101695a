"""Reading what is to be sealed: rows of one site and epoch in the order of (tx, id).

Only rows below the horizon are final: every transaction with a lower id has ended, so no row can
come before one that was read.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pcsv
from psycopg import Connection, sql

from wayfare_engine.journal.segment import ROWS

#: Bytes of text in one batch, about; a transaction is never cut, however large.
MAX_BYTES = 64 << 20
_PARSED_AT_ONCE = 16 << 20
_COLUMNS = sql.SQL("uuid_send(l.id), l.tx, l.kind, l.key, l.version, l.customer_id, l.at, l.body")
#: The highest transaction id that can be, as a bound that bounds nothing.
NO_BOUND = 2**63 - 1


@dataclass(frozen=True)
class Batch:
    """Rows to seal next. `seen`: everything of the chain up to this transaction is either in the
    batch or sealed."""

    rows: pa.Table
    seen: int
    more: bool


@contextmanager
def one_snapshot(connection: Connection[Any]) -> Iterator[int]:
    """A read-only transaction on one snapshot; gives its horizon: rows with a lower transaction id
    are final."""
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        row = connection.execute("SELECT pg_snapshot_xmin(pg_current_snapshot())::text").fetchone()
        assert row is not None, "a function returns one row"
        yield int(row[0])


def next_batch(
    connection: Connection[Any],
    site: str,
    epoch: int,
    *,
    after: int,
    final: bool = False,
    max_rows: int,
    max_bytes: int = MAX_BYTES,
    settled: bool = False,
) -> Batch:
    """The rows after transaction `after`, whole transactions, about `max_rows` of them at most, and
    none behind the next cut (`wayfare.seal_cuts`).

    `final`: the epoch is over and nobody writes under it, so there is no horizon to wait for.
    `settled`: rows of `wayfare.settled_rows` are left out. Memory: the batch. Raises
    psycopg.Error.
    """
    with one_snapshot(connection) as horizon:
        below = NO_BOUND if final else horizon
        ends_at = _next_cut(connection, site, epoch, after)
        if ends_at is not None and ends_at < below:
            below = ends_at
        rows, cut = _read(
            connection, site, epoch, after + 1, below, settled, max_rows=max_rows, most=max_bytes
        )
        if not cut and below == ends_at:
            return Batch(rows, seen=ends_at - 1, more=True)
        if not cut:
            return Batch(rows, seen=max(after, horizon - 1), more=False)
        # The last transaction may go on in what was not read.
        last = rows["tx"][-1].as_py()
        if rows["tx"][0].as_py() == last:
            rows, _ = _read(connection, site, epoch, last, last + 1, settled)
        else:
            rows = rows.filter(pc.less(rows["tx"], pa.scalar(last, pa.uint64())))
        return Batch(rows, seen=rows["tx"][-1].as_py(), more=True)


def _next_cut(connection: Connection[Any], site: str, epoch: int, after: int) -> int | None:
    row = connection.execute(
        "SELECT min(below)::text FROM wayfare.seal_cuts "
        "WHERE site = %s AND epoch = %s AND below > %s::text::xid8",
        (site, epoch, str(after + 1)),
    ).fetchone()
    return None if row is None or row[0] is None else int(row[0])


def window(
    connection: Connection[Any],
    site: str,
    epoch: int,
    *,
    from_tx: int,
    to_tx: int,
    settled: bool = False,
) -> pa.Table:
    """The rows of the transactions `from_tx` to `to_tx`, in order: those of an intent again."""
    return _read(connection, site, epoch, from_tx, to_tx + 1, settled)[0]


def rows_by_id(connection: Connection[Any], table: str, *, limit: int, offset: int) -> pa.Table:
    """Rows whose ids stand in a temporary table `(place, id)`, those at places above `offset`."""
    query = sql.SQL(
        "SELECT {} FROM wayfare.ledger l JOIN {} t USING (id) "
        "WHERE t.place > {} AND t.place <= {} ORDER BY t.place"
    ).format(_COLUMNS, sql.Identifier(table), sql.Literal(offset), sql.Literal(offset + limit))
    return _copied(connection, query, most=None)[0]


def spooled_rows(
    connection: Connection[Any], site: str, epoch: int, *, limit: int, offset: int
) -> pa.Table:
    """Rows that were answered for under an epoch that was over, in the order of their ids; they
    have no transaction, which is 0 here."""
    query = sql.SQL(
        "SELECT uuid_send(l.id), 0 AS tx, l.kind, l.key, l.version, l.customer_id, l.at, l.body "
        "FROM wayfare.spooled_rows l WHERE l.site = {} AND l.epoch = {} ORDER BY l.id "
        "LIMIT {} OFFSET {}"
    ).format(*(sql.Literal(value) for value in (site, epoch, limit, offset)))
    return _copied(connection, query, most=None)[0]


def _read(
    connection: Connection[Any],
    site: str,
    epoch: int,
    from_tx: int,
    below: int,
    settled: bool,
    *,
    max_rows: int | None = None,
    most: int | None = None,
) -> tuple[pa.Table, bool]:
    query = sql.SQL(
        "SELECT {} FROM wayfare.ledger l WHERE l.tx >= {}::xid8 AND l.tx < {}::xid8 "
        "AND l.site = {} AND l.epoch = {} {} ORDER BY l.tx, l.id {}"
    ).format(
        _COLUMNS,
        sql.Literal(str(from_tx)),
        sql.Literal(str(below)),
        sql.Literal(site),
        sql.Literal(epoch),
        sql.SQL(
            "AND NOT EXISTS (SELECT FROM wayfare.settled_rows s WHERE s.id = l.id)"
            if settled
            else ""
        ),
        sql.SQL("") if max_rows is None else sql.SQL("LIMIT {}").format(max_rows + 1),
    )
    table, cut = _copied(connection, query, most=most)
    return table, cut or (max_rows is not None and table.num_rows > max_rows)


def _copied(
    connection: Connection[Any], query: sql.Composable, *, most: int | None
) -> tuple[pa.Table, bool]:
    """The query's rows, and whether reading ended at `most` bytes before all were read."""
    statement = sql.SQL("COPY ({}) TO STDOUT (FORMAT csv)").format(query)
    tables: list[pa.Table] = []
    lines: list[bytes] = []
    size = total = 0
    cut = False
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for line in copy:
            if cut:
                continue  # passing over what is left costs less than cancelling the query
            # One message is one row, also when a value has line ends in it.
            lines.append(bytes(line))
            size += len(line)
            if size >= _PARSED_AT_ONCE:
                tables.append(_parse(lines))
                total += size
                lines, size = [], 0
                cut = most is not None and total >= most
    if lines or not tables:
        tables.append(_parse(lines))
    return pa.concat_tables(tables), cut


def _parse(lines: list[bytes]) -> pa.Table:
    if not lines:
        return ROWS.empty_table()
    text = b"".join(lines)
    table = pcsv.read_csv(
        pa.BufferReader(text),
        read_options=pcsv.ReadOptions(
            column_names=ROWS.names, use_threads=False, block_size=len(text) + 1
        ),
        parse_options=pcsv.ParseOptions(newlines_in_values=True),
        convert_options=pcsv.ConvertOptions(
            column_types={f.name: pa.string() if f.name == "id" else f.type for f in ROWS},
            # COPY writes null as nothing and an empty text as two quotes.
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            check_utf8=False,
        ),
    )
    columns = {name: table[name] for name in ROWS.names}
    columns["id"] = _ids(table["id"].combine_chunks())
    return pa.table(list(columns.values()), schema=ROWS)


def _ids(texts: pa.Array) -> pa.Array:
    """`\\x` and 32 hexadecimal digits each."""
    text = np.frombuffer(texts.cast(pa.binary(34)).buffers()[1], np.uint8)[: len(texts) * 34]
    digits = text.reshape(-1, 34)[:, 2:].tobytes().decode("ascii")
    return pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(16), len(texts), [None, pa.py_buffer(bytes.fromhex(digits))]
    )
