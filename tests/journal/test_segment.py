"""A segment gives back what was put into it, byte for byte, and takes nothing that was damaged."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.journal.making import BEGAN, PLAN, SITE, table
from wayfare_engine.journal import segment as segments
from wayfare_engine.journal.digest import BLOCK
from wayfare_engine.journal.problems import NewerFormat, SegmentDamaged
from wayfare_engine.journal.segment import (
    ROWS,
    Closed,
    Segment,
    decode,
    decode_blocks,
    encode,
    encode_closed,
    read_header,
    rows_digest,
)
from wayfare_engine.ledger import bodies


def sealed(rows: pa.Table, **given: Any) -> bytes:
    options: dict[str, Any] = {
        "plan": PLAN,
        "site": SITE,
        "epoch": 1,
        "first": 1,
        "previous": "",
        "sealed_at": BEGAN.isoformat(),
    }
    return encode(rows, **(options | given))


def rows_of(found: Segment | Closed) -> pa.Table:
    assert isinstance(found, Segment)
    return found.rows


def with_bodies(made: list[str], **given: list[Any]) -> pa.Table:
    columns: dict[str, Any] = {"body": made} | given
    return table(len(made), **columns)


def back(made: list[str], **given: list[Any]) -> None:
    rows = with_bodies(made, **given)
    assert rows_of(decode(sealed(rows))).equals(rows)


_VALUE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False)
    | st.text(max_size=12)
    | st.sampled_from(["ab", "0123456789abcdef", "AB", "a b ", "2026-11-23T08:00:00Z", "anna"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)
_BODY = st.dictionaries(st.sampled_from(["a", "b", "customer", "at", "ü", '"', ""]), _VALUE).map(
    lambda b: json.dumps(b, separators=(",", ":"), ensure_ascii=False)
) | st.sampled_from(
    [
        "{}",
        "[]",
        "null",
        '{"a":1,"a":2}',
        '{"a": 1}',
        ' {"a":1}',
        '{"a":1}\n',
        '{"\\u0061":1}',
        '{"a":"\\u0000"}',
        '{"a":1e5}',
        '{"a":-0}',
        '{"a":00}',
        '{"a":"\\ud800"}',
        "not json at all",
        "",
    ]
)


@settings(max_examples=150, deadline=None)
@given(st.lists(_BODY, min_size=1, max_size=40), st.integers(1, 8))
def test_bodies_come_back_byte_for_byte(made: list[str], times: int) -> None:
    back(made * times)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.datetimes(
                min_value=datetime(1, 1, 2),  # noqa: DTZ001 - made aware below
                max_value=datetime(9999, 12, 30),  # noqa: DTZ001
                timezones=st.just(UTC),
            ),
            st.one_of(st.none(), st.text(st.characters(exclude_categories=["Cs"]), max_size=8)),
            st.booleans(),
        ),
        min_size=1,
        max_size=30,
    )
)
def test_what_a_body_repeats_of_its_row_comes_back(
    made: list[tuple[datetime, str | None, bool]],
) -> None:
    texts = []
    for at, customer, exact in made:
        said = at if exact else at + timedelta(microseconds=1)
        fields = {"customer": customer, "at": said, "key": customer}
        texts.append(msgspec.json.encode(fields).decode())
    back(
        texts,
        at=[m[0] for m in made],
        customer_id=[m[1] for m in made],
        key=[m[1] for m in made],
    )


@pytest.mark.parametrize(
    "values",
    [
        ['"ab"', '"0f"'] * 100,
        ['"ab"', '"0F"'] * 100,
        ['"ab cd"', '"0f"'] * 100,
        ['"abc"', '"0f"'] * 100,
        ['""', '"0f"'] * 100,
        ["1", "-5", "9223372036854775807"] * 70,
        ["1", "9223372036854775808"] * 100,
        ["1", "01"] * 100,
        ["1", "1.0"] * 100,
        ['"2026-11-23T08:00:00.5Z"', '"2026-11-23T08:00:00Z"'] * 100,
        ['"2026-11-23T08:00:00.123456Z"', '"2026-11-23T08:00:00Z"'] * 100,
        ['"2026-11-23T08:00:00.123Z"'] * 100,
        ['"2026-11-23 08:00:00Z"'] * 100,
        ['"2026-13-23T08:00:00Z"'] * 100,
        ['"a"', '"b\\"c"', "null", "{}"] * 50,
        ["null"] * 100,
        ["true", "false"] * 60,
    ],
)
def test_each_form_of_a_column(values: list[str]) -> None:
    back([f'{{"v":{v},"w":1}}' for v in values])


def test_a_row_without_body_value_in_a_column_of_others() -> None:
    """Shapes of several kinds share columns, and each has nulls where others have values."""
    made = [
        *(f'{{"a":{i},"b":"{i:04x}"}}' for i in range(100)),
        *(f'{{"b":"{i:04x}","c":[{i}]}}' for i in range(100)),
        '{"rare":1}',
    ] * 2
    random.Random(1).shuffle(made)
    back(made)


def test_every_column_comes_back_with_its_nulls_and_edges() -> None:
    edge: dict[str, list[Any]] = {
        "id": [b"\0" * 16, b"\xff" * 16, bytes(range(16))],
        "tx": [3, 3, 2**63 - 1],
        "kind": ["", "event", "ü"],
        "key": [None, "", "\0\n"],
        "version": [None, -(2**63), 2**63 - 1],
        "customer_id": ["", None, "x" * 100_000],
        "at": [
            datetime(1970, 1, 1, tzinfo=UTC) - timedelta(microseconds=1),
            datetime(1970, 1, 1, tzinfo=UTC),
            datetime(9999, 12, 31, 23, 59, 59, 999999, UTC),
        ],
    }
    back(["{}", '{"a":1}', "x" * 1000], **edge)


def test_a_segment_of_several_blocks() -> None:
    rows = table(BLOCK + 1000)
    # What the second block brings is not what the shape was made for.
    odd = [f'{{"name":{i}}}' if i > BLOCK else b for i, b in enumerate(rows["body"].to_pylist())]
    rows = rows.set_column(7, ROWS.field("body"), pa.array(odd))
    data = sealed(rows)
    assert rows_of(decode(data)).equals(rows)
    header, blocks = decode_blocks(data)
    found = list(blocks)
    assert [b.num_rows for b in found] == [BLOCK, 1000]
    assert pa.concat_tables(found).equals(rows)
    assert header.last == rows.num_rows


def test_the_digest_is_of_values_and_of_nothing_else() -> None:
    rows = table(500)
    digest = rows_digest(rows, site=SITE, epoch=1)
    chunked = pa.concat_tables([rows.slice(0, 7), rows.slice(7, 300), rows.slice(307)])
    assert rows_digest(chunked, site=SITE, epoch=1) == digest
    assert rows_digest(rows_of(decode(sealed(rows))), site=SITE, epoch=1) == digest
    assert rows_digest(rows, site=SITE, epoch=2) != digest
    assert rows_digest(rows, site="west", epoch=1) != digest
    assert rows_digest(rows.take(pa.array([1, 0, *range(2, 500)])), site=SITE, epoch=1) != digest


def test_no_two_rows_have_one_digest() -> None:
    """A null is not an empty text, and a value does not move to its neighbour."""
    variants: list[dict[str, Any]] = [
        {"key": [None, ""]},
        {"key": ["", None]},
        {"key": ["a", "b"]},
        {"key": ["ab", ""]},
        {"key": ["", "ab"]},
        {"version": [None, 0]},
        {"version": [0, None]},
        {"version": [0, 0]},
        {"customer_id": ["a", "b"]},
    ]
    digests = {rows_digest(table(2, **v), site=SITE, epoch=1) for v in variants}
    assert len(digests) == len(variants)


def test_a_known_digest_stays_what_it_is() -> None:
    """Sites of different versions compare digests: this one may never change."""
    rows = table(3, key=["a", None, ""], version=[1, None, -1], customer_id=["ü", None, "x"])
    assert rows_digest(rows, site=SITE, epoch=1) == GOLDEN


def test_other_programs_can_open_it(tmp_path: Path) -> None:
    rows = table(1000)
    file = tmp_path / "segment.parquet"
    file.write_bytes(sealed(rows))
    found = pq.read_table(file)
    assert found["customer_id"].to_pylist() == rows["customer_id"].to_pylist()
    assert found["body.name"].to_pylist() == [f"n{i}" for i in range(1000)]
    assert found["at"].to_pylist() == rows["at"].to_pylist()


def test_every_flipped_bit_is_found() -> None:
    data = sealed(table(30))
    source = random.Random(7)
    places = {*range(8), *range(len(data) - 60, len(data)), *source.sample(range(len(data)), 400)}
    for place in places:
        damaged = bytearray(data)
        damaged[place] ^= 1 << source.randrange(8)
        with pytest.raises(SegmentDamaged):
            decode(bytes(damaged))
        with pytest.raises(SegmentDamaged):
            read_header(bytes(damaged))


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300) | st.binary(max_size=100).map(lambda b: b"PAR1" + b + b"PAR1"))
def test_any_bytes_are_refused_in_words(data: bytes) -> None:
    with pytest.raises(SegmentDamaged):
        decode(data)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_bytes_that_were_changed_and_framed_anew_are_refused_or_whole(data: Any) -> None:
    """Whoever can write a digest can write anything: the parser has to bear it."""
    parquet = _UNFRAMED
    changed = bytearray(parquet)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(parquet) - 13))
        changed[place] ^= data.draw(st.integers(1, 255))
    try:
        framed = segments._frame(bytes(changed))
    except SegmentDamaged:
        return
    try:
        found = decode(framed)
    except (SegmentDamaged, NewerFormat):
        return
    assert isinstance(found, Segment)
    header = found.header
    assert header.rows_digest == rows_digest(found.rows, site=header.site, epoch=header.epoch)


def test_a_newer_format_is_refused_before_anything_is_used(newer: bytes) -> None:
    for use in (decode, read_header, decode_blocks):
        with pytest.raises(NewerFormat, match="format 2, this version reads up to 1"):
            use(newer)
    closed = encode_closed(Closed(9, PLAN, SITE, 1, by=2, at_seq=0, previous="", closed_at="x"))
    with pytest.raises(NewerFormat):
        decode(closed)


def test_closed_comes_back_with_its_digest() -> None:
    made = Closed(1, PLAN, SITE, 1, by=2, at_seq=7, previous="ab" * 32, closed_at="2026")
    data = encode_closed(made)
    found = decode(data)
    assert found == dataclasses.replace(made, digest=hashlib.sha256(data).hexdigest())


def test_decisions_are_shredded_to_less_than_jsonl() -> None:
    """The benchmark has the figure; this is that each part does its work."""
    source = random.Random(3)
    texts, ats, customers = [], [], []
    for i in range(2000):
        at = BEGAN + timedelta(microseconds=733 * i)
        customer = f"c{source.randrange(500)}"
        made = bodies.Decision(
            customer=customer,
            slot="home",
            context=msgspec.Raw(b'{"page":"home"}'),
            at=at,
            plan="sha256:" + "a" * 64,
            customers_version=3,
            winner=bodies.Winner("j", "n"),
            reason="won",
            degraded=(),
            row="ff" * 8,
        )
        texts.append(msgspec.json.encode(made).decode())
        ats.append(at)
        customers.append(customer)
    rows = with_bodies(texts, at=ats, customer_id=customers)
    data = sealed(rows)
    assert rows_of(decode(data)).equals(rows)
    columns = pq.read_table(pa.BufferReader(data))
    assert columns["body.customer"].null_count == columns["body.at"].null_count == 2000
    assert columns["body"].null_count == 2000
    assert columns.schema.field("body.row").type == pa.binary()
    assert columns.schema.field("body.customers_version").type == pa.int64()


def test_an_empty_segment_is_not_made() -> None:
    with pytest.raises(ValueError, match="at least one"):
        sealed(ROWS.empty_table())


def _unframed() -> bytes:
    data = sealed(table(200))
    footer = segments._footer_start(memoryview(data))
    return data[: footer - 32] + data[footer:]


_UNFRAMED = _unframed()
GOLDEN = "69d5ab6dc026a1781ebc185ab2c147944af0678abe14e79af0a1546402fdf6e8"
