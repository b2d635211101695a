"""From resources to a plan that pods have acknowledged, as status tells it."""

from __future__ import annotations

import json

import pytest

from tests.operator.conftest import Cluster, engine_spec, journey_spec, segment_spec
from tests.servers.control import ControlApi
from tests.servers.wait import until

pytestmark = [pytest.mark.contract, pytest.mark.usefixtures("operator")]


def test_a_journey_is_published_once_every_serving_pod_acknowledged_it(
    cluster: Cluster, control: ControlApi
) -> None:
    state = control.engine(cluster.namespace, "bank")
    state.acknowledgements = []
    cluster.serve_endpoints("bank", "pod-a", "pod-b")
    cluster.apply("Engine", "bank", engine_spec())
    cluster.apply("Segment", "seniors", segment_spec("customer.age >= 55"))
    cluster.apply("Journey", "offer", journey_spec('segment("seniors")'))
    cluster.not_ready("journeys", "offer", "Publishing")
    until(lambda: state.wanted, what="a plan is published")
    one = {"pod": "pod-a", "podUid": "pod-a", "plan": state.wanted, "ageSeconds": 1}
    state.acknowledgements = [one, {**one, "podUid": "pod-b", "ageSeconds": 16}]
    asked = state.asked
    until(lambda: state.asked >= asked + 3, what="the operator has looked again")
    assert cluster.condition("journeys", "offer", "Ready")["status"] == "False"
    state.acknowledgements = [one, {**one, "podUid": "pod-b"}]
    assert cluster.ready("journeys", "offer")["reason"] == "Published"
    status = cluster.status("journeys", "offer")
    assert status["specDigest"].removeprefix("sha256:").startswith(status["version"])
    assert status["plan"] == state.wanted
    assert cluster.ready("segments", "seniors")["reason"] == "Computed"
    assert cluster.status("segments", "seniors")["size"] == 7
    assert cluster.ready("engines", "bank")["reason"] == "Serving"
    assert cluster.status("engines", "bank")["plan"]["digest"] == state.wanted


def test_a_broken_journey_is_refused_alone_and_its_last_version_goes_on(
    cluster: Cluster, control: ControlApi
) -> None:
    state = control.engine(cluster.namespace, "bank")
    state.pods = ["pod-a"]
    cluster.serve_endpoints("bank", "pod-a")
    cluster.apply("Engine", "bank", engine_spec())
    cluster.apply("Journey", "good", journey_spec())
    cluster.apply("Journey", "edited", journey_spec("customer.age > 30"))
    cluster.ready("journeys", "good")
    cluster.ready("journeys", "edited")
    version = cluster.status("journeys", "edited")["version"]
    cluster.apply("Journey", "edited", journey_spec("customer.age >\n  && true"))
    cluster.apply("Journey", "never", journey_spec("customer.agee > 30"))
    told = cluster.not_ready("journeys", "edited", "SyntaxError")
    assert "spec.audience, line 2, column 3" in told["message"]
    assert f"version {version} goes on serving" in told["message"]
    assert cluster.condition("journeys", "edited", "Stalled")["status"] == "True"
    assert "customer.age" in cluster.not_ready("journeys", "never", "UnknownAttribute")["message"]
    cluster.ready("journeys", "good")
    plan = json.loads(state.plans[state.wanted or ""])
    held = {each["journey"] for each in plan["slots"]["home-banner"]}
    assert held == {f"{cluster.namespace}/good", f"{cluster.namespace}/edited"}
    errors = until(
        lambda: (
            found
            if len(found := cluster.status("engines", "bank").get("compileErrors", [])) == 2
            else None
        ),
        what="the engine lists both",
    )
    assert {each["name"] for each in errors} == {
        f"{cluster.namespace}/edited",
        f"{cluster.namespace}/never",
    }
    assert cluster.ready("engines", "bank")["reason"] == "Serving"


def test_an_import_that_brings_the_attribute_mends_the_rule(
    cluster: Cluster, control: ControlApi
) -> None:
    state = control.engine(cluster.namespace, "bank")
    cluster.apply("Engine", "bank", engine_spec())
    cluster.apply("Segment", "home-owners", segment_spec('customer.housing == "no"'))
    cluster.not_ready("segments", "home-owners", "UnknownAttribute")
    state.attributes = [{"name": "housing", "type": "string"}]
    cluster.ready("segments", "home-owners")


def test_without_serving_pods_nothing_is_published(cluster: Cluster, control: ControlApi) -> None:
    state = control.engine(cluster.namespace, "bank")
    state.pods = ["pod-a"]
    cluster.apply("Engine", "bank", engine_spec())
    cluster.apply("Journey", "offer", journey_spec())
    cluster.not_ready("journeys", "offer", "NoServingPods")
    assert cluster.not_ready("engines", "bank", "NoServingPods")
    cluster.serve_endpoints("bank", "pod-a")
    cluster.ready("journeys", "offer")


def test_a_worker_that_falls_silent_takes_nothing_back(
    cluster: Cluster, control: ControlApi
) -> None:
    state = control.engine(cluster.namespace, "bank")
    state.pods = ["pod-a"]
    cluster.serve_endpoints("bank", "pod-a")
    cluster.apply("Engine", "bank", engine_spec())
    cluster.apply("Journey", "offer", journey_spec())
    cluster.ready("journeys", "offer")
    control.available = False
    cluster.apply("Journey", "late", journey_spec())
    cluster.not_ready("journeys", "late", "WaitingForEngine")
    cluster.not_ready("engines", "bank", "PodsNotReady")
    assert cluster.condition("journeys", "offer", "Ready")["reason"] == "Published"
    control.available = True
    cluster.ready("journeys", "late")


def test_what_this_version_does_not_do_says_so(cluster: Cluster, control: ControlApi) -> None:
    del control
    cluster.apply("Engine", "bank", engine_spec())
    waiting = {"name": "pause", "type": "wait", "wait": {"for": "2d"}}
    cluster.apply("Journey", "later", journey_spec(nodes=[waiting]))
    cluster.apply(
        "Segment", "query", {"engineRef": {"name": "bank"}, "sql": {"query": "select id from t"}}
    )
    assert "wait" in cluster.not_ready("journeys", "later", "NotSupportedYet")["message"]
    cluster.not_ready("segments", "query", "NotSupportedYet")
