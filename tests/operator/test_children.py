"""What an Engine is made of, and that it stays so."""

from __future__ import annotations

from typing import Any

import pytest

from tests.operator.conftest import Cluster, engine_spec
from tests.servers.wait import until

pytestmark = [pytest.mark.contract, pytest.mark.usefixtures("operator")]

APPS = "/apis/apps/v1"
CORE = "/api/v1"
NETWORK = "/apis/networking.k8s.io/v1"
CHILDREN = [
    (APPS, "deployments", "bank-serve"),
    (APPS, "deployments", "bank-worker"),
    (APPS, "statefulsets", "bank-postgresql"),
    (APPS, "statefulsets", "bank-valkey"),
    (CORE, "services", "bank"),
    (CORE, "services", "bank-worker"),
    (CORE, "configmaps", "bank-control"),
    (CORE, "serviceaccounts", "bank-serve"),
    ("/apis/policy/v1", "poddisruptionbudgets", "bank-serve"),
    ("/apis/autoscaling/v2", "horizontalpodautoscalers", "bank-serve"),
    (NETWORK, "networkpolicies", "bank-worker"),
]


def child(cluster: Cluster, base: str, plural: str, name: str) -> dict[str, Any]:
    """Wait for a child."""
    return until(lambda: cluster.get(plural, name, base), what=f"{plural} {name}")


def patch(cluster: Cluster, path: str, body: dict[str, Any]) -> None:
    """A merge patch by somebody else."""
    answer = cluster.server.http.patch(
        path, json=body, headers={"Content-Type": "application/merge-patch+json"}
    )
    assert answer.status_code == 200, answer.text


@pytest.fixture
def bank(cluster: Cluster) -> Cluster:
    """A namespace with an engine whose children are there."""
    cluster.apply("Engine", "bank", engine_spec())
    for base, plural, name in CHILDREN:
        child(cluster, base, plural, name)
    return cluster


def test_every_child_has_the_engine_as_its_owner(bank: Cluster) -> None:
    uid = (bank.get("engines", "bank") or {})["metadata"]["uid"]
    for base, plural, name in CHILDREN:
        owners = child(bank, base, plural, name)["metadata"]["ownerReferences"]
        assert [each["uid"] for each in owners] == [uid], name


@pytest.mark.parametrize(("base", "plural", "name"), CHILDREN)
def test_a_deleted_child_comes_back(bank: Cluster, base: str, plural: str, name: str) -> None:
    before = child(bank, base, plural, name)["metadata"]["uid"]
    answer = bank.server.send(
        "DELETE", bank.path(plural, name, base), {"propagationPolicy": "Background"}
    )
    assert answer.status in (200, 202)

    def again() -> bool:
        found = bank.get(plural, name, base)
        return found is not None and found["metadata"]["uid"] != before

    until(again, seconds=10, what=f"{plural} {name} is back")


def test_an_edited_deployment_is_put_right(bank: Cluster) -> None:
    path = bank.path("deployments", "bank-serve", APPS)
    found = child(bank, APPS, "deployments", "bank-serve")
    wanted = found["spec"]["template"]["spec"]["containers"][0]["image"]
    containers = [{**found["spec"]["template"]["spec"]["containers"][0], "image": "evil:latest"}]
    patch(bank, path, {"spec": {"template": {"spec": {"containers": containers}}}})

    def image() -> bool:
        spec = child(bank, APPS, "deployments", "bank-serve")["spec"]["template"]["spec"]
        return bool(spec["containers"][0]["image"] == wanted)

    until(image, seconds=10, what="the image is back")


def test_an_edited_selector_is_put_right(bank: Cluster) -> None:
    component = {"app.kubernetes.io/component": "worker"}
    patch(bank, bank.path("services", "bank", CORE), {"spec": {"selector": component}})
    until(
        lambda: (
            child(bank, CORE, "services", "bank")["spec"]["selector"]["app.kubernetes.io/component"]
            == "serve"
        ),
        seconds=10,
        what="the selector is back",
    )


def test_a_removed_label_is_put_right(bank: Cluster) -> None:
    label = "app.kubernetes.io/managed-by"
    path = bank.path("configmaps", "bank-control", CORE)
    patch(bank, path, {"metadata": {"labels": {label: None}}})
    until(
        lambda: label in child(bank, CORE, "configmaps", "bank-control")["metadata"]["labels"],
        seconds=10,
        what="the label is back",
    )


def test_replicas_are_given_once_and_then_left_alone(bank: Cluster) -> None:
    def replicas() -> int:
        return int(child(bank, APPS, "deployments", "bank-serve")["spec"]["replicas"])

    until(lambda: replicas() == 2, what="the first replicas")
    patch(bank, bank.path("deployments", "bank-serve/scale", APPS), {"spec": {"replicas": 5}})
    bank.apply("Engine", "bank", engine_spec(image="localhost/wayfare:other"))
    until(
        lambda: (
            child(bank, APPS, "deployments", "bank-serve")["spec"]["template"]["spec"][
                "containers"
            ][0]["image"]
            == "localhost/wayfare:other"
        ),
        what="the new image",
    )
    assert replicas() == 5
    managers = child(bank, APPS, "deployments", "bank-serve")["metadata"]["managedFields"]
    for entry in managers:
        if entry["manager"] == "wayfare":
            assert "f:replicas" not in entry["fieldsV1"]["f:spec"]


def test_passwords_are_made_once_and_a_retained_secret_has_no_owner(bank: Cluster) -> None:
    found = child(bank, CORE, "secrets", "bank-stores")
    assert set(found["data"]) == {"postgresql-password", "valkey-password"}
    assert "ownerReferences" not in found["metadata"]


def test_somebody_elses_object_of_the_same_name_is_left_alone(cluster: Cluster) -> None:
    answer = cluster.server.send(
        "POST",
        cluster.path("configmaps", "", CORE),
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "bank-control"},
            "data": {"mine": "yes"},
        },
    )
    assert answer.status == 201
    cluster.apply("Engine", "bank", engine_spec())
    assert "bank-control" in cluster.not_ready("engines", "bank", "Conflict")["message"]
    assert child(cluster, CORE, "configmaps", "bank-control")["data"] == {"mine": "yes"}


def test_a_pod_that_lacks_its_secret_is_told_in_its_own_words(cluster: Cluster) -> None:
    stores = {
        "postgresql": {"secretRef": {"name": "database", "key": "dsn"}},
        "valkey": {"secretRef": {"name": "database", "key": "url"}},
    }
    cluster.apply("Engine", "bank", {"stores": stores})
    child(cluster, APPS, "deployments", "bank-serve")
    assert cluster.get("statefulsets", "bank-postgresql", APPS) is None
    labels = {
        "app.kubernetes.io/managed-by": "wayfare-operator",
        "wayfare.dev/engine": "bank",
    }
    pods = cluster.path("pods", "", CORE)
    made = cluster.server.send(
        "POST",
        pods,
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "bank-serve-x", "labels": labels},
            "spec": {"containers": [{"name": "serve", "image": "x"}]},
        },
    )
    assert made.status == 201, made.message
    waiting = {"reason": "CreateContainerConfigError", "message": 'secret "database" not found'}
    status = {
        "containerStatuses": [
            {
                "name": "serve",
                "image": "x",
                "imageID": "",
                "ready": False,
                "restartCount": 0,
                "state": {"waiting": waiting},
            }
        ]
    }
    patch(cluster, cluster.path("pods", "bank-serve-x/status", CORE), {"status": status})
    told = cluster.not_ready("engines", "bank", "SecretMissing")
    assert 'secret "database" not found' in told["message"]


def test_evaluation_stores_are_told(bank: Cluster) -> None:
    until(
        lambda: bank.condition("engines", "bank", "EvaluationStores").get("status") == "True",
        what="EvaluationStores",
    )
    assert bank.status("engines", "bank")["stores"]["postgresql"]["grade"] == "Evaluation"
