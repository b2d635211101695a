"""Bodies taken apart into columns, and put together again byte for byte.

A body is a compact JSON object. Its top-level values become columns, one a key; `layout` says
which keys a row has and in which order. A value that only repeats the row's own customer, key or
time is left out. What does not come back byte for byte (white space, repeated keys, a text that is
no object, a shape that few rows have) stays a text in the column `body`, with `layout` null.

Values are JSON text, except where all values of a column have one form: `quoted` (a JSON string,
stored without its quotes), `hex` (a JSON string of hexadecimal digits, stored as bytes), `int` and
`time` (a JSON string such as "2026-11-23T08:00:00.5Z" with no or six digits of a second).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from itertools import chain
from typing import Any, Literal

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

Form = Literal["json", "quoted", "hex", "int", "time"]
Source = Literal["", "customer_id", "key", "at"]

#: Fewer rows of one shape than this are not worth columns of their own.
MIN_ROWS = 64
MAX_LAYOUTS = 64
MAX_FIELDS = 96

PREFIX = "body."
#: The row's own columns that a body may repeat.
OWN: tuple[Source, ...] = ("customer_id", "key", "at")
_TIME = pa.timestamp("us", "UTC")
_DAY = 86_400_000_000
_FIRST_DAY, _LAST_DAY = -719_162, 2_932_896  # 0001-01-01 and 9999-12-31
STORED: dict[Form, pa.DataType] = {
    "json": pa.string(),
    "quoted": pa.string(),
    "hex": pa.binary(),
    "int": pa.int64(),
    "time": _TIME,
}
_decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class Field(msgspec.Struct, frozen=True, array_like=True):
    """A key of a body. With a source, a null in its column stands for the row's own value."""

    name: str
    source: Source = ""


class Shape(msgspec.Struct, frozen=True):
    """How the bodies of a segment were taken apart: layouts by number, columns' forms by key."""

    layouts: tuple[tuple[Field, ...], ...] = ()
    forms: dict[str, Form] = {}

    def schema(self) -> list[pa.Field]:
        """The columns that stand for the bodies."""
        return [
            pa.field("layout", pa.int16()),
            pa.field("body", pa.string()),
            *(pa.field(PREFIX + name, STORED[form]) for name, form in self.forms.items()),
        ]


def take_apart(rows: pa.Table, shape: Shape | None = None) -> tuple[Shape, list[pa.Array]]:
    """The shape of these rows' bodies and the columns of `shape.schema()`.

    `rows` has `customer_id`, `key`, `at` and `body`. With a `shape`, bodies that it does not
    describe stay texts.
    """
    rows = rows.combine_chunks()
    body = _chunk(rows["body"])
    own: dict[Source, pa.Array] = {name: _chunk(rows[name]) for name in OWN}
    groups = _group(body, rows.num_rows)
    groups = _known(groups, shape, own) if shape is not None else _chosen(groups, own)
    packed = _packed(groups, None if shape is None else shape.forms)
    if shape is None:
        layouts = tuple(tuple(group.fields) for group in groups)
        shape = Shape(layouts, {name: form for name, (form, _) in packed.items()})
    columns = _columns(shape, groups, packed, body)
    # The last word: what does not come back as it was stays a text.
    same = pc.fill_null(pc.equal(_assemble(shape, columns, rows), body), False)
    if not pc.all(same).as_py():
        text = pc.if_else(same, columns[1], body)
        columns = [pc.if_else(same, c, pa.scalar(None, c.type)) for c in columns]
        columns[1] = text
    return shape, columns


def put_together(shape: Shape, table: pa.Table) -> pa.Array:
    """The bodies of rows that have the columns of `shape.schema()` and the row's own."""
    table = table.combine_chunks()
    columns = [_chunk(table[field.name]) for field in shape.schema()]
    return _assemble(shape, columns, table)


class _Group:
    """Rows whose bodies have the same keys in the same order."""

    def __init__(self, keys: tuple[str, ...]) -> None:
        self.keys = keys
        self.rows: list[int] = []
        self.values: list[Any] = []  # one `dict.values()` a row
        self.fields: list[Field] = []
        self.left: list[pa.Array] = []

    @cached_property
    def indices(self) -> np.ndarray[Any, Any]:
        """Which rows these are."""
        return np.asarray(self.rows, np.int64)

    def split(
        self, own: Mapping[Source, pa.Array], sources: Sequence[Source] | None = None
    ) -> None:
        """Make a column of JSON texts of each key's values, less what they only repeat."""
        flat = list(map(bytes, chain.from_iterable(self.values)))
        step = len(self.keys)
        every = len(self.rows) == len(own["at"])
        chosen = _Own(own if every else {n: a.take(pa.array(self.indices)) for n, a in own.items()})
        for place, name in enumerate(self.keys):
            column = _texts(flat[place::step])
            source = chosen.source(column) if sources is None else sources[place]
            self.fields.append(Field(name, source))
            self.left.append(chosen.unless_same(column, source))


def _group(bodies: pa.Array, count: int) -> list[_Group]:
    groups: dict[tuple[str, ...], _Group] = {}
    for index, body in enumerate(bodies.cast(pa.binary()).to_pylist()):
        try:
            fields = _decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            continue
        keys = tuple(fields)
        group = groups.get(keys)
        if group is None:
            group = groups[keys] = _Group(keys)
        group.rows.append(index)
        group.values.append(fields.values())
    least = min(MIN_ROWS, max(1, count // 2))
    wanted = [g for g in groups.values() if len(g.rows) >= least and g.keys]
    return sorted(wanted, key=lambda g: (-len(g.rows), g.keys))


def _chosen(groups: list[_Group], own: Mapping[Source, pa.Array]) -> list[_Group]:
    """The groups that are worth columns, split."""
    names: set[str] = set()
    chosen = []
    for group in groups[:MAX_LAYOUTS]:
        if len(names.union(group.keys)) <= MAX_FIELDS:
            names.update(group.keys)
            group.split(own)
            chosen.append(group)
    return chosen


def _known(groups: list[_Group], shape: Shape, own: Mapping[Source, pa.Array]) -> list[_Group]:
    """The groups that a shape has layouts for, split as these say."""
    layouts = {tuple(f.name for f in layout): layout for layout in shape.layouts}
    known = [g for g in groups if g.keys in layouts]
    for group in known:
        group.split(own, [f.source for f in layouts[group.keys]])
    return known


def _packed(
    groups: list[_Group], forms: Mapping[str, Form] | None
) -> dict[str, tuple[Form, pa.Array]]:
    """Every key's values in their form, those of one group after those of another. With given
    `forms`, groups with a value that does not fit are taken out of `groups`."""
    packed: dict[str, tuple[Form, pa.Array]] = {}
    for name in {key: None for group in groups for key in group.keys}:
        texts = _together(groups, name)
        if forms is None:
            packed[name] = _form(texts)
            continue
        column = _pack(texts, forms[name])
        if column is None:
            groups[:] = [g for g in groups if name not in g.keys]
            return _packed(groups, forms)
        packed[name] = (forms[name], column)
    return packed


def _together(groups: list[_Group], name: str) -> pa.Array:
    return pa.concat_arrays([g.left[g.keys.index(name)] for g in groups if name in g.keys])


def _columns(
    shape: Shape,
    groups: list[_Group],
    packed: Mapping[str, tuple[Form, pa.Array]],
    body: pa.Array,
) -> list[pa.Array]:
    numbers = {tuple(f.name for f in layout): n for n, layout in enumerate(shape.layouts)}
    layout = np.full(len(body), -1, np.int16)
    for group in groups:
        layout[group.indices] = numbers[group.keys]
    text = pc.if_else(pa.array(layout < 0), body, pa.scalar(None, pa.string()))
    columns = [pa.array(layout, mask=layout < 0), text]
    for name, form in shape.forms.items():
        if name not in packed:
            columns.append(pa.nulls(len(body), STORED[form]))
            continue
        indices = np.concatenate([g.indices for g in groups if name in g.keys])
        columns.append(_scatter([(indices, packed[name][1])], len(body), STORED[form]))
    return columns


class _Own:
    """The rows' own values, as the JSON texts that a body would repeat."""

    def __init__(self, values: Mapping[Source, pa.Array]) -> None:
        self._values = values
        self._texts: dict[Source, pa.Array] = {}

    def text(self, source: Source) -> pa.Array:
        if source not in self._texts:
            self._texts[source] = _own(self._values[source], source)
        return self._texts[source]

    def source(self, column: pa.Array) -> Source:
        """What most values of a column only repeat."""
        if column[0].as_py()[:1] != '"':
            return ""
        few = min(len(column), 32)
        for source in OWN:
            # A look at a few rows before all of them: most columns repeat nothing.
            for length in (few, len(column)):
                own = (
                    self.text(source)
                    if length == len(column)
                    else _own(self._values[source][:length], source)
                )
                same = pc.equal(column[:length], own)
                if (pc.sum(same).as_py() or 0) * 2 <= length:
                    break
            else:
                return source
        return ""

    def unless_same(self, column: pa.Array, source: Source) -> pa.Array:
        """The column with nulls where it repeats the row."""
        if not source:
            return column
        same = pc.fill_null(pc.equal(column, self.text(source)), False)
        return pc.if_else(same, pa.scalar(None, pa.string()), column)


def _assemble(shape: Shape, columns: Sequence[pa.Array], rows: pa.Table) -> pa.Array:
    layout, body, *values = columns
    numbers = pc.fill_null(layout, -1).to_numpy(zero_copy_only=False)
    by_name = dict(zip(shape.forms, values, strict=True))
    pieces: list[tuple[np.ndarray[Any, Any], pa.Array]] = []
    for number in np.unique(numbers):
        indices = np.flatnonzero(numbers == number)
        every = len(indices) == len(numbers)
        at = pa.array(indices)
        if number < 0:
            pieces.append((indices, body if every else body.take(at)))
            continue
        words: list[Any] = []
        literal = "{"
        for field in shape.layouts[number]:
            literal += _quoted(field.name) + ":"
            value = by_name[field.name]
            text = _unpack(value if every else value.take(at), shape.forms[field.name])
            if field.source:
                own = rows[field.source]
                own = _own(_chunk(own if every else own.take(at)), field.source)
                text = pc.coalesce(text, own)
            words += [pa.scalar(literal, pa.string()), text]
            literal = ","
        words.append(pa.scalar("}" if words else "{}", pa.string()))
        pieces.append((indices, pc.binary_join_element_wise(*words, pa.scalar("", pa.string()))))
    return _scatter(pieces, len(numbers), pa.string())


def _scatter(
    pieces: list[tuple[np.ndarray[Any, Any], pa.Array]], count: int, kind: pa.DataType
) -> pa.Array:
    """One array of `count` values: each piece's at its indices, null elsewhere."""
    if len(pieces) == 1 and len(pieces[0][0]) == count:
        return pieces[0][1]
    if not pieces:
        return pa.nulls(count, kind)
    where = np.full(count, -1, np.int64)
    where[np.concatenate([indices for indices, _ in pieces])] = np.arange(
        sum(len(indices) for indices, _ in pieces)
    )
    return pa.concat_arrays([c for _, c in pieces]).take(pa.array(where, mask=where < 0))


def _texts(values: Sequence[Any]) -> pa.Array:
    data = b"".join(values)
    offsets = np.zeros(len(values) + 1, np.int64)
    np.cumsum(np.fromiter(map(len, values), np.int64, len(values)), out=offsets[1:])
    return pa.Array.from_buffers(
        pa.string(),
        len(values),
        [None, pa.py_buffer(offsets.astype(np.int32)), pa.py_buffer(data)],
    )


def _chunk(column: Any) -> pa.Array:
    if not isinstance(column, pa.ChunkedArray):
        return column
    if column.num_chunks == 1:
        return column.chunk(0)
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


def _quoted(name: str) -> str:
    return msgspec.json.encode(name).decode()


def _own(values: pa.Array, source: Source) -> pa.Array:
    """The row's own value as the JSON text that a body would repeat."""
    if source == "at":
        return _time_text(values)
    return _in_quotes(values)


def _in_quotes(values: pa.Array) -> pa.Array:
    quote = pa.scalar('"', pa.string())
    return pc.binary_join_element_wise(quote, values, quote, pa.scalar("", pa.string()))


def _form(column: pa.Array) -> tuple[Form, pa.Array]:
    """The narrowest form for these texts, and the column in it."""
    forms: tuple[Form, ...] = ("int", "time", "hex", "quoted")
    present = column.drop_null() if column.null_count else column
    if len(present):
        few = present.take(pa.array(np.linspace(0, len(present) - 1, 64).astype(np.int64)))
        for form in forms:
            packed = _pack(few, form)
            if packed is None or not _unpack(packed, form).equals(few):
                continue
            packed = _pack(column, form)
            # All of them: one text that is otherwise would take its whole row out of the columns.
            if packed is not None and _unpack(packed, form).equals(column):
                return form, packed
    return "json", column


def _pack(texts: pa.Array, form: Form) -> pa.Array | None:
    """The texts in this form, or None when they have another."""
    if form == "json":
        return texts
    try:
        return _PACK[form](texts)
    except (pa.ArrowInvalid, ValueError):
        return None


def _unpack(values: pa.Array, form: Form) -> pa.Array:
    return values if form == "json" else _UNPACK[form](values)


def _bare(texts: pa.Array) -> pa.Array | None:
    if not pc.all(pc.starts_with(texts, '"')).as_py():
        return None
    return pc.utf8_slice_codeunits(texts, 1, -1)


def _pack_time(texts: pa.Array) -> pa.Array | None:
    bare = _bare(texts)
    if bare is None or not pc.all(pc.ends_with(bare, "Z")).as_py():
        return None
    return bare.cast(_TIME)


def _time_text(values: pa.Array) -> pa.Array:
    """As msgspec writes a time in UTC: no fraction, or six digits of it. In quotes."""
    if len(values) == values.null_count:
        return pa.nulls(len(values), pa.string())
    micro = np.asarray(pc.fill_null(values.cast(pa.int64()), 0))
    days, of_day = np.divmod(micro, _DAY)
    if days.min() < _FIRST_DAY or days.max() > _LAST_DAY:
        raise ValueError("a year of other than four digits")
    seconds, fraction = np.divmod(of_day, 1_000_000)
    text = np.empty((len(micro), 29), np.uint8)
    text[:] = np.frombuffer(b'"0000-00-00T00:00:00.000000Z"', np.uint8)
    distinct, which = np.unique(days, return_inverse=True)
    dates = np.datetime_as_string(distinct.astype("M8[D]")).astype("S10")
    text[:, 1:11] = dates.view(np.uint8).reshape(-1, 10)[which]
    for start, number in ((12, seconds // 3600), (15, seconds // 60 % 60), (18, seconds % 60)):
        _write_digits(text[:, start : start + 2], number)
    _write_digits(text[:, 21:27], fraction)
    lengths = np.full(len(micro), 29, np.int64)
    whole = fraction == 0
    if whole.any():
        kept = np.ones((len(micro), 29), bool)
        kept[whole, 20:27] = False
        lengths[whole] = 22
        return _from_data(text[kept].tobytes(), lengths, values, pa.string())
    return _from_data(text.tobytes(), lengths, values, pa.string())


def _write_digits(into: np.ndarray[Any, Any], numbers: np.ndarray[Any, Any]) -> None:
    for place in range(into.shape[1] - 1, -1, -1):
        numbers, digit = np.divmod(numbers, 10)
        into[:, place] += digit.astype(np.uint8)


def _pack_hex(texts: pa.Array) -> pa.Array | None:
    bare = _bare(texts)
    if bare is None or bare.null_count == len(bare):
        return None
    data, lengths = _data(bare)
    if not len(data) or (lengths % 2).any():
        return None
    packed = bytes.fromhex(data.decode("ascii"))
    if len(packed) * 2 != len(data):  # `fromhex` passes over spaces
        return None
    return _from_data(packed, lengths // 2, bare, pa.binary())


def _unpack_hex(values: pa.Array) -> pa.Array:
    data, lengths = _data(values)
    return _in_quotes(_from_data(data.hex().encode(), lengths * 2, values, pa.string()))


def _data(values: pa.Array) -> tuple[bytes, np.ndarray[Any, Any]]:
    """All bytes of a string or binary array, and each value's length (null: 0)."""
    lengths = pc.fill_null(pc.binary_length(values), 0).to_numpy(zero_copy_only=False)
    if not len(values):
        return b"", lengths
    # A null may still own bytes in the buffer; written out anew it owns none.
    filled = pc.fill_null(values, b"" if pa.types.is_binary(values.type) else "")
    offsets = np.frombuffer(filled.buffers()[1], np.int32)[
        filled.offset : filled.offset + len(filled) + 1
    ]
    buffer = filled.buffers()[2]
    data = b"" if buffer is None else buffer.slice(int(offsets[0]), int(offsets[-1] - offsets[0]))
    return bytes(data), lengths


def _from_data(
    data: bytes, lengths: np.ndarray[Any, Any], like: pa.Array, kind: pa.DataType
) -> pa.Array:
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    if offsets[-1] > np.iinfo(np.int32).max:
        raise ValueError("more than 2 GB of one column")
    made = pa.Array.from_buffers(
        kind, len(lengths), [None, pa.py_buffer(offsets.astype(np.int32)), pa.py_buffer(data)]
    )
    if not like.null_count:
        return made
    return pc.if_else(like.is_valid(), made, pa.scalar(None, kind))


def _pack_int(texts: pa.Array) -> pa.Array:
    return texts.cast(pa.int64())


def _unpack_int(values: pa.Array) -> pa.Array:
    return values.cast(pa.string())


_PACK: dict[str, Callable[[pa.Array], pa.Array | None]] = {
    "int": _pack_int,
    "time": _pack_time,
    "hex": _pack_hex,
    "quoted": _bare,
}
_UNPACK: dict[str, Callable[[pa.Array], pa.Array]] = {
    "int": _unpack_int,
    "time": _time_text,
    "hex": _unpack_hex,
    "quoted": _in_quotes,
}
