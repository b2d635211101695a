"""System: what both sites' beacons say, and the schema of a real database."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.checks.making import (
    assert_failed,
    assert_passed,
    assert_unknown,
    kept,
    look,
    sql,
)
from tests.journal.making import PLAN
from wayfare_engine.clock import now
from wayfare_engine.objectstore import ObjectStore
from wayfare_engine.recovery.checks import Objectives
from wayfare_engine.recovery.checks.capacity import quantity
from wayfare_engine.runs import Beacon, Capacity, Digests, Versions, beacons

SECRETS: dict[str, str | None] = {"postgresql": "k1:aaaa", "smtp": "present"}
SAYS: dict[str, Any] = {
    "versions": Versions(operator="1.2.0", image="wayfare:1.2.0", schema="0018", kubernetes="1.34"),
    "capacity": Capacity(cpu="4", memory="8Gi", pods=110),
    "digests": Digests(plan="sha256:p", configuration="sha256:c", secrets=SECRETS),
    "figures": {"needs": {"cpu": "2500m", "memory": "6Gi", "pods": 12}},
}


def publish(store: ObjectStore, site: str, *, old: float = 0, **changes: Any) -> None:
    """A site's beacon, so many minutes old."""
    fields = SAYS | changes
    at = now() - timedelta(minutes=old)
    beacons.write(
        store, PLAN, Beacon(site=site, at=at, writer="operator-0", number=1, awake=True, **fields)
    )


def test_equal_beacons_pass(store: ObjectStore) -> None:
    publish(store, "west")
    publish(store, "east", versions=Versions(**_versions(kubernetes="1.35")))
    for name in ("ResourcesEqual", "VersionsEqual", "Capacity"):
        result = look(name, store=store)
        assert_passed(result)
        assert set(kept(store, result)["saw"]["beacons"]) == {"east", "west"}


def _versions(**changes: str | None) -> dict[str, Any]:
    given = {"operator": "1.2.0", "image": "wayfare:1.2.0", "schema": "0018", "kubernetes": "1.34"}
    return given | changes


@pytest.mark.parametrize(
    ("digests", "words"),
    [
        (Digests(plan="sha256:q", configuration="sha256:c", secrets=SECRETS), "plan"),
        (Digests(plan="sha256:p", configuration="sha256:d", secrets=SECRETS), "configuration"),
        (
            Digests(
                plan="sha256:p",
                configuration="sha256:c",
                secrets=SECRETS | {"postgresql": "k1:bbbb"},
            ),
            "secret postgresql",
        ),
    ],
)
def test_resources_that_differ_are_named(store: ObjectStore, digests: Digests, words: str) -> None:
    publish(store, "west")
    publish(store, "east", digests=digests)
    found = look("ResourcesEqual", store=store, objectives=Objectives(settle_seconds=0))
    assert_failed(found, f"not the same at both sites: {words}")


def test_a_site_that_has_just_woken_is_looked_at_again(store: ObjectStore) -> None:
    publish(store, "west")
    publish(store, "east", digests=Digests(plan="sha256:q", configuration="sha256:c"))
    said: list[str] = []

    def says(text: str) -> None:
        """It has published its plan meanwhile."""
        said.append(text)
        publish(store, "east")

    assert_passed(look("ResourcesEqual", store=store, say=says))
    assert len(said) == 1


@pytest.mark.parametrize(
    ("secrets", "named"),
    [
        ({"postgresql": "k1:aaaa"}, "secret smtp"),
        (SECRETS | {"smtp": None}, "secret smtp"),
        (SECRETS | {"postgresql": "k2:aaaa"}, "secret postgresql"),
    ],
)
def test_a_secret_that_a_site_does_not_tell_of_is_unknown(
    store: ObjectStore, secrets: dict[str, str | None], named: str
) -> None:
    publish(store, "west")
    publish(
        store, "east", digests=Digests(plan="sha256:p", configuration="sha256:c", secrets=secrets)
    )
    assert_unknown(look("ResourcesEqual", store=store), named)


def test_a_secret_that_the_plan_names_and_no_site_tells_of_is_unknown(store: ObjectStore) -> None:
    told = Digests(plan="sha256:p", configuration="sha256:c")
    for site in ("west", "east"):
        publish(store, site, digests=told)
    assert_passed(look("ResourcesEqual", store=store))
    named = look("ResourcesEqual", store=store, secrets=("smtp",))
    assert_unknown(named, "a site does not say its digest of: secret smtp")


def test_another_image_and_an_untold_one(store: ObjectStore) -> None:
    publish(store, "west")
    publish(store, "east", versions=Versions(**_versions(image="wayfare:1.1.0")))
    assert_failed(look("VersionsEqual", store=store), "image is wayfare:1.2.0 at west")
    publish(store, "east", versions=Versions(**_versions(schema=None)))
    assert_unknown(look("VersionsEqual", store=store), "schema")


def test_a_beacon_that_is_missing_or_old_is_unknown_unless_the_site_is_lost(
    store: ObjectStore,
) -> None:
    for name in ("ResourcesEqual", "VersionsEqual", "Capacity"):
        assert_unknown(look(name, store=store), "west never published")
    publish(store, "west")
    publish(store, "east", old=60)
    for name in ("ResourcesEqual", "VersionsEqual", "Capacity"):
        assert_unknown(look(name, store=store), "60 minutes old")
        assert_passed(look(name, store=store, source_lost=True))
    publish(store, "west", old=60)
    assert_unknown(look("Capacity", store=store, source_lost=True), "west is 60 minutes old")
    store.put(f"beacons/{PLAN}/west", b"{")
    assert_unknown(look("Capacity", store=store), "is not what belongs there")


def test_a_site_that_is_too_small_is_told_what_it_lacks(store: ObjectStore) -> None:
    publish(store, "east")
    publish(store, "west", capacity=Capacity(cpu="2", memory="8Gi", pods=110))
    result = look("Capacity", store=store)
    assert_failed(result, "cpu: 2 can be given and 2500m are needed")
    publish(store, "west", capacity=Capacity(cpu="4", memory="6291455Ki", pods=11))
    assert_failed(look("Capacity", store=store), "memory: 6291455Ki", "pods: 11")
    publish(store, "west", capacity=Capacity(cpu="4", memory=None, pods=110))
    assert_unknown(look("Capacity", store=store), "memory")
    publish(store, "west")
    publish(store, "east", figures={})
    assert_unknown(look("Capacity", store=store), "cpu, memory, pods")


@pytest.mark.parametrize(
    ("text", "number"),
    [("1", 1), ("250m", "0.25"), ("1.5Gi", 1610612736), ("2k", 2000), (7, 7), ("x", None)],
)
def test_quantities_are_read_as_kubernetes_writes_them(text: Any, number: Any) -> None:
    from decimal import Decimal

    assert quantity(text) == (None if number is None else Decimal(number))


def test_a_schema_that_is_older_or_newer_than_the_code_is_found(west: str) -> None:
    assert_passed(look("SchemaRevision", dsn=west))
    present = look("SchemaRevision", dsn=west).figures["database"]
    for revision, words in (("0001", "start a worker"), ("9999", "a newer version was at work")):
        sql(west, "UPDATE wayfare.schema_revision SET version_num = %s", revision)
        assert_failed(look("SchemaRevision", dsn=west), revision, words)
    sql(west, "UPDATE wayfare.schema_revision SET version_num = %s", present)
    assert_unknown(look("SchemaRevision"), "was not given")
