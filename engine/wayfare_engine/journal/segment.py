"""One segment: rows of one site and epoch, in one Parquet object that other programs can open.

    PAR1, column chunks | SHA-256 of all the rest, 32 bytes | footer, its length, PAR1

A Parquet reader finds what it needs from the end and by offsets, so the 32 bytes do not disturb
it, and no byte of the object is outside the digest, the last segment of a chain included. This
frame stays the same in every later format. The header is JSON under the key `wayfare` of the
footer's metadata. Bodies are taken apart into columns (`journal.shredding`).

The object that ends a chain is `Closed`: a small JSON object that carries its own digest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from wayfare_engine.decoding import known
from wayfare_engine.journal.digest import BLOCK, RowsDigest
from wayfare_engine.journal.problems import NewerFormat, SegmentDamaged
from wayfare_engine.journal.shredding import PREFIX, Shape, put_together, take_apart

FORMAT = 1
ROWS = pa.schema(
    [
        pa.field("id", pa.binary(16), nullable=False),
        pa.field("tx", pa.uint64(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("key", pa.string()),
        pa.field("version", pa.int64()),
        pa.field("customer_id", pa.string()),
        pa.field("at", pa.timestamp("us", "UTC"), nullable=False),
        pa.field("body", pa.string(), nullable=False),
    ]
)
ZSTD_LEVEL = 3
_KEY = b"wayfare"
_MAGIC = b"PAR1"
_TRAILER = 32
_ENCODINGS = {
    "id": "DELTA_BYTE_ARRAY",
    "tx": "DELTA_BINARY_PACKED",
    "version": "DELTA_BINARY_PACKED",
    "at": "DELTA_BINARY_PACKED",
}


@dataclass(frozen=True)
class Header:
    """What a segment says of itself. `first` and `last` are positions in the chain, from 1;
    `previous` is the SHA-256 of the object before ("" for the first); times are ISO 8601."""

    format: int
    plan: str
    site: str
    epoch: int
    first: int
    last: int
    from_tx: int
    to_tx: int
    rows_digest: str
    previous: str
    sealed_at: str


@dataclass(frozen=True)
class Segment:
    """A segment that was read; `digest` is the SHA-256 of the object's bytes, in hexadecimal."""

    header: Header
    rows: pa.Table
    digest: str


@dataclass(frozen=True)
class Closed:
    """The end of a chain: epoch `by` was taken. `at_seq` is the last position before it."""

    format: int
    plan: str
    site: str
    epoch: int
    by: int
    at_seq: int
    previous: str
    closed_at: str
    digest: str = ""


class _Meta(msgspec.Struct, frozen=True):
    header: Header
    shape: Shape


class _Framed(msgspec.Struct, frozen=True):
    format: int


def rows_digest(rows: pa.Table, *, site: str, epoch: int) -> str:
    """The digest of these rows' values as rows of this site and epoch (see `journal.digest`)."""
    digest = RowsDigest(site, str(epoch))
    for block in _blocks(rows):
        digest.add(block)
    return digest.hexdigest()


def encode(
    rows: pa.Table,
    *,
    plan: str,
    site: str,
    epoch: int,
    first: int,
    previous: str,
    sealed_at: str,
    digest: str | None = None,
) -> bytes:
    """The object for these rows (schema `ROWS`, in chain order, at least one).

    `digest` is their `rows_digest`, where the caller has it already. Memory: the rows, the object,
    and one block of 65,536 rows besides. Raises ValueError.
    """
    if not rows.num_rows:
        raise ValueError("a segment has at least one row")
    rows = rows.cast(ROWS)
    header = Header(
        format=FORMAT,
        plan=plan,
        site=site,
        epoch=epoch,
        first=first,
        last=first + rows.num_rows - 1,
        from_tx=rows["tx"][0].as_py(),
        to_tx=rows["tx"][-1].as_py(),
        rows_digest=digest or rows_digest(rows, site=site, epoch=epoch),
        previous=previous,
        sealed_at=sealed_at,
    )
    out = pa.BufferOutputStream()
    writer: pq.ParquetWriter | None = None
    shape: Shape | None = None
    for block in _blocks(rows):
        shape, columns = take_apart(block, shape)
        table = _stored(block, shape, columns)
        if writer is None:
            meta = msgspec.json.encode(_Meta(header, shape))
            writer = _writer(out, table.schema)
            writer.add_key_value_metadata({_KEY: meta})
        writer.write_table(table, row_group_size=BLOCK)
    assert writer is not None
    writer.close()
    return _frame(out.getvalue())


def decode(data: bytes, *, bodies: bool = True, digest_rows: bool = True) -> Segment | Closed:
    """What an object of a chain holds; without `bodies` the rows have no column `body`. The digest
    of all bytes is always compared, that of the rows only with `bodies` and `digest_rows`: it
    guards against a writer's mistake, for whoever applies them.

    Raises SegmentDamaged, saying what is wrong, or NewerFormat, before anything is used.
    """
    digest = hashlib.sha256(data).hexdigest()
    if data[:1] == b"{":
        return _decode_closed(data, digest)
    header, file, shape = _open(data)
    with _as_damage():
        blocks = list(_read(header, file, shape, bodies=bodies))
        rows = pa.concat_tables(blocks)
    _check_rows(header, rows, digest=bodies and digest_rows)
    return Segment(header, rows, digest)


def read_header(data: bytes) -> Header | Closed:
    """Only the header, after the digest of all bytes was checked. Raises as `decode`."""
    if data[:1] == b"{":
        return _decode_closed(data, hashlib.sha256(data).hexdigest())
    return _open(data)[0]


def decode_blocks(data: bytes) -> tuple[Header, Iterator[pa.Table]]:
    """A segment's rows in blocks of at most 65,536, for readers that bound their memory. The
    digest of the rows is not compared; that of the bytes is."""
    header, file, shape = _open(data)
    return header, _read(header, file, shape, bodies=True)


def encode_closed(closed: Closed) -> bytes:
    """The object that ends a chain."""
    fields = msgspec.to_builtins(closed)
    del fields["digest"]
    text = msgspec.json.encode({"closed": fields})
    return msgspec.json.encode({"closed": fields, "sha256": hashlib.sha256(text).hexdigest()})


def _decode_closed(data: bytes, digest: str) -> Closed:
    try:
        found = msgspec.json.decode(data, type=dict[str, Any])
        text = msgspec.json.encode({"closed": found["closed"]})
        said = found["sha256"]
        if said != hashlib.sha256(text).hexdigest() or data != msgspec.json.encode(
            {"closed": found["closed"], "sha256": said}
        ):
            raise SegmentDamaged("its bytes do not have the digest that it carries")
        _check_format(msgspec.convert(found["closed"], _Framed).format)
        return msgspec.convert({**found["closed"], "digest": digest}, Closed)
    except (msgspec.MsgspecError, KeyError, TypeError, UnicodeDecodeError, RecursionError) as error:
        raise SegmentDamaged(f"it begins like the end of a chain and is none: {error}") from None


def _check_format(found: int) -> None:
    if found > FORMAT:
        raise NewerFormat(found, FORMAT)


def _blocks(rows: pa.Table) -> Iterator[pa.Table]:
    for start in range(0, rows.num_rows, BLOCK):
        yield rows.slice(start, BLOCK)


def _stored(block: pa.Table, shape: Shape, columns: list[pa.Array]) -> pa.Table:
    fields = [*(f for f in ROWS if f.name != "body"), *shape.schema()]
    own = [block[f.name].combine_chunks() for f in fields if f.name in ROWS.names[:-1]]
    return pa.table([*own, *columns], schema=pa.schema(fields))


def _writer(out: pa.NativeFile, schema: pa.Schema) -> pq.ParquetWriter:
    encodings = dict(_ENCODINGS)
    dictionary = []
    for field in schema:
        if field.name in encodings:
            continue
        if pa.types.is_int64(field.type) or pa.types.is_timestamp(field.type):
            encodings[field.name] = "DELTA_BINARY_PACKED"
        else:
            dictionary.append(field.name)
    return pq.ParquetWriter(
        out,
        schema,
        compression="zstd",
        compression_level=ZSTD_LEVEL,
        use_dictionary=dictionary,
        column_encoding=encodings,
        write_statistics=False,
        store_schema=False,
    )


def _frame(parquet: Any) -> bytes:
    data = memoryview(parquet)
    footer = _footer_start(data)
    digest = hashlib.sha256(data)
    return b"".join((data[:footer], digest.digest(), data[footer:]))


def _footer_start(data: memoryview) -> int:
    """Where the footer begins. Raises SegmentDamaged when the ends are not those of Parquet."""
    if len(data) < 12 + _TRAILER or data[:4] != _MAGIC or data[-4:] != _MAGIC:
        raise SegmentDamaged("it is no Parquet file, or its beginning or end is missing")
    start = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    if start < 4:
        raise SegmentDamaged("the length of its footer is impossible")
    return start


@contextmanager
def _as_damage() -> Iterator[None]:
    """Turns what the Parquet reader says of bytes that it cannot read into SegmentDamaged."""
    try:
        yield
    except (pa.ArrowException, msgspec.MsgspecError, LookupError, ValueError, OSError) as error:
        text = str(error).splitlines() or [type(error).__name__]
        raise SegmentDamaged(f"its bytes are as written, and no segment: {text[0]}") from None


def _open(data: bytes) -> tuple[Header, pq.ParquetFile, Shape]:
    view = memoryview(data)
    footer = _footer_start(view)
    start = footer - _TRAILER
    if start < 4:
        raise SegmentDamaged("the length of its footer is impossible")
    digest = hashlib.sha256(view[:start])
    digest.update(view[footer:])
    if digest.digest() != view[start:footer]:
        raise SegmentDamaged("its bytes do not have the digest that it carries")
    with _as_damage():
        file = pq.ParquetFile(pa.BufferReader(data))
        text = (file.metadata.metadata or {})[_KEY]
        header: Any = msgspec.json.decode(text, type=dict[str, Any])["header"]
        _check_format(msgspec.convert(header, _Framed).format)
        meta = msgspec.json.decode(text, type=_Meta)
        names = [f.name for f in ROWS if f.name != "body"]
        names += [f.name for f in meta.shape.schema()]
        if file.schema_arrow.names != names:
            raise SegmentDamaged(f"its columns are {file.schema_arrow.names}")
        count = meta.header.last - meta.header.first + 1
        if file.metadata.num_rows != count or meta.header.first < 1 or count < 1:
            raise SegmentDamaged(
                f"it says {meta.header.first} to {meta.header.last} and has "
                f"{file.metadata.num_rows} rows"
            )
    return meta.header, file, meta.shape


def _read(
    header: Header, file: pq.ParquetFile, shape: Shape, *, bodies: bool
) -> Iterator[pa.Table]:
    own = [f for f in ROWS if f.name != "body"]
    columns = None if bodies else [f.name for f in own]
    for group in range(file.num_row_groups):
        table = file.read_row_group(group, columns=columns, use_threads=False)
        arrays = [table[f.name].cast(f.type) for f in own]
        if bodies:
            yield pa.table([*arrays, put_together(shape, table)], schema=ROWS)
        else:
            yield pa.table(arrays, schema=pa.schema(own))


def _check_rows(header: Header, rows: pa.Table, *, digest: bool) -> None:
    tx = rows["tx"]
    if (tx[0].as_py(), tx[-1].as_py()) != (header.from_tx, header.to_tx):
        raise SegmentDamaged("its rows are not of the transactions that it says")
    if digest and rows_digest(rows, site=header.site, epoch=header.epoch) != header.rows_digest:
        raise SegmentDamaged("its rows do not have the digest that it says")


__all__ = [
    "FORMAT",
    "PREFIX",
    "ROWS",
    "Closed",
    "Header",
    "Segment",
    "decode",
    "decode_blocks",
    "encode",
    "encode_closed",
    "read_header",
    "rows_digest",
]


known(_Framed, _Meta, Closed)
