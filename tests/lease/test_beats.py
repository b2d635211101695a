"""Staleness is measured by who looks, never by what a beat says of its own time."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.lease.clocks import AT, Boottime, JumpingWall
from wayfare_engine.lease.beats import (
    Beat,
    BeatWatch,
    BeatWriter,
    Figures,
    read_beat,
    watch_until_stale,
)
from wayfare_engine.lease.problems import LeaseDamaged
from wayfare_engine.objectstore import ObjectStore, StoreUnavailable, paths


def writer(store: ObjectStore, **other: Any) -> BeatWriter:
    figures = Figures(sealed_seq=7, unsealed=3, oldest_unsealed_at=AT)
    given: dict[str, Any] = {"figures": lambda: figures, "now": lambda: AT, "writer": "pod-1"}
    return BeatWriter(store, plan="retail", site="east", epoch=1, **(given | other))


def test_a_beat_says_how_far_its_site_is_sealed(store: ObjectStore) -> None:
    assert read_beat(store, "retail", "east") is None
    said = writer(store).beat()
    assert (said.sealed_seq, said.unsealed, said.oldest_unsealed_at) == (7, 3, AT)
    assert (said.site, said.epoch, said.awake) == ("east", 1, True)
    assert read_beat(store, "retail", "east") == said


def test_a_newer_beat_starts_the_age_anew(store: ObjectStore) -> None:
    clock = Boottime()
    watch, site = BeatWatch(clock), writer(store)
    assert watch.age() is None
    site.beat()
    watch.saw(read_beat(store, "retail", "east"))
    clock.now += 40
    watch.saw(read_beat(store, "retail", "east"))
    assert watch.age() == 40
    site.beat()
    clock.now += 5
    watch.saw(read_beat(store, "retail", "east"))
    assert watch.age() == 0


def test_the_times_in_a_beat_decide_nothing(store: ObjectStore) -> None:
    clock = Boottime()
    watch = BeatWatch(clock)
    site = writer(store, now=JumpingWall())
    for _ in range(20):
        clock.now += 1
        site.beat()
        watch.saw(read_beat(store, "retail", "east"))
        assert watch.age() == 0
    ancient = writer(store, now=lambda: datetime(1980, 1, 1, tzinfo=UTC))
    ancient.beat()
    watch.saw(read_beat(store, "retail", "east"))
    assert watch.age() == 0


def test_two_writers_never_look_like_one_that_stopped(store: ObjectStore) -> None:
    clock = Boottime()
    watch = BeatWatch(clock)
    watch.saw(writer(store, writer="a").beat())
    clock.now += 9
    watch.saw(writer(store, writer="b").beat())
    assert watch.age() == 0


def test_watching_ends_when_the_beat_is_stale_or_when_it_changes(store: ObjectStore) -> None:
    clock, site = Boottime(), writer(store)
    site.beat()
    ages: list[float] = []
    stale = watch_until_stale(
        lambda: read_beat(store, "retail", "east"),
        60.0,
        sleep=clock.sleep,
        boottime=clock,
        told=ages.append,
    )
    assert (stale.age(), clock.now) == (60.0, 1060.0)
    assert ages[0] == 0
    assert ages == sorted(ages)

    def alive(seconds: float) -> None:
        clock.sleep(seconds)
        site.beat()

    watch = watch_until_stale(
        lambda: read_beat(store, "retail", "east"), 60.0, sleep=alive, boottime=clock
    )
    assert watch.age() == 0


def test_no_answer_is_not_a_stale_beat() -> None:
    def look() -> Beat | None:
        raise StoreUnavailable("s3://x", "away")

    with pytest.raises(StoreUnavailable):
        watch_until_stale(look, 60.0, sleep=Boottime().sleep, boottime=Boottime())


def test_what_is_no_beat_is_named(store: ObjectStore) -> None:
    store.put(paths.beat("retail", "east"), b"[]")
    with pytest.raises(LeaseDamaged, match="is not a beat"):
        read_beat(store, "retail", "east")
