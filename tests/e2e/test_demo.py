"""What `make demo` leaves behind, and that a second run and another cluster work as well."""

from __future__ import annotations

import pytest

from demo.recovery.run import PAGES
from tests.e2e.product import ENGINE, NAMESPACE, Product

# The first of them waits for the whole demo.
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(2000)]


def test_the_demo_says_what_it_did(product: Product) -> None:
    result = product.demo
    assert result["customers"] == sum(1 for _ in product.customers.open()) - 1
    assert result["decisions"]["requested"] == 5000
    assert result["decisions"]["served"] == 5000
    assert result["decisions"]["errors"] == 0
    assert result["decisions"]["p50_ms"] > 0
    assert len(result["segments"]) >= 6
    assert all(segment["size"] > 0 for segment in result["segments"])
    assert result["plan_digest"].startswith("sha256:")
    assert 0 < result["hot_reload_seconds"] < 30
    assert result["explained"]["considered"]
    assert result["pods"] >= 2


def test_a_channel_that_hangs_costs_nothing(product: Product) -> None:
    found = product.demo["channels"]
    assert found["sent"] == found["unique_at_receiver"] == 5000
    assert found["duplicates"] == 0
    assert found["unknown"] == 0
    assert found["fallback_used"] > 0
    assert found["decisions_without_a_channel_before_fault"] == 0
    # A call that hangs takes 1.5 s until it is one that failed.
    assert 1 < found["breaker_opened_after_s"] < 15
    assert found["decision_p99_ratio_during_fault"] > 0


def test_a_drill_sends_nothing_and_decides_the_same(product: Product) -> None:
    drill = product.demo["drill"]
    assert drill["outward_sends"] == drill["outward_sends_counted_inside"] == 0
    assert drill["replayed"] > 1000
    assert drill["replay_differences"] == 0
    checks = dict(drill["checks"])
    # Its bar is a time, and this machine may be busy with others.
    assert checks.pop("Latency") in {"Passed", "Failed"}, "it was measured"
    assert set(checks.values()) <= {"Passed", "Unknown"}
    for name in ("ChainUnbroken", "OutwardSends", "DecisionsReplayed"):
        assert drill["checks"][name] == "Passed", drill["checks"]


def test_a_lost_site_is_taken_over_and_given_the_work_back(product: Product) -> None:
    """The site of all these tests was killed while sends went out, and came back."""
    failover, failback = product.demo["failover"], product.demo["failback"]
    assert failover["rto_seconds"] > failover["lease_wait_seconds"] > 0
    assert failover["rpo_estimated"]["basis"] == "Estimated"
    gates = ("ChainUnbroken", "TablesEqual", "ContactedOnce", "CapsHeld", "Readiness", "Active")
    assert {name: failover["checks"][name] for name in gates} == dict.fromkeys(gates, "Passed")
    assert failback["seconds"] > 0
    assert failback["rpo"]["basis"] == "Exact"
    assert failback["stranded_rows"] == failback["rpo"]["rows"]
    assert failback["unaccounted_rows"] == 0
    assert failback["contacted_twice"] == 0
    assert {name: failback["checks"][name] for name in gates} == dict.fromkeys(gates, "Passed")


def test_each_run_has_a_page_for_an_auditor(product: Product) -> None:
    pages = {kind: path.read_text(encoding="utf-8") for kind, path in PAGES.items()}
    assert "by the hand-overs in the drill's own ledger" in pages["drill"]
    assert "What this loss would have cost" in pages["drill"]
    assert "every process of the site was killed by this demo" in pages["failover"]
    stranded = product.demo["failback"]["stranded_rows"]
    assert ("What became of each row, by its id" in pages["failback"]) == (stranded > 0)


def test_the_work_is_moved_there_and_back(product: Product) -> None:
    """It acts again, under a fifth epoch: given, taken, given back, moved, moved back."""
    for move in (product.demo["switchover"], product.demo["switchover"]["back"]):
        assert move["decisions"] > 100
        assert move["sends_gap_seconds"] > 0
        assert move["decisions_gap_seconds"] > 0
    status = product.get("recoveryplan", "retail")["status"]
    assert (status["phase"], status["actingSite"], status["epoch"]) == ("Production", "east", 5)


def test_the_engine_tells_the_same_plan_in_its_status(product: Product) -> None:
    status = product.get("engine", ENGINE)["status"]
    assert status["plan"]["digest"].startswith("sha256:")
    with product.client() as client:
        answer = client.post(
            "/v1/decisions", json={"customer": "1", "slot": "home-banner", "context": {}}
        ).json()
    assert answer["plan"] == status["plan"]["digest"]


def test_every_journey_and_segment_of_the_example_is_ready(product: Product) -> None:
    journeys, segments = product.items("journeys"), product.items("segments")
    assert len(journeys) >= 8
    assert len(segments) >= 6
    for kind, found in (("journey", journeys), ("segment", segments)):
        for one in found:
            product.wait_condition(kind, one["metadata"]["name"], "Ready", "True")


def test_get_wayfare_lists_all_kinds(product: Product) -> None:
    listed = product.kubectl("get", "wayfare", "-n", NAMESPACE, "-o", "name")
    for kind in ("engine", "segment", "journey", "channel"):
        assert f"{kind}.wayfare.dev/" in listed


def test_explain_describes_nodes(product: Product) -> None:
    words = product.kubectl("explain", "journey.spec.nodes")
    assert "DESCRIPTION" in words
    assert "slot" in words
    assert "<no description>" not in words


def test_nothing_of_ours_runs_as_root_or_with_api_access(product: Product) -> None:
    pods = product.items("pods")
    assert pods
    for pod in pods:
        spec = pod["spec"]
        assert spec.get("automountServiceAccountToken") is False, pod["metadata"]["name"]
        for container in spec["containers"]:
            context = {**spec.get("securityContext", {}), **container.get("securityContext", {})}
            assert context["runAsNonRoot"] is True
            assert context["readOnlyRootFilesystem"] is True
            assert context["allowPrivilegeEscalation"] is False
