"""Traffic is led to the site that acts, by a Gateway API route or a Service, and away from the one
that stood down; nothing else of these objects changes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.operator.conftest import foreign_kind
from tests.operator.recovery.place import STATEMENT, Place
from tests.operator.recovery.test_switchover import Both, both
from tests.servers.apiserver import ApiServer
from tests.servers.operating import operating
from wayfare_operator.desired.metadata import SERVE, selector
from wayfare_operator.recovery.steps.route import NOBODY

__all__ = ["both"]

pytestmark = [pytest.mark.contract, pytest.mark.timeout(600)]

GATEWAY = "/apis/gateway.networking.k8s.io/v1"
BACKENDS = [{"site": site, "service": f"bank-{site}"} for site in ("east", "west")]
ROUTED = {"type": "HTTPRoute", "httpRoute": {"name": "front", "backends": BACKENDS}}
SELECTED = {"type": "Service", "service": {"name": "front"}}


@pytest.fixture(scope="module")
def gateway_api(server: ApiServer) -> None:
    """The kind HTTPRoute."""
    approved = {"api-approved.kubernetes.io": "unapproved, of a test"}
    foreign_kind(server, "gateway.networking.k8s.io", "HTTPRoute", **approved)


def make_route(place: Place, *names: str) -> None:
    """A route with a rule for each of these backends in turn, and one of somebody else."""
    backends = [{"name": name, "port": 80, "weight": int(not at)} for at, name in enumerate(names)]
    matches = [{"path": {"type": "PathPrefix", "value": "/v1"}}]
    rules = [
        {"matches": matches, "backendRefs": backends},
        {"backendRefs": [{"name": "audit", "port": 80, "weight": 7}]},
    ]
    route = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "front", "namespace": place.cluster.namespace},
        "spec": {"hostnames": ["decisions.bank.example"], "rules": rules},
    }
    made = place.cluster.server.send("POST", place.cluster.path("httproutes", base=GATEWAY), route)
    assert made.status == 201, made.message


def make_service(place: Place) -> None:
    """A Service that leads somewhere else yet."""
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "front", "namespace": place.cluster.namespace},
        "spec": {"ports": [{"port": 80, "targetPort": 8080}], "selector": {"app": "before"}},
    }
    made = place.cluster.server.send(
        "POST", place.cluster.path("services", base="/api/v1"), service
    )
    assert made.status == 201, made.message


def led_to(place: Place) -> dict[str, str]:
    """The Service's selector."""
    found = place.cluster.get("services", "front", "/api/v1")
    assert found is not None
    assert [port["targetPort"] for port in found["spec"]["ports"]] == [8080]
    chosen: dict[str, str] = found["spec"]["selector"]
    return chosen


def weights(place: Place) -> dict[str, int]:
    """Of each backend of the route."""
    found = place.cluster.get("httproutes", "front", GATEWAY)
    assert found is not None
    assert found["spec"]["hostnames"] == ["decisions.bank.example"]
    assert found["spec"]["rules"][0]["matches"][0]["path"]["value"] == "/v1"
    return {
        backend["name"]: backend["weight"]
        for rule in found["spec"]["rules"]
        for backend in rule["backendRefs"]
    }


def take_over(place: Place, *states: str) -> dict[str, Any]:
    """A Failover, until it is in one of these states."""
    place.run("take-over", statement={"text": STATEMENT})
    return place.wait_state("take-over", *states, seconds=120)


@pytest.mark.usefixtures("gateway_api")
def test_a_routes_weights_lead_to_the_site_that_took_over(place: Place, tmp_path: Path) -> None:
    make_route(place, "bank-east", "bank-west")
    place.make_engine(traffic={**ROUTED, "frontDoor": place.serving.url})
    with operating(place.operator(tmp_path / "operator")) as operator:
        operator.start()
        status = take_over(place, "Succeeded", "Failed", "WaitingForApproval")
    assert status["state"] == "Succeeded", json.dumps(status, indent=1)
    assert weights(place) == {"bank-east": 0, "bank-west": 1, "audit": 7}
    assert place.steps("take-over")["Route"] == "Succeeded"


@pytest.mark.usefixtures("gateway_api")
def test_a_route_without_the_backends_fails_the_step_and_can_be_mended(
    place: Place, tmp_path: Path
) -> None:
    make_route(place, "bank-east", "bank-north")
    place.make_engine(traffic=ROUTED)
    with operating(
        place.operator(tmp_path / "operator", WAYFARE_RECOVERY_STEP_SECONDS="20")
    ) as operator:
        operator.start()
        status = take_over(place, "Succeeded", "Failed", "WaitingForApproval")
        assert status["step"] == "Route"
        assert "has no backend bank-west that leads to site west" in json.dumps(
            status["conditions"]
        )
        assert weights(place) == {"bank-east": 1, "bank-north": 0, "audit": 7}
        place.cluster.delete("httproutes", "front", GATEWAY)
        make_route(place, "bank-east", "bank-west")
        place.approve("again", "take-over", "Route", "Retry")
        place.wait_state("take-over", "Succeeded", seconds=60)
    assert weights(place) == {"bank-east": 0, "bank-west": 1, "audit": 7}


def test_the_services_of_both_sites_follow_a_switchover(both: Both) -> None:
    for place in (both.west, both.east):
        make_service(place)
        place.make_engine(traffic=SELECTED)
    both.start()
    both.west.run("move", "Switchover")
    status = both.west.wait_state("move", "Succeeded", "Failed", "WaitingForApproval", seconds=120)
    assert status["state"] == "Succeeded", json.dumps(status, indent=1)
    assert led_to(both.west) == selector("bank", SERVE)
    assert led_to(both.east) == NOBODY
