"""References and grants."""

from __future__ import annotations

import pytest

from tests.operator.conftest import Cluster, engine_spec, journey_spec, segment_spec
from tests.servers.apiserver import ApiServer
from tests.servers.control import ControlApi
from tests.servers.wait import until

pytestmark = [pytest.mark.contract, pytest.mark.usefixtures("operator")]


@pytest.fixture
def branch(server: ApiServer, cluster: Cluster) -> Cluster:
    """Another namespace beside `cluster`."""
    name = f"{cluster.namespace}-branch"
    return Cluster(server, server.make_namespace(name, {"tier": "branch"}))


def foreign(cluster: Cluster, name: str = "bank") -> dict[str, object]:
    """A journey that refers to an engine of another namespace."""
    return journey_spec() | {"engineRef": {"name": name, "namespace": cluster.namespace}}


def test_a_missing_engine_is_named(cluster: Cluster) -> None:
    cluster.apply("Journey", "offer", journey_spec())
    cluster.not_ready("journeys", "offer", "EngineNotFound")
    cluster.apply("Engine", "bank", engine_spec())
    until(
        lambda: cluster.condition("journeys", "offer", "Ready").get("reason") != "EngineNotFound",
        what="the engine is found",
    )


def test_without_a_grant_the_message_does_not_tell_whether_the_target_exists(
    cluster: Cluster, branch: Cluster
) -> None:
    cluster.apply("Engine", "bank", engine_spec())
    branch.apply("Journey", "there", foreign(cluster))
    branch.apply("Journey", "nowhere", foreign(cluster, "none"))
    there = branch.not_ready("journeys", "there", "RefNotPermitted")["message"]
    nowhere = branch.not_ready("journeys", "nowhere", "RefNotPermitted")["message"]
    assert there.replace("/bank ", "/none ") == nowhere


def test_a_grant_by_selector_follows_the_namespace_labels(
    cluster: Cluster, branch: Cluster, control: ControlApi
) -> None:
    control.engine(cluster.namespace, "bank").pods = ["pod-a"]
    cluster.serve_endpoints("bank", "pod-a")
    grant = {"from": "Selector", "selector": {"matchLabels": {"tier": "branch"}}}
    cluster.apply("Engine", "bank", engine_spec(allowedNamespaces=grant))
    branch.apply("Journey", "offer", foreign(cluster))
    branch.ready("journeys", "offer")
    answer = branch.server.http.patch(
        f"/api/v1/namespaces/{branch.namespace}",
        json={"metadata": {"labels": {"tier": "head"}}},
        headers={"Content-Type": "application/merge-patch+json"},
    )
    assert answer.status_code == 200
    branch.not_ready("journeys", "offer", "RefNotPermitted")


def test_a_shared_segment_needs_a_grant_however_its_name_is_spelt(
    cluster: Cluster, branch: Cluster, control: ControlApi
) -> None:
    control.engine(cluster.namespace, "bank").pods = ["pod-a"]
    cluster.serve_endpoints("bank", "pod-a")
    cluster.apply("Engine", "bank", engine_spec(allowedNamespaces={"from": "All"}))
    cluster.apply("Segment", "seniors", segment_spec("customer.age >= 55"))
    escaped = "".join(f"\\u{ord(char):04x}" for char in f"{cluster.namespace}/seniors")
    spec = foreign(cluster) | {"audience": f'segment("{escaped}")'}
    branch.apply("Journey", "offer", spec)
    branch.not_ready("journeys", "offer", "RefNotPermitted")
    shared = segment_spec("customer.age >= 55", allowedNamespaces={"from": "All"})
    cluster.apply("Segment", "seniors", shared)
    branch.ready("journeys", "offer")


def channel(fallback: str | None = None) -> dict[str, object]:
    """A channel, with a fallback if wanted."""
    spec: dict[str, object] = {
        "engineRef": {"name": "bank"},
        "medium": "SMS",
        "plugin": {"name": "sms", "url": "http://gateway.bank.svc:8082"},
    }
    return spec | ({"fallback": {"name": fallback}} if fallback else {})


def test_a_channel_is_used_and_a_circle_of_fallbacks_is_not(cluster: Cluster) -> None:
    cluster.apply("Engine", "bank", engine_spec())
    cluster.apply("Channel", "plain", channel())
    cluster.apply("Channel", "one", channel("two"))
    assert cluster.ready("channels", "plain")["reason"] == "Sending"
    cluster.not_ready("channels", "one", "ChannelMissing")
    cluster.apply("Channel", "two", channel("one"))
    for name in ("one", "two"):
        message = cluster.not_ready("channels", name, "FallbackCycle")["message"]
        assert "→" in message
    cluster.apply("Channel", "two", channel("plain"))
    cluster.ready("channels", "one")


def test_an_event_tells_the_same_reason_as_the_condition(cluster: Cluster) -> None:
    cluster.apply("Journey", "lonely", journey_spec())
    told = cluster.not_ready("journeys", "lonely", "EngineNotFound")

    def event() -> bool:
        path = f"/apis/events.k8s.io/v1/namespaces/{cluster.namespace}/events"
        items = cluster.server.send("GET", path).body["items"]
        return any(
            each["reason"] == told["reason"]
            and each["note"] == told["message"]
            and each["regarding"]["name"] == "lonely"
            for each in items
        )

    until(event, what="the Event")
