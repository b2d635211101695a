"""Beacons: overwritten, and judged on the reader's own clock."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.lease.clocks import Boottime
from tests.runs.making import AT, PLAN, beacon
from tests.servers.faultstore import Answer, FaultStore
from wayfare_engine import runs
from wayfare_engine.objectstore import ObjectStore, StoreUnavailable, paths
from wayfare_engine.runs import beacons


def test_the_newest_beacon_of_each_site_is_found(direct: ObjectStore) -> None:
    assert beacons.newest(direct, PLAN, "west") is None
    for number in (1, 2):
        beacons.write(direct, PLAN, beacon(number, phase="Production", run=7))
    beacons.write(direct, PLAN, beacon(9, site="east", awake=False))
    assert beacons.newest(direct, PLAN, "west") == beacon(2, phase="Production", run=7)
    east = beacons.newest(direct, PLAN, "east")
    assert east is not None
    assert (east.awake, east.awake_since) == (False, None)


def test_what_is_not_known_is_kept_as_unknown(direct: ObjectStore) -> None:
    beacons.write(direct, PLAN, beacon())
    found = beacons.newest(direct, PLAN, "west")
    assert found is not None
    assert found.versions.kubernetes is None
    assert found.digests.plan is None
    assert found.digests.secrets == {"sms": "a1", "mail": None}


def test_age_is_counted_on_the_readers_clock_whatever_the_writers_says(
    direct: ObjectStore,
) -> None:
    clock = Boottime()
    watch = runs.BeaconWatch(clock)
    assert watch.age() is None, "before the first look"

    def look() -> None:
        watch.saw(beacons.newest(direct, PLAN, "west"))

    look()
    clock.sleep(5)
    assert watch.age() is None, "a site that never wrote one is unknown, not old"
    beacons.write(direct, PLAN, beacon(1, at=AT - timedelta(days=900)))
    look()
    assert watch.age() == 0, "its time is 900 days back, and it is new"
    clock.sleep(3)
    look()
    assert watch.age() == 3
    beacons.write(direct, PLAN, beacon(2, at=AT - timedelta(days=1800)))
    look()
    assert watch.age() == 0
    assert watch.newest == beacon(2, at=AT - timedelta(days=1800))


def test_a_beacon_of_the_same_time_is_another_by_its_number(direct: ObjectStore) -> None:
    clock = Boottime()
    watch = runs.BeaconWatch(clock)
    watch.saw(beacon(1))
    clock.sleep(2)
    watch.saw(beacon(2))
    assert watch.age() == 0


def test_no_answer_is_no_look(store: ObjectStore, faults: FaultStore) -> None:
    clock = Boottime()
    watch = runs.BeaconWatch(clock)
    beacons.write(store, PLAN, beacon())
    watch.saw(beacons.newest(store, PLAN, "west"))
    clock.sleep(4)
    faults.rule("a", Answer(503, "SlowDown"))
    with pytest.raises(StoreUnavailable):
        watch.saw(beacons.newest(store, PLAN, "west"))
    assert watch.age() == 4


def test_a_beacon_of_another_site_is_not_taken_for_this_ones(direct: ObjectStore) -> None:
    beacons.write(direct, PLAN, beacon(1, site="east"))
    body = direct.get(paths.beacon(PLAN, "east")) or b""
    direct.put(paths.beacon(PLAN, "west"), body)
    with pytest.raises(runs.RecordDamaged, match="speaks of site east"):
        beacons.newest(direct, PLAN, "west")
