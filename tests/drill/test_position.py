"""Where a copy ends, and from which snapshot it can be begun."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from wayfare_engine.journal.snapshot import Manifest, Reached
from wayfare_engine.recovery.drill.position import Cut

CHAIN = ("west", 2)
BEFORE = ("east", 1)


def manifest(**reached: int) -> Manifest:
    """A snapshot that holds so much of `east` (epoch 1) and `west` (epoch 2)."""
    epochs = {"east": 1, "west": 2}
    return Manifest(
        format=1,
        plan="p",
        id="s",
        taken_at=datetime(2026, 1, 1, tzinfo=UTC),
        revision="0023",
        highest_epoch=2,
        watermark=tuple(
            Reached(site=site, epoch=epochs[site], seq=seq, segment="", closed_by=None)
            for site, seq in reached.items()
        ),
        tables=(),
    )


def test_without_a_position_everything_is_copied() -> None:
    assert Cut(CHAIN, None).upto([BEFORE, CHAIN]) is None
    assert Cut(None, 7).upto([]) is None


def test_chains_before_it_are_copied_whole() -> None:
    upto = Cut(CHAIN, 40).upto([BEFORE, CHAIN, ("east", 3)])
    assert upto is not None
    assert upto[CHAIN] == 40
    assert upto[BEFORE] > 10**15
    assert ("east", 3) not in upto


@pytest.mark.parametrize(
    ("reached", "holds"),
    [
        ({}, True),
        ({"east": 900}, True),
        ({"east": 900, "west": 40}, True),
        ({"east": 900, "west": 41}, False),
    ],
)
def test_a_snapshot_that_goes_further_is_of_no_use(reached: dict[str, int], holds: bool) -> None:
    assert Cut(CHAIN, 40).holds(manifest(**reached)) is holds
    assert Cut(CHAIN, None).holds(manifest(**reached))
