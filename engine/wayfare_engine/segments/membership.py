"""Which customers each segment of a plan holds."""

from __future__ import annotations

import hashlib
import time
from array import array
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pyroaring import BitMap

from wayfare_engine.plan import Plan, PlanSegment
from wayfare_engine.plan.expression import segments_of
from wayfare_engine.segments.columns import Columns, Mask
from wayfare_engine.segments.vectors import Evaluator


@dataclass(frozen=True, slots=True)
class Membership:
    """The customers of one segment.

    bitmap: their dense ids. digest: see `digest_of`. duration_seconds: how long it took, without
    the segments that it refers to.
    """

    bitmap: BitMap
    size: int
    digest: str
    duration_seconds: float


def digest_of(bitmap: BitMap) -> str:
    """`sha256:<64 hex>` over the dense ids in ascending order, each as 4 bytes, little-endian.

    Not over the bitmap's own bytes, because equal sets may be stored in different ways. Equal
    digests mean equal sets among engines that share their dense ids.
    """
    return "sha256:" + hashlib.sha256(dense_ids(bitmap).astype("<u4", copy=False).data).hexdigest()


def dense_ids(bitmap: BitMap) -> npt.NDArray[np.uint32]:
    """The ids in ascending order; a copy."""
    return np.frombuffer(bitmap.to_array(), dtype=np.uint32) if bitmap else np.zeros(0, np.uint32)


def compute(
    plan: Plan,
    columns: Columns,
    *,
    wanted: Collection[str] | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Membership]:
    """The memberships of a plan's segments, by key; only those of `wanted` keys when given.

    15 to 20 ms a segment of comparisons over 10 million customers, for which the columns take 9
    bytes a number and 5 a string. clock: in seconds.
    """
    by_name = {segment.name: segment for segment in plan.segments}
    members: dict[str, Mask] = {}
    evaluator = Evaluator(columns, members)
    referred = _referred(by_name.values())
    results: dict[str, Membership] = {}
    for segment in _in_order(by_name):
        needed = wanted is None or segment.key in wanted
        if segment.key in results:
            needed = False
        if not needed and segment.name not in referred:
            continue
        begun = clock()
        mask = _mask(segment, evaluator, columns)
        if segment.name in referred:
            members[segment.name] = mask
        if needed:
            bitmap = BitMap(array("I", columns.dense[mask].tobytes()))
            results[segment.key] = Membership(
                bitmap, len(bitmap), digest_of(bitmap), clock() - begun
            )
    return results


def _mask(segment: PlanSegment, evaluator: Evaluator, columns: Columns) -> Mask:
    if segment.expression is not None:
        return evaluator.truth(segment.expression).true
    mask = np.zeros(len(columns), np.bool_)
    for customer in segment.customers or ():
        position = columns.position.get(customer)
        if position is not None:
            mask[position] = True
    return mask


def _references(segment: PlanSegment) -> frozenset[str]:
    return segments_of(segment.expression) if segment.expression is not None else frozenset()


def _referred(segments: Collection[PlanSegment]) -> frozenset[str]:
    return frozenset(name for segment in segments for name in _references(segment))


def _in_order(by_name: Mapping[str, PlanSegment]) -> list[PlanSegment]:
    """Every segment after those that it refers to."""
    done: dict[str, PlanSegment] = {}
    for root in by_name:
        pending = [root]
        while pending:
            name = pending[-1]
            waiting = [t for t in sorted(_references(by_name[name])) if t not in done]
            if waiting and name not in done:
                pending.extend(waiting)
                continue
            done.setdefault(name, by_name[name])
            pending.pop()
    return list(done.values())
