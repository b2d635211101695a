"""Records in the store: written once, read with a check of format and place, bounded in size."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TypeVar

import msgspec

from wayfare_engine.decoding import known
from wayfare_engine.objectstore import ObjectStore, StoreProblem, StoreUnavailable
from wayfare_engine.runs.problems import NewerRecord, RecordDamaged, RecordTooLarge
from wayfare_engine.runs.records import FORMAT, Record

MOST_RECORD = 1024 * 1024
"""Bytes of one record."""

#: Up to here every integer is a number of its own for every reader of JSON.
_EXACT = 2.0**53

T = TypeVar("T", bound=Record)


class _Format(msgspec.Struct, frozen=True):
    format: int = FORMAT


def canonical(value: object) -> bytes:
    """JSON of any plain value, records included: equal values give equal bytes.

    Keys sorted, no white space, UTF-8; a number without fraction is written as an integer. Raises
    ValueError for NaN and infinities, TypeError for what is not JSON.
    """
    plain = _whole(msgspec.to_builtins(value, str_keys=True))
    return json.dumps(
        plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def _whole(value: object) -> object:
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT:
        return int(value)
    if isinstance(value, dict):
        return {key: _whole(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_whole(part) for part in value]
    return value


def encode(record: Record, path: str) -> bytes:
    """The bytes of a record. Raises RecordTooLarge."""
    body = msgspec.json.encode(record)
    if len(body) > MOST_RECORD:
        raise RecordTooLarge(path, len(body), MOST_RECORD)
    return body


def decode(data: bytes, kind: type[T], path: str) -> T:
    """The record in these bytes. Raises RecordDamaged and NewerRecord."""
    try:
        found = msgspec.json.decode(data, type=_Format).format
        if found <= FORMAT:
            return msgspec.json.decode(data, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise RecordDamaged(path, f"is not what belongs there ({error})") from None
    raise NewerRecord(path, found, FORMAT)


def read(store: ObjectStore, path: str, kind: type[T]) -> T | None:
    """The record at `path`, by a strongly consistent read; None when there is none.

    Raises RecordDamaged, NewerRecord, StoreProblem, StoreUnavailable.
    """
    data = get(store, path, MOST_RECORD)
    return None if data is None else decode(data, kind, path)


def get(store: ObjectStore, path: str, most: int) -> bytes | None:
    """The bytes at `path`; RecordDamaged when there are more than `most`, which are not read."""
    data = store.get(path, most=most + 1)
    if data is not None and len(data) > most:
        raise RecordDamaged(path, f"has more than {most:,} bytes, which is the most there can be")
    return data


def put_once(
    store: ObjectStore,
    path: str,
    record: T,
    *,
    before: Callable[[], None] = lambda: None,
    after: Callable[[], None] = lambda: None,
) -> T:
    """Put the record unless there is one; what stands there from now on, ours or another's.

    Safe to repeat, which is the answer to StoreUnavailable: that leaves unknown whether the write
    took effect, or will. `before` and `after` are crash points around the put.
    """
    kind = type(record)
    present = read(store, path, kind)
    if present is not None:
        return present
    before()
    try:
        created = store.put_if_absent(path, encode(record, path))
    except StoreUnavailable as unknown:
        present = read(store, path, kind)
        if present is None:
            raise type(unknown)(
                store.url,
                f"whether {path} was written is not known ({unknown.cause})",
                f"{unknown.hint}; then do the same again",
            ) from None
        return present
    after()
    if created:
        return record
    present = read(store, path, kind)
    if present is None:
        raise StoreProblem(
            store.url,
            f"{path} exists for a write and not for a read",
            "the store must let a read see what was written",
        )
    return present


known(_Format)
