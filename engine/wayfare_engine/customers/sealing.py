"""Sealing and opening whole columns: a few microseconds a value, and a key for each customer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from wayfare_engine.customers.changes import fitting
from wayfare_engine.customers.typing_columns import hold
from wayfare_engine.plan import AttributeType
from wayfare_engine.privacy import CustomerKeys, Erased, open_envelope, seal
from wayfare_engine.privacy.envelopes import Envelope, read_envelope
from wayfare_engine.store.customer_base import ENVELOPE

_BATCH = 10_000


class Sealing:
    """Seals and opens with one set of keys."""

    def __init__(self, keys: CustomerKeys) -> None:
        self._keys = keys

    def without_erased(self, column: pa.ChunkedArray, ids: pa.ChunkedArray) -> pa.ChunkedArray:
        """The column with null for customers who were erased."""
        gone = np.zeros(len(ids), np.bool_)
        for start, batch in _batches(ids):
            erased = self._keys.erased(batch)
            gone[start : start + len(batch)] = [c in erased for c in batch] if erased else False
        if not gone.any():
            return column
        places = pa.array(np.arange(len(column)), mask=gone)
        return column.take(places)

    def seal_column(
        self,
        plain: pa.ChunkedArray,
        ids: pa.ChunkedArray,
        name: str,
        *,
        old: pa.ChunkedArray | None,
        differs: npt.NDArray[np.bool_],
        before: int,
    ) -> pa.ChunkedArray:
        """Envelopes of `plain`, row by row. Of the first `before` rows those that do not differ
        keep their envelopes of `old`, if that has some."""
        keep = old is not None and pa.types.is_struct(old.type)
        fresh = np.ones(len(plain), np.bool_)
        if keep:
            fresh[:before] = differs
        rows = np.flatnonzero(fresh)
        chosen, owners = plain.take(pa.array(rows)), ids.take(pa.array(rows))
        sealed: list[pa.Array] = []
        for start, batch in _batches(owners):
            values = [_json(v) for v in chosen.slice(start, len(batch)).to_pylist()]
            sealed.append(pa.array(self._sealed(batch, values, name), ENVELOPE))
        if not keep:
            return pa.chunked_array(sealed, ENVELOPE)
        assert old is not None
        pool = pa.chunked_array([*old.chunks, *sealed], ENVELOPE)
        order = np.arange(len(plain))
        order[rows] = before + np.arange(len(rows))
        return pool.take(pa.array(order))

    def open_column(
        self, sealed: pa.ChunkedArray, ids: pa.ChunkedArray, name: str, kind: AttributeType
    ) -> pa.ChunkedArray:
        """The values; null where the customer was erased."""
        opened: list[pa.Array] = []
        for start, batch in _batches(ids):
            cells = [_envelope(c) for c in sealed.slice(start, len(batch)).to_pylist()]
            self._keys.look_up(c.kid for c in cells if c is not None)
            values = [self._opened(c, v, name) for c, v in zip(batch, cells, strict=True)]
            opened.append(hold([None if v is None else fitting(v, kind) for v in values], kind))
        return pa.chunked_array(opened, hold([], kind).type)

    def opener(self) -> Callable[[str, str, bytes], bytes | None]:
        """For `Changes`: envelopes are opened, other values are as they are."""

        def opened(customer: str, name: str, json: bytes) -> bytes | None:
            envelope = read_envelope(json)
            if envelope is None:
                return json
            found = open_envelope(envelope, customer, name, self._keys.key_of)
            return None if isinstance(found, Erased) else found

        return opened

    def _sealed(
        self, customers: list[str], values: list[bytes | None], name: str
    ) -> list[dict[str, bytes] | None]:
        needed = [c for c, v in zip(customers, values, strict=True) if v is not None]
        keys = self._keys.for_sealing(needed) if needed else {}
        found: list[dict[str, bytes] | None] = []
        for customer, value in zip(customers, values, strict=True):
            owned = keys.get(customer)
            if value is None or owned is None:
                found.append(None)
                continue
            kid, key = owned
            made = seal(value, customer, name, kid=kid, key=key, nonce=self._keys.nonce())
            found.append(made._asdict())
        return found

    def _opened(self, customer: str, envelope: Envelope | None, name: str) -> Any:
        if envelope is None:
            return None
        found = open_envelope(envelope, customer, name, self._keys.key_of)
        return None if isinstance(found, Erased) else msgspec.json.decode(found)


def _batches(ids: pa.ChunkedArray) -> Iterator[tuple[int, list[str]]]:
    for start in range(0, len(ids), _BATCH):
        yield start, ids.slice(start, _BATCH).to_pylist()


def _envelope(cell: dict[str, bytes] | None) -> Envelope | None:
    return None if cell is None else Envelope(cell["kid"], cell["nonce"], cell["ciphertext"])


def _json(value: Any) -> bytes | None:
    if value is None:
        return None
    if isinstance(value, datetime):
        return msgspec.json.encode(value.isoformat().replace("+00:00", "Z"))
    return msgspec.json.encode(value)
