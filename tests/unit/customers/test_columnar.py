"""Whole columns and single rows: two ways to read a file, one answer."""

from __future__ import annotations

import csv
import io
import tempfile
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wayfare_engine.customers import by_rows
from wayfare_engine.customers.columnar import identified, open_columnar
from wayfare_engine.customers.load import open_source
from wayfare_engine.customers.problems import ImportRefused
from wayfare_engine.plan import AttributeType

NUMBERS = st.one_of(
    st.integers(-(2**64), 2**64).map(str),
    st.floats().map(repr),
    st.from_regex(r"[-+]?[0-9]{0,3}\.?[0-9]{0,3}([eE][-+]?[0-9]{1,3})?", fullmatch=True),
    st.sampled_from(
        ["007", "-0", "0x1A", "+5", " 5", "5 ", "1_000", "1e400", "nan", "inf", ".", "-"]
    ),
)
TIMES = st.one_of(
    st.datetimes().map(datetime.isoformat),
    st.datetimes().map(lambda t: t.replace(microsecond=0).isoformat() + "Z"),
    st.dates().map(date.isoformat),
    st.sampled_from(
        ["0000-01-01T00:00:00Z", "2026-02-30", "2026-01-01T24:00:00Z", "2026-01-01T00:00:60Z"]
    ),
)
WORDS = st.one_of(
    st.sampled_from(
        ["", "yes", "no", "true", "True", "FALSE", "management", "tech;nician", "a,b", "NULL", "NA"]
    ),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=6),
)
CELLS = st.sampled_from([NUMBERS, TIMES, WORDS, st.one_of(NUMBERS, TIMES, WORDS)])
KINDS = st.sampled_from(list(AttributeType))


@st.composite
def files(draw: st.DrawFn) -> bytes:
    """A CSV: mostly clean, sometimes with what only the careful reader can tell."""
    columns = draw(st.lists(CELLS, min_size=1, max_size=3))
    rows = draw(st.lists(st.tuples(*columns), max_size=8))
    out = io.StringIO()
    writer = csv.writer(
        out,
        delimiter=draw(st.sampled_from(",;\t|")),
        lineterminator=draw(st.sampled_from(["\n", "\r\n"])),
        quoting=draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])),
    )
    writer.writerow([f"c{i}" for i in range(len(columns))])
    writer.writerows(rows)
    body = draw(st.sampled_from([b"", b"\xef\xbb\xbf"])) + out.getvalue().encode()
    if draw(st.integers(0, 3)) == 0 and body:
        at = draw(st.integers(0, len(body)))
        body = (
            body[:at]
            + draw(st.sampled_from([b'"', b"\n", b"\r", b"\0", b"\xff", b";", b"x"]))
            + body[at:]
        )
    return body


@given(files(), st.lists(KINDS, min_size=3, max_size=3), st.booleans(), st.booleans())
def test_a_csv_read_by_columns_is_the_csv_read_by_rows(
    body: bytes, kinds: list[AttributeType], use_inferred: bool, use_id: bool
) -> None:
    with tempfile.NamedTemporaryFile(suffix=".csv") as file:
        file.write(body)
        file.flush()
        _same(Path(file.name), kinds, use_inferred=use_inferred, use_id=use_id)


@pytest.mark.parametrize("count", [1, 3])
def test_a_clean_file_is_read_by_columns(tmp_path: Path, count: int) -> None:
    path = tmp_path / "c.csv"
    path.write_bytes(b'"age";"job";"since"\n' + b'58;"a;b";2026-01-02\n44;"";\n' * count)

    columnar = open_columnar(open_source(path, None), lambda _: None)

    assert columnar is not None
    kinds = columnar.infer()
    assert kinds == [AttributeType.INT, AttributeType.STRING, AttributeType.TIMESTAMP]
    typed = columnar.typed(dict(zip(["age", "job", "since"], kinds, strict=True)), lambda _: None)
    assert typed is not None
    assert typed.slice(0, 2).to_pylist() == [
        {"age": 58, "job": "a;b", "since": datetime(2026, 1, 2, tzinfo=UTC)},
        {"age": 44, "job": None, "since": None},
    ]


@pytest.mark.parametrize(
    "body",
    [
        b'a,b\n1,"x\ny"\n',
        b'a,b\n1,"say ""no"""\n',
        b'a,b\n1,x"y\n',
        b"a,b\n1\n",
        b"a,b\n1,\xff\n",
        b"a,b\n1,\0\n",
        b"a,b\n1,2\r3,4\n",
        b'a,b\n1,"x\n',
        b"a,b\n1," + b"x" * 70_000 + b"\n",
    ],
)
def test_what_two_readers_may_take_differently_is_left_to_the_careful_one(
    tmp_path: Path, body: bytes
) -> None:
    path = tmp_path / "c.csv"
    path.write_bytes(body)

    assert open_columnar(open_source(path, None), lambda _: None) is None


NATIVE = st.sampled_from(
    [
        (pa.int32(), st.integers(-(2**31), 2**31 - 1)),
        (pa.uint64(), st.integers(0, 2**64 - 1)),
        (pa.float32(), st.floats(width=32)),
        (pa.float64(), st.floats()),
        (pa.decimal128(9, 2), st.integers(-(10**6), 10**6).map(lambda n: Decimal(n) / 100)),
        (pa.bool_(), st.booleans()),
        (pa.date32(), st.dates()),
        (pa.timestamp("us"), st.datetimes()),
        (
            pa.timestamp("ms", tz="Europe/Brussels"),
            st.datetimes(timezones=st.just(UTC)).map(
                lambda t: t.replace(microsecond=0, year=min(max(t.year, 2), 9998))
            ),
        ),
        (pa.string(), WORDS),
        (pa.string(), NUMBERS),
        (pa.null(), st.none()),
    ]
)


@given(st.data(), KINDS, st.booleans())
def test_parquet_read_by_columns_is_parquet_read_by_rows(
    data: st.DataObject, kind: AttributeType, use_inferred: bool
) -> None:
    native, values = data.draw(NATIVE)
    column = data.draw(st.lists(st.one_of(st.none(), values), max_size=8))
    table = pa.table({"c0": pa.array(column, native)})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "c.parquet"
        pq.write_table(table, path)
        _same(path, [kind], use_inferred=use_inferred, use_id=False)


def _same(
    path: Path, given_kinds: list[AttributeType], *, use_inferred: bool, use_id: bool
) -> None:
    try:
        source = open_source(path, None)
    except ImportRefused:
        return
    columnar = open_columnar(source, lambda _: None)
    if columnar is None:
        return
    inferred = source.infer(lambda _: None)
    assert columnar.infer() == inferred
    kinds = inferred if use_inferred else (given_kinds * len(inferred))[: len(inferred)]
    id_column = source.columns[0] if use_id else None
    chosen = dict(zip(source.columns, kinds, strict=True))
    if id_column is not None:
        chosen[id_column] = AttributeType.STRING
    table = columnar.typed(chosen, lambda _: None)
    whole = identified(table, id_column) if table is not None else None
    rows = by_rows.read(
        source, chosen, id_column=id_column, on_error="skip", progress=lambda _: None
    )
    if whole is None:
        return
    assert rows.bad_rows == 0, rows.bad
    assert whole.to_pydict() == rows.table.to_pydict()
    assert whole.schema.types == rows.table.schema.types
