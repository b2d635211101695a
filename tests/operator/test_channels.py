"""What a Channel is made of, and what its status tells."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.operator.conftest import Cluster, engine_spec, journey_spec
from tests.operator.test_children import APPS, CORE, NETWORK, child, patch
from tests.servers.control import ControlApi, EngineState
from tests.servers.wait import until

pytestmark = [pytest.mark.contract, pytest.mark.usefixtures("operator")]

CHILDREN = [
    (CORE, "serviceaccounts"),
    (CORE, "configmaps"),
    (CORE, "services"),
    (NETWORK, "networkpolicies"),
    (APPS, "deployments"),
]


def spec(**more: Any) -> dict[str, Any]:
    """A channel of engine `bank` whose host somebody else runs."""
    plugin = {"name": "sms", "url": "http://gateway.bank.svc:8082"}
    return {"engineRef": {"name": "bank"}, "medium": "SMS", "plugin": plugin, **more}


def hosted(name: str = "sink", **more: Any) -> dict[str, Any]:
    """A channel whose host the operator runs."""
    return spec(plugin={"name": name, "config": {"keep": 5}}, **more)


@pytest.fixture
def bank(cluster: Cluster, control: ControlApi) -> EngineState:
    """An engine with one serving pod."""
    state = control.engine(cluster.namespace, "bank")
    state.pods = ["pod-a"]
    cluster.serve_endpoints("bank", "pod-a")
    cluster.apply("Engine", "bank", engine_spec())
    return state


def pod_ready(cluster: Cluster, name: str) -> None:
    """What the Deployment's controller would say once the pod is ready."""
    found = child(cluster, APPS, "deployments", f"{name}-channel")
    generation = found["metadata"]["generation"]
    numbers = dict.fromkeys(
        ("replicas", "readyReplicas", "availableReplicas", "updatedReplicas"), 1
    )
    status = {"status": {"observedGeneration": generation, **numbers}}
    patch(cluster, cluster.path("deployments", f"{name}-channel", APPS) + "/status", status)


@pytest.mark.usefixtures("bank")
def test_a_plugin_runs_in_a_pod_of_its_own(cluster: Cluster) -> None:
    secrets = [{"name": "token", "secretRef": {"name": "gateway", "key": "api-token"}}]
    cluster.apply("Channel", "sms", hosted(secretRefs=secrets))
    uid = (cluster.get("channels", "sms") or {})["metadata"]["uid"]
    made = {plural: child(cluster, base, plural, "sms-channel") for base, plural in CHILDREN}
    for plural, each in made.items():
        owners = [(o["kind"], o["uid"]) for o in each["metadata"]["ownerReferences"]]
        assert owners == [("Channel", uid)], plural
    assert json.loads(made["configmaps"]["data"]["config.json"]) == {"keep": 5}
    pod = made["deployments"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    command = " ".join(container["command"])
    assert "channel host --plugin sink" in command
    assert "--require-secret token" in command
    assert pod["automountServiceAccountToken"] is False
    (source,) = next(v for v in pod["volumes"] if v["name"] == "secrets")["projected"]["sources"]
    assert source["secret"]["name"] == "gateway"
    assert source["secret"]["items"] == [{"key": "api-token", "path": "token"}]
    assert cluster.not_ready("channels", "sms", "PodsNotReady")
    pod_ready(cluster, "sms")
    assert cluster.ready("channels", "sms")["reason"] == "Sending"
    status = cluster.status("channels", "sms")
    assert status["health"] == "Healthy"
    assert status["breaker"]["state"] == "Closed"
    assert status["plugin"]["deduplication"] == "Key"


@pytest.mark.usefixtures("bank")
def test_children_are_put_right_and_go_with_what_they_are_for(cluster: Cluster) -> None:
    cluster.apply("Channel", "sms", hosted())
    child(cluster, APPS, "deployments", "sms-channel")
    cluster.delete("services", "sms-channel", CORE)
    child(cluster, CORE, "services", "sms-channel")
    cluster.apply("Channel", "sms", spec())

    def left() -> list[str]:
        return [p for b, p in CHILDREN[:3] if cluster.get(p, "sms-channel", b) is not None]

    until(lambda: not left(), what="what is wanted no longer is gone")
    policy = child(cluster, NETWORK, "networkpolicies", "sms-channel")
    assert policy["spec"]["policyTypes"] == ["Egress"]
    assert policy["spec"]["egress"] == [{"ports": [{"protocol": "TCP", "port": 8082}]}]


def test_the_plan_has_channels_and_journeys_lead_to_them(
    cluster: Cluster, bank: EngineState
) -> None:
    slot = {
        "name": "home-banner",
        "content": {"title": "A code"},
        "channelRef": {"name": "sms"},
        "alternative": {"title": "A branch"},
    }
    nodes = [{"name": "offer", "type": "slot", "slot": slot}]
    cluster.apply("Journey", "code", journey_spec(nodes=nodes))
    cluster.not_ready("journeys", "code", "ChannelMissing")
    cluster.apply("Channel", "sms", spec(retry={"attempts": 2}))
    cluster.ready("journeys", "code")
    assert bank.wanted is not None
    plan = json.loads(bank.plans[bank.wanted])
    (found,) = plan["channels"].values()
    assert found["url"] == "http://gateway.bank.svc:8082"
    assert found["spec"]["retry"]["attempts"] == 2
    cluster.ready("channels", "sms")


def test_a_breaker_is_told_with_an_event(cluster: Cluster, bank: EngineState) -> None:
    cluster.apply("Channel", "sms", spec())
    cluster.ready("channels", "sms")
    name = f"{cluster.namespace}/sms"
    since = "2026-01-01T00:00:00Z"
    why = "9 of 12 calls failed"
    bank.channels[name] = {
        "breaker": {"state": "Open", "since": since, "why": why},
        "lastError": "InDoubt: timed out",
        "lastErrorAt": since,
    }
    until(lambda: cluster.status("channels", "sms").get("health") == "Down", what="it is down")
    degraded = cluster.condition("channels", "sms", "Degraded")
    assert (degraded["status"], degraded["reason"]) == ("True", "BreakerOpen")
    assert why in degraded["message"]
    assert cluster.condition("channels", "sms", "Ready")["status"] == "True"

    def events() -> set[tuple[str, str]]:
        path = f"/apis/events.k8s.io/v1/namespaces/{cluster.namespace}/events"
        items = cluster.server.send("GET", path).body["items"]
        of = [each for each in items if each["regarding"]["kind"] == "Channel"]
        return {(each["reason"], each["type"]) for each in of}

    until(lambda: ("BreakerOpen", "Warning") in events(), what="an Event")
    bank.channels[name] = {}
    until(lambda: cluster.status("channels", "sms").get("health") == "Healthy", what="it is well")
    until(lambda: ("BreakerClosed", "Normal") in events(), what="an Event of its end")


def test_a_host_that_does_not_answer_is_not_ready(cluster: Cluster, bank: EngineState) -> None:
    bank.channels[f"{cluster.namespace}/sms"] = {"problem": "its host does not answer: refused"}
    cluster.apply("Channel", "sms", spec())
    message = cluster.not_ready("channels", "sms", "HostUnreachable")["message"]
    assert "does not answer" in message
    assert cluster.status("channels", "sms")["health"] == "Down"


@pytest.mark.usefixtures("bank")
def test_a_pod_that_ends_is_told_in_its_own_words(cluster: Cluster) -> None:
    cluster.apply("Channel", "sms", hosted("smoke"))
    child(cluster, APPS, "deployments", "sms-channel")
    labels = {
        "app.kubernetes.io/managed-by": "wayfare-operator",
        "app.kubernetes.io/component": "channel",
        "wayfare.dev/channel": "sms",
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "sms-channel-x", "namespace": cluster.namespace, "labels": labels},
        "spec": {"containers": [{"name": "host", "image": "none"}]},
    }
    answer = cluster.server.apply(cluster.path("pods", "sms-channel-x", CORE), pod, manager="tests")
    assert answer.status in (200, 201), answer.message

    def ended(said: str) -> None:
        state = {
            "name": "host",
            "image": "none",
            "imageID": "",
            "ready": False,
            "restartCount": 3,
            "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 40s"}},
            "lastState": {"terminated": {"exitCode": 2, "reason": "Error", "message": said}},
        }
        patch(
            cluster,
            cluster.path("pods", "sms-channel-x", CORE) + "/status",
            {"status": {"containerStatuses": [state]}},
        )

    ended('{"event": "x"}\nwayfare: there is no channel plugin \'smoke\'; installed: sink\n')
    message = cluster.not_ready("channels", "sms", "PluginUnknown")["message"]
    assert "installed: sink" in message
    ended("wayfare: secret token is missing: there is no such Secret, or no such key\n")
    cluster.not_ready("channels", "sms", "SecretMissing")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"plugin": {"name": "sms", "url": "ftp://gateway"}}, "url"),
        ({"plugin": {"name": "sms", "url": "http://gateway", "image": "x"}}, "image"),
        ({"limits": {"concurrency": -1}}, "concurrency"),
        ({"limits": {"queue": -1}}, "queue"),
        ({"limits": {"rate": {"count": -5}}}, "count"),
        ({"limits": {"timeout": "-3s"}}, "timeout"),
        ({"retry": {"attempts": 0}}, "attempts"),
        ({"breaker": {"failurePercent": 0}}, "failurePercent"),
        ({"caps": [{"name": "day", "max": -1, "per": "24h"}]}, "max"),
        ({"deduplication": {"by": "SendKey"}}, "window"),
    ],
)
@pytest.mark.usefixtures("bank")
def test_what_cannot_work_is_refused_with_its_place(
    cluster: Cluster, wrong: dict[str, Any], said: str
) -> None:
    obj = {
        "apiVersion": "wayfare.dev/v1alpha1",
        "kind": "Channel",
        "metadata": {"name": "wrong", "namespace": cluster.namespace},
        "spec": spec(**wrong),
    }
    answer = cluster.server.apply(cluster.path("channels", "wrong"), obj, manager="tests")
    assert answer.status == 422
    assert said in answer.message


@pytest.mark.usefixtures("bank")
def test_a_channel_of_another_namespace_needs_a_grant(cluster: Cluster) -> None:
    name = f"{cluster.namespace}-shared"
    shared = Cluster(cluster.server, cluster.server.make_namespace(name, {}))
    cluster.apply("Engine", "bank", engine_spec(allowedNamespaces={"from": "All"}))
    of = {"engineRef": {"name": "bank", "namespace": cluster.namespace}}
    shared.apply("Channel", "sms", spec(**of))
    slot = {"name": "home-banner", "content": {}, "channelRef": {"name": "sms", "namespace": name}}
    nodes = [{"name": "offer", "type": "slot", "slot": slot}]
    cluster.apply("Journey", "code", journey_spec(nodes=nodes))
    cluster.not_ready("journeys", "code", "RefNotPermitted")
    shared.apply("Channel", "sms", spec(**of, allowedNamespaces={"from": "All"}))
    cluster.ready("journeys", "code")


def test_a_template_that_cannot_be_said_is_told_with_its_place(
    cluster: Cluster, bank: EngineState
) -> None:
    good = spec(template={"parts": {"text": "Dear customer of {{ customer.age }}"}})
    cluster.apply("Channel", "sms", good)
    cluster.ready("channels", "sms")
    wrong = "Dear\n{{ customer.agee }}"
    cluster.apply("Channel", "sms", spec(template={"parts": {"text": wrong}}))
    message = cluster.not_ready("channels", "sms", "UnknownAttribute")["message"]
    assert "spec.template.parts.text, line 2" in message
    assert "goes on serving" in message
    assert bank.wanted is not None
    (found,) = json.loads(bank.plans[bank.wanted])["channels"].values()
    assert found["spec"]["template"]["parts"]["text"].startswith("Dear customer of")


def test_what_the_engine_sends_by_itself_needs_no_pod(cluster: Cluster, bank: EngineState) -> None:
    cluster.apply("Channel", "sms", hosted())
    child(cluster, APPS, "deployments", "sms-channel")
    cluster.apply("Channel", "sms", spec(plugin={"name": "pull"}))
    until(
        lambda: all(cluster.get(p, "sms-channel", b) is None for b, p in CHILDREN),
        what="its pod is gone",
    )
    cluster.ready("channels", "sms")
    assert bank.wanted is not None
    (found,) = json.loads(bank.plans[bank.wanted])["channels"].values()
    assert (found["url"], found["spec"]["plugin"]) == ("", {"name": "pull"})


def test_tasks_that_cannot_be_made_are_told_with_their_place(
    cluster: Cluster, bank: EngineState
) -> None:
    config = {"outcomes": ["reached"], "dueWithin": "2d", "assignee": "desk"}
    cluster.apply("Channel", "desk", spec(plugin={"name": "task", "config": config}))
    cluster.ready("channels", "desk")
    wrong = {"name": "task", "config": config | {"dueWithin": "soon"}}
    cluster.apply("Channel", "desk", spec(plugin=wrong))
    message = cluster.not_ready("channels", "desk", "InvalidSpec")["message"]
    assert "spec.plugin.config.dueWithin" in message
    assert "line" not in message
    assert bank.wanted is not None
    (found,) = json.loads(bank.plans[bank.wanted])["channels"].values()
    assert found["spec"]["plugin"]["config"]["dueWithin"] == "2d"
