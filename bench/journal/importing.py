"""Ten million customers from a file, and the same at the second site from the store.

import_rows_s              customers/s of `customers.load` of a CSV like the bank's: reading,
                           typing, ids, the blob in the store and in PostgreSQL, the row
import_second_site_rows_s  customers/s at an empty second site: the row applied by reference,
                           the blob from the store, the columns read and ready for rules
import_again_rows_s        the same file again at the first site (nothing changes)
import_vs_rows             the slower of the first two ÷ customers/s of rows: the same file's
                           first customers read row by row, staged by binary COPY, indexed, and
                           merged into a table with jsonb attributes and its two indexes, as
                           imports worked before there were blobs; same servers, same run
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from tests.servers.objects import running_objects
from tests.servers.postgresql import running_postgresql
from wayfare_engine.clock import new_id, now
from wayfare_engine.customers import BadRow, LoadOptions, Place, applying, load
from wayfare_engine.customers import columns as customers_columns
from wayfare_engine.customers.load import open_source
from wayfare_engine.ledger import Kind
from wayfare_engine.objectstore import open_store
from wayfare_engine.plan import Attribute, AttributeType, Schema
from wayfare_engine.projections import BlobRow
from wayfare_engine.store.blob_cache import BlobCache

CUSTOMERS = 10_000_000
BY_ROWS = 300_000
_JOBS = ("management", "technician", "entrepreneur", "blue-collar", "unknown", "retired", "admin.")
_STATES = ("married", "single", "divorced")


def measure(scale: float) -> dict[str, Any]:
    """Figures; see the module."""
    customers = max(20_000, int(CUSTOMERS * scale))
    with (
        tempfile.TemporaryDirectory(prefix="wayfare-bench-") as folder,
        running_postgresql() as here,
        running_postgresql() as there,
        running_objects() as objects,
    ):
        file = Path(folder) / "customers.csv"
        write(file, customers)
        store = open_store(objects.url(), options=objects.options)
        with (
            psycopg.connect(here.database(), autocommit=True) as first,
            psycopg.connect(there.database(), autocommit=True) as second,
        ):
            caches = [BlobCache(Path(folder) / name) for name in ("first", "second")]
            place = Place(first, store, cache=caches[0], sealed=lambda _: True)
            imported = _seconds(lambda: _load(place, file))
            again = _seconds(lambda: _load(place, file))
            row = first.execute(
                "SELECT site, epoch, id, body::text FROM wayfare.ledger WHERE kind = 'load' "
                "ORDER BY id LIMIT 1"
            ).fetchone()
            assert row is not None
            site, epoch, row_id, body = row
            load_row = BlobRow(site, epoch, row_id.bytes, Kind.LOAD, body)

            def apply() -> None:
                applying.apply_load(second, load_row)
                loaded = customers_columns.load(second, store, _SCHEMA, keys=None, cache=caches[1])
                assert len(loaded.columns) == customers

            applied = _seconds(apply)
            few = min(BY_ROWS, customers)
            rows = few / _seconds(lambda: _by_rows(first, file, few))
    import_rows, second_rows = customers / imported, customers / applied
    return {
        "import_customers": customers,
        "import_rows_s": round(import_rows),
        "import_second_site_rows_s": round(second_rows),
        "import_again_rows_s": round(customers / again),
        "import_by_rows_rows_s": round(rows),
        "import_vs_rows": round(min(import_rows, second_rows) / rows, 1),
    }


def write(file: Path, customers: int) -> None:
    """A CSV with the columns of a bank's file, by a fixed seed."""
    random = np.random.default_rng(7)
    options = pa_csv.WriteOptions(delimiter=";")
    with pa_csv.CSVWriter(file, _FILE, write_options=options) as writer:
        for first in range(0, customers, 1_000_000):
            count = min(1_000_000, customers - first)
            numbers = pc.cast(pa.array(np.arange(first, first + count)), pa.string())
            writer.write_table(
                pa.table(
                    {
                        "id": pc.binary_join_element_wise("C", numbers, ""),
                        "age": random.integers(18, 96, count),
                        "job": np.array(_JOBS)[random.integers(0, len(_JOBS), count)],
                        "marital": np.array(_STATES)[random.integers(0, len(_STATES), count)],
                        "balance": random.normal(1362, 3044, count).round(2),
                        "housing": np.array(["yes", "no"])[random.integers(0, 2, count)],
                        "campaign": random.integers(1, 64, count),
                    },
                    schema=_FILE,
                )
            )


_FILE = pa.schema(
    [
        ("id", pa.string()),
        ("age", pa.int64()),
        ("job", pa.string()),
        ("marital", pa.string()),
        ("balance", pa.float64()),
        ("housing", pa.string()),
        ("campaign", pa.int64()),
    ]
)
_SCHEMA = Schema(
    (
        Attribute("age", AttributeType.INT),
        Attribute("job", AttributeType.STRING),
        Attribute("marital", AttributeType.STRING),
        Attribute("balance", AttributeType.DOUBLE),
        Attribute("housing", AttributeType.STRING),
        Attribute("campaign", AttributeType.INT),
    )
)


def _load(place: Place, file: Path) -> None:
    load(
        place,
        file,
        LoadOptions(name=file.name, id_column="id"),
        now=now(),
        ids=new_id,
        show=lambda _: None,
        progress=lambda _: lambda _: None,
    )


def _by_rows(connection: psycopg.Connection[Any], file: Path, count: int) -> None:
    """The former way: inferred, read, staged and merged row by row."""
    source = open_source(file, None)
    kind_of = {attribute.name: attribute.type for attribute in _SCHEMA.attributes}
    names = source.columns[1:]
    encode = msgspec.json.Encoder().encode
    connection.execute(
        "CREATE TABLE wayfare.bench_customers (dense bigint PRIMARY KEY, customer_id text NOT NULL "
        "UNIQUE, attributes jsonb NOT NULL, version bigint NOT NULL);"
        "CREATE TEMP TABLE staging (line bigint, customer_id text, attributes text)"
    )
    with connection.cursor().copy(
        "COPY pg_temp.staging (line, customer_id, attributes) FROM STDIN (FORMAT BINARY)"
    ) as copy:
        copy.set_types(["int8", "text", "text"])
        rows = source.rows([AttributeType.STRING, *(kind_of[n] for n in names)], lambda _: None)
        for row in islice(rows, count):
            assert not isinstance(row, BadRow), row
            attributes = dict(zip(names, row.values[1:], strict=True))
            copy.write_row((row.line, row.values[0], encode(attributes).decode()))
    connection.execute("CREATE INDEX ON pg_temp.staging (customer_id)")
    connection.execute("ANALYZE pg_temp.staging")
    with connection.transaction():
        connection.execute(
            "INSERT INTO wayfare.bench_customers SELECT row_number() OVER (ORDER BY s.line) - 1, "
            "s.customer_id, s.attributes::jsonb, 1 FROM pg_temp.staging s WHERE NOT EXISTS "
            "(SELECT FROM wayfare.bench_customers c WHERE c.customer_id = s.customer_id)"
        )


def _seconds(do: Callable[[], None]) -> float:
    began = time.perf_counter()
    do()
    return time.perf_counter() - began
