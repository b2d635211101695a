"""Configuration that differs between the sites, and that is applied at the standby."""

from __future__ import annotations

from typing import Any

import pytest

from tests.operator.conftest import journey_spec, segment_spec
from tests.operator.plans.conftest import WEST_FIRST, standby
from tests.operator.standby import Site, now
from tests.servers.wait import until
from wayfare_engine.runs import (
    Digests,
    beacons,
    bundle,
    bundles,
)

pytestmark = [pytest.mark.contract, pytest.mark.timeout(240)]


def test_drift_between_the_sites_is_told_by_object_and_field(site: Site) -> None:
    site.taken("east")
    standby(site)
    site.cluster.apply("Journey", "welcome", journey_spec("customer.age > 30"))
    site.wait_condition("ConfigurationDrift", "Unknown", "NotCompared")

    def exported() -> list[dict[str, Any]]:
        found = beacons.newest(site.store, site.plan_id, "west")
        digest = found.digests.configuration if found is not None else None
        return [] if digest is None else list(bundles.get(site.store, digest))

    objects = until(lambda: exported() if len(exported()) == 2 else None, what="the journey")
    assert [each["kind"] for each in objects] == ["Engine", "Journey"]
    other = [dict(each) for each in objects]
    other[1] = {**other[1], "spec": {**other[1]["spec"], "audience": "customer.age > 40"}}
    site.beacon("east", digests=Digests(configuration=bundles.put(site.store, other)))
    told = site.wait_condition("ConfigurationDrift", "True", "ConfigurationDiffers")
    assert "differs in spec.audience" in told["message"]
    assert site.status()["drift"][0]["object"] == f"Journey {site.cluster.namespace}/welcome"
    site.wait_condition("ReadyToTakeOver", "False", "ConfigurationDiffers")
    # What a site has otherwise by its overrides is no drift.
    same = bundles.put(site.store, objects)
    site.beacon("east", digests=Digests(configuration=same))
    site.wait_condition("ConfigurationDrift", "False", "SameConfiguration")
    assert "drift" not in site.status()


def test_a_bundle_is_applied_exactly_at_the_standby(site: Site) -> None:
    site.taken("east")
    overrides = [{"kind": "Journey", "name": "welcome", "spec": {"priority": 7}}]
    sites = [{"name": "east"}, {"name": "west", "overrides": overrides}]
    standby(site, configuration="Bundle", sites=sites)
    namespace = site.cluster.namespace
    site.cluster.apply("Journey", "welcome", journey_spec("customer.age > 1", description="old"))
    site.cluster.apply("Journey", "gone", journey_spec("true"))

    def objects(audience: str) -> list[dict[str, Any]]:
        engine = site.cluster.get("engines", "bank") or {}
        made = [
            {
                "apiVersion": "wayfare.dev/v1alpha1",
                "kind": "Journey",
                "metadata": {"name": name, "namespace": namespace},
                "spec": journey_spec(audience),
            }
            for name in ("welcome", "fresh")
        ]
        return bundle.export([{**engine, "kind": "Engine"}, *made])

    digest = bundles.put(site.store, objects("customer.age > 2"))
    bundles.put_current(
        site.store, site.plan_id, bundles.Current(digest=digest, at=now(), site="east")
    )

    def spec(name: str) -> dict[str, Any]:
        return (site.cluster.get("journeys", name) or {}).get("spec") or {}

    until(lambda: spec("welcome").get("audience") == "customer.age > 2", what="the journey")
    assert spec("welcome")["priority"] == 7
    assert "description" not in spec("welcome")
    until(lambda: spec("fresh").get("audience") == "customer.age > 2", what="the new one")
    until(lambda: site.cluster.get("journeys", "gone") is None, what="the old one is gone")
    # An object that a GitOps tool keeps is not fought over.
    labels = {"kustomize.toolkit.fluxcd.io/name": "bank"}
    site.cluster.apply("Journey", "fresh", journey_spec("customer.age > 2"), labels=labels)
    digest = bundles.put(site.store, objects("customer.age > 3"))
    bundles.put_current(
        site.store, site.plan_id, bundles.Current(digest=digest, at=now(), site="east")
    )
    told = site.cluster.not_ready("recoveryplans", "bank", "ConfigConflict")
    assert "Flux" in told["message"]
    assert spec("welcome")["audience"] == "customer.age > 2"


def test_what_does_not_parse_travels_all_the_same(site: Site) -> None:
    """Left out of the acting site's bundle it would be deleted where the other stands by."""
    site.taken("west")
    site.engine()
    rule = segment_spec("customer.age > 30")
    site.cluster.apply("Segment", "young", rule)
    site.plan(configuration="Bundle", sites=WEST_FIRST)

    def exported() -> dict[str, Any]:
        current = bundles.read_current(site.store, site.plan_id)
        found = [] if current is None else bundles.get(site.store, current.digest)
        return {each["metadata"]["name"]: each["spec"] for each in found}

    until(lambda: "young" in exported(), what="the segment is in the bundle")
    site.cluster.apply("Segment", "young", {**rule, "refresh": {"timeZone": "Mars/Phobos"}})
    message = site.cluster.not_ready("segments", "young", "InvalidSpec")["message"]
    assert "Mars/Phobos" in message
    found = until(
        lambda: e if (e := exported()).get("young", rule) != rule or "young" not in e else None,
        what="the bundle follows",
    )
    assert found["young"]["refresh"]["timeZone"] == "Mars/Phobos"


def test_a_standby_leaves_what_it_does_not_understand(site: Site) -> None:
    """An object of another engine that does not parse is not this plan's to delete."""
    site.taken("east")
    standby(site, configuration="Bundle")
    wrong = {"refresh": {"timeZone": "Mars/Phobos"}}
    site.cluster.apply("Segment", "ours", {**segment_spec("true"), **wrong})
    site.cluster.apply("Segment", "theirs", {**segment_spec("true", engine="shop"), **wrong})
    engine = site.cluster.get("engines", "bank") or {}
    digest = bundles.put(site.store, bundle.export([{**engine, "kind": "Engine"}]))
    bundles.put_current(
        site.store, site.plan_id, bundles.Current(digest=digest, at=now(), site="east")
    )
    until(lambda: site.cluster.get("segments", "ours") is None, what="ours is in no bundle")
    assert site.cluster.get("segments", "theirs") is not None
