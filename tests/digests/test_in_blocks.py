"""A digest in the store is read in large blocks, and a read says what it would say without them."""

from __future__ import annotations

import random

import pytest

from wayfare_engine.journal.digesting import in_blocks
from wayfare_engine.projections.digests.reading import Read

SIZE, BLOCK = 1000, 64
BYTES = random.Random(1).randbytes(SIZE)


def counting(asked: list[tuple[int, int]]) -> Read:
    """Reads of `BYTES` that are noted, and must lie within them."""

    def read(start: int, length: int) -> bytes:
        asked.append((start, length))
        assert start >= 0
        assert start + length <= SIZE
        return BYTES[start : start + length]

    return read


@pytest.mark.parametrize("size", [0, 1, 63, 64, 65, 640, SIZE])
def test_any_range_is_what_it_is_without_blocks(size: int) -> None:
    read = in_blocks(counting([]), size, block=BLOCK)
    some = random.Random(size)
    for _ in range(500):
        start, length = some.randrange(SIZE), some.randrange(3 * BLOCK)
        assert read(start, length) == BYTES[:size][start : start + length]


def test_small_reads_near_each_other_are_one_request() -> None:
    asked: list[tuple[int, int]] = []
    read = in_blocks(counting(asked), SIZE, block=BLOCK)
    for start in range(BLOCK, 3 * BLOCK - 4, 4):
        read(start, 4)
    assert asked == [(BLOCK, BLOCK), (2 * BLOCK, BLOCK)]


def test_the_last_block_ends_where_the_object_ends() -> None:
    asked: list[tuple[int, int]] = []
    read = in_blocks(counting(asked), SIZE, block=BLOCK)
    assert read(SIZE - 3, 50) == BYTES[-3:]
    assert asked == [(SIZE - SIZE % BLOCK, SIZE % BLOCK)]


def test_an_object_that_went_away_is_none() -> None:
    assert in_blocks(lambda start, length: None, SIZE, block=BLOCK)(10, 4) is None
