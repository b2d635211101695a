"""Customers' ids and their dense ids, as a serving pod holds them: about 100 bytes a customer."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from psycopg import AsyncConnection

from wayfare_engine.store import blobs, customer_base
from wayfare_engine.store.blob_cache import BlobCache
from wayfare_engine.store.customers import CustomersVersion

_BATCH = 5000


class CustomerIds:
    """Follows the customers' blob. A blob that only added customers costs what was added."""

    def __init__(self, cache: BlobCache | None = None) -> None:
        self._cache = cache or BlobCache()
        self._ids: dict[str, int] = {}
        self._dense: npt.NDArray[np.uint32] = np.zeros(0, np.uint32)
        self._blob: str | None = None

    async def follow(
        self, connection: AsyncConnection[Any], version: CustomersVersion
    ) -> Mapping[str, int] | None:
        """Customer to dense id at this version; None when its blob is not here (yet).

        The mapping of an earlier call may get more entries, or is left alone for good.
        """
        if version.blob == self._blob:
            return self._ids
        assert version.blob is not None, "customers never go away altogether"
        path = await blobs.fetch_file_async(connection, version.blob, self._cache)
        if path is None:
            return None
        dense = await asyncio.to_thread(_dense, path)
        held = len(self._dense)
        # Rows are in the order of arrival, and no dense id is ever another customer's.
        grew = len(dense) >= held and bool((dense[:held] == self._dense).all())
        ids, start = (self._ids, held) if grew else ({}, 0)
        for batch in _batches(path, start):
            ids.update(batch)
            await asyncio.sleep(0)  # answers come between
        self._ids, self._dense, self._blob = ids, dense, version.blob
        return ids


def _dense(path: Path) -> npt.NDArray[np.uint32]:
    column = customer_base.read(path, [customer_base.DENSE]).column(customer_base.DENSE)
    return np.asarray(column.to_numpy(), dtype=np.uint32)


def _batches(path: Path, start: int) -> Iterator[list[tuple[str, int]]]:
    """(id, dense) of the rows from `start`."""
    columns = [customer_base.ID, customer_base.DENSE]
    at = 0
    for batch in customer_base.batches(path, columns, _BATCH):
        at += batch.num_rows
        if at <= start:
            continue
        skip = max(0, start - (at - batch.num_rows))
        kept = batch.slice(skip)
        ids = kept.column(customer_base.ID).to_pylist()
        yield list(zip(ids, kept.column(customer_base.DENSE).to_pylist(), strict=True))
