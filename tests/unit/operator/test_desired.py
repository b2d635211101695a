"""Everything that an Engine consists of, as golden YAML: a review shows what reaches a cluster.

After a wanted change: `UPDATE_GOLDEN=1 pytest tests/unit/operator/test_desired.py`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from wayfare_engine.resources import Channel, Engine, parse
from wayfare_operator.desired import Facts, channel_children, children
from wayfare_operator.desired.channel import host_url
from wayfare_operator.desired.metadata import DESIRED_ANNOTATION
from wayfare_operator.kube.kinds import Object

GOLDEN = Path(__file__).parent / "golden"
FACTS = Facts(
    image="localhost/wayfare:1",
    image_pull_policy="IfNotPresent",
    site="east",
    operator_namespace="wayfare-system",
    operator_service_account="wayfare-operator",
    issuer="https://kubernetes.default.svc",
    jwks='{"keys":[]}',
)
SPECS: dict[str, dict[str, Any]] = {
    "managed": {"stores": {"managed": {}}},
    "external": {
        "stores": {
            "postgresql": {
                "secretRef": {"name": "database", "key": "dsn"},
                "directSecretRef": {"name": "database", "key": "direct"},
            },
            "valkey": {"secretRef": {"name": "cache", "key": "url"}},
            "objectStore": {"url": "s3://recovery/retail", "secretName": "vault"},
        },
        "customers": {"masterKeySecretRef": {"name": "keys", "key": "master"}},
        "receiptSecretName": "receipts",
        "image": "registry.example/wayfare:2",
        "serve": {
            "replicas": 3,
            "resources": {"requests": {"cpu": "1"}, "limits": {"memory": "2Gi"}},
            "podOverlay": {
                "nodeSelector": {"disk": "fast"},
                "containers": [{"name": "serve", "env": [{"name": "TZ", "value": "UTC"}]}],
            },
        },
        "autoscaling": {"minReplicas": 3, "maxReplicas": 20, "targetCPUUtilization": 60},
        "service": {"type": "NodePort", "nodePort": 30080, "annotations": {"team": "crm"}},
        "authentication": {"mode": "None"},
    },
}


def engine(spec: dict[str, Any]) -> Engine:
    """A parsed engine."""
    metadata = {"name": "retail", "namespace": "bank", "uid": "u-1", "generation": 1}
    obj = {"apiVersion": "wayfare.dev/v1alpha1", "kind": "Engine", "metadata": metadata}
    parsed = parse({**obj, "spec": spec})
    assert isinstance(parsed, Engine)
    return parsed


def built(spec: dict[str, Any]) -> list[Object]:
    """The children of an engine."""
    return children(engine(spec), FACTS)


class _Plain(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


@pytest.mark.parametrize("name", SPECS)
def test_children_are_as_reviewed(name: str) -> None:
    text = str(yaml.dump_all(built(SPECS[name]), Dumper=_Plain, sort_keys=True))
    file = GOLDEN / f"{name}.yaml"
    if os.environ.get("UPDATE_GOLDEN"):
        file.write_text(text)
    assert file.read_text() == text


def test_the_children_of_a_channel_are_as_reviewed() -> None:
    metadata = {"name": "sms", "namespace": "bank", "uid": "u-2", "generation": 1}
    obj = {"apiVersion": "wayfare.dev/v1alpha1", "kind": "Channel", "metadata": metadata}
    spec = {
        "engineRef": {"name": "retail"},
        "medium": "SMS",
        "plugin": {"name": "sms", "config": {"host": "smsc.example", "port": 2775}},
        "secretRefs": [{"name": "password", "secretRef": {"name": "smsc", "key": "password"}}],
    }
    channel = parse({**obj, "spec": spec})
    assert isinstance(channel, Channel)
    made = channel_children(channel, engine(SPECS["managed"]), FACTS)
    text = str(yaml.dump_all(made, Dumper=_Plain, sort_keys=True))
    file = GOLDEN / "channel.yaml"
    if os.environ.get("UPDATE_GOLDEN"):
        file.write_text(text)
    assert file.read_text() == text


@pytest.mark.parametrize(
    "plugin",
    [{"name": "pull"}, {"name": "task", "config": {"outcomes": ["done"], "dueWithin": "1d"}}],
    ids=["pull", "task"],
)
def test_what_the_engine_sends_by_itself_has_no_pod(plugin: dict[str, Any]) -> None:
    metadata = {"name": "desk", "namespace": "bank", "uid": "u-2", "generation": 1}
    obj = {"apiVersion": "wayfare.dev/v1alpha1", "kind": "Channel", "metadata": metadata}
    channel = parse(
        {**obj, "spec": {"engineRef": {"name": "retail"}, "medium": "Other", "plugin": plugin}}
    )
    assert isinstance(channel, Channel)
    assert host_url(channel) == ""
    assert channel_children(channel, engine(SPECS["managed"]), FACTS) == []


def test_serving_pods_ask_the_lease_too() -> None:
    store = {"url": "s3://wayfare", "secretName": "bucket"}
    made = pods({"stores": {"managed": {}, "objectStore": store}})
    containers = [pod["spec"]["containers"][0] for pod in made]
    of = {each["name"]: each for each in containers if each["name"] in ("serve", "worker")}
    for container in of.values():
        env = {each["name"]: each.get("value") for each in container["env"]}
        assert env["WAYFARE_OBJECT_STORE_URL"] == "s3://wayfare"
        assert env["WAYFARE_RECOVERY_PLAN"] == "bank.retail"
        assert container["envFrom"] == [{"secretRef": {"name": "bucket"}}]
    assert len(of) == 2


def pods(spec: dict[str, Any]) -> list[Object]:
    """The pod templates among the children."""
    return [
        each["spec"]["template"]
        for each in built(spec)
        if each["kind"] in ("Deployment", "StatefulSet")
    ]


@pytest.mark.parametrize("name", SPECS)
def test_every_container_is_restricted(name: str) -> None:
    for pod in pods(SPECS[name]):
        assert pod["spec"]["automountServiceAccountToken"] is False
        assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
        assert pod["spec"]["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in [*pod["spec"]["containers"], *pod["spec"].get("initContainers", [])]:
            security = container["securityContext"]
            assert security["readOnlyRootFilesystem"] is True
            assert security["allowPrivilegeEscalation"] is False
            assert security["capabilities"] == {"drop": ["ALL"]}


@pytest.mark.parametrize("name", SPECS)
def test_no_deployment_owns_its_replicas(name: str) -> None:
    deployments = [each for each in built(SPECS[name]) if each["kind"] == "Deployment"]
    assert len(deployments) == 2
    assert all("replicas" not in each["spec"] for each in deployments)


def test_a_rolling_restart_never_has_fewer_pods() -> None:
    serve = next(
        each
        for each in built(SPECS["managed"])
        if each["kind"] == "Deployment" and each["metadata"]["name"] == "retail-serve"
    )
    assert serve["spec"]["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    pod = serve["spec"]["template"]["spec"]
    sleep = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    drain = next(
        int(each["value"])
        for each in pod["containers"][0]["env"]
        if each["name"] == "WAYFARE_DRAIN_SECONDS"
    )
    assert pod["terminationGracePeriodSeconds"] > sleep + drain


def test_stores_of_ones_own_make_no_store_pods() -> None:
    kinds = [each["kind"] for each in built(SPECS["external"])]
    assert "StatefulSet" not in kinds


def test_the_digest_changes_with_the_object_and_only_then() -> None:
    def digests(spec: dict[str, Any]) -> dict[tuple[str, str], str]:
        return {
            (each["kind"], each["metadata"]["name"]): each["metadata"]["annotations"][
                DESIRED_ANNOTATION
            ]
            for each in built(spec)
        }

    first, second = digests(SPECS["managed"]), digests(SPECS["managed"])
    assert first == second
    other = digests({**SPECS["managed"], "autoscaling": {"maxReplicas": 11}})
    assert {key for key in first if first[key] != other[key]} == {
        ("HorizontalPodAutoscaler", "retail-serve")
    }
