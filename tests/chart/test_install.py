"""The chart on a real API server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.apiserver import ApiServer, running_apiserver
from tests.servers.helm import CHART, helm

CRD_PATH = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
OPERATOR = "system:serviceaccount:wayfare-system:wayfare-operator"

pytestmark = pytest.mark.contract


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """An API server that has never heard of Wayfare, with a namespace `bank`."""
    with running_apiserver(tmp_path_factory.mktemp("chart-api")) as server:
        server.make_namespace("bank")
        yield server


def install(server: ApiServer, *more: str) -> None:
    """Install or upgrade; nothing becomes ready here, so nothing is waited for."""
    done = helm(
        *("upgrade", "--install", "wayfare", str(CHART), "--namespace", "wayfare-system"),
        *("--create-namespace", "--set", "namespaces={bank}", *more),
        kubeconfig=server.kubeconfig,
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def installed(bare: ApiServer) -> ApiServer:
    """With the chart installed."""
    install(bare)
    return bare


def may(server: ApiServer, verb: str, resource: str, namespace: str) -> bool:
    """Whether the operator's account may do that there."""
    answer = server.kubectl(
        *("auth", "can-i", verb, resource, "-n", namespace, "--as", OPERATOR), check=False
    )
    return answer.stdout.strip() == "yes"


def test_it_installs_upgrades_and_leaves_the_definitions(bare: ApiServer) -> None:
    install(bare)
    install(bare, "--set", "operator.replicas=3")
    deployment = bare.send(
        "GET", "/apis/apps/v1/namespaces/wayfare-system/deployments/wayfare-operator"
    )
    assert deployment.body["spec"]["replicas"] == 3

    done = helm("uninstall", "wayfare", "-n", "wayfare-system", kubeconfig=bare.kubeconfig)
    assert done.returncode == 0, done.stderr
    assert bare.send("GET", f"{CRD_PATH}/journeys.wayfare.dev").status == 200
    # What was kept is taken up again.
    install(bare)


def test_the_examples_are_accepted(installed: ApiServer) -> None:
    installed.kubectl("wait", "--for=condition=Established", "crd/journeys.wayfare.dev")
    for folder in ("bank", "broken"):
        path: Path = CHART.parents[1] / "examples" / folder
        applied = installed.kubectl("apply", "--dry-run=server", "-f", str(path))
        assert applied.stderr == ""


@pytest.mark.parametrize(
    ("verb", "resource", "namespace", "allowed"),
    [
        ("list", "journeys.wayfare.dev", "bank", True),
        ("create", "deployments.apps", "bank", True),
        ("create", "secrets", "bank", True),
        ("update", "leases.coordination.k8s.io", "wayfare-system", True),
        ("get", "secrets", "bank", False),
        ("list", "secrets", "bank", False),
        ("create", "deployments.apps", "default", False),
        ("list", "journeys.wayfare.dev", "default", False),
        ("create", "clusterroles.rbac.authorization.k8s.io", "bank", False),
        ("create", "pods", "bank", False),
    ],
)
def test_the_operator_may_do_this_and_not_that(
    installed: ApiServer, verb: str, resource: str, namespace: str, allowed: bool
) -> None:
    assert may(installed, verb, resource, namespace) is allowed


@pytest.mark.parametrize(
    ("role", "verb", "kind", "allowed"),
    [
        ("wayfare-view", "list", "journeys", True),
        ("wayfare-view", "create", "journeys", False),
        ("wayfare-edit", "create", "journeys", True),
        ("wayfare-edit", "create", "engines", False),
        ("wayfare-admin", "create", "engines", True),
        ("wayfare-view", "list", "recoveryruns", True),
        ("wayfare-edit", "create", "recoveryplans", False),
        ("wayfare-admin", "create", "recoveryplans", True),
        ("wayfare-admin", "failover", "recoveryplans", False),
        ("wayfare-admin", "create", "recoveryruns", False),
        ("wayfare-admin", "create", "approvals", False),
        ("wayfare-drill", "failover", "recoveryplans", False),
        ("wayfare-recover", "failover", "recoveryplans", True),
        ("wayfare-recover", "approve", "recoveryplans", False),
        ("wayfare-approve", "approve", "recoveryplans", True),
    ],
)
def test_people_get_rights_on_the_kinds_with_their_roles(
    installed: ApiServer, role: str, verb: str, kind: str, allowed: bool
) -> None:
    found = installed.send("GET", f"/apis/rbac.authorization.k8s.io/v1/clusterroles/{role}")
    rules = found.body["rules"]
    assert any(verb in rule["verbs"] and kind in rule["resources"] for rule in rules) is allowed
