"""A real API server with the operator's rights, a control API, and one operator a test."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from tests.servers.apiserver import ApiServer, running_apiserver
from tests.servers.control import ControlApi, control_api
from tests.servers.operator import OperatorProcess, grant, running_operator, wait_leading
from tests.servers.wait import until

GROUP = "/apis/wayfare.dev/v1alpha1"
_numbers = itertools.count(1)


class Cluster:
    """One namespace of an API server, and short ways to say what the tests say."""

    def __init__(self, server: ApiServer, namespace: str) -> None:
        self.server = server
        self.namespace = namespace

    def path(self, plural: str, name: str = "", base: str = GROUP) -> str:
        """URL path of a collection or an object in the namespace."""
        return f"{base}/namespaces/{self.namespace}/{plural}" + (f"/{name}" if name else "")

    def apply(self, kind: str, name: str, spec: dict[str, Any], **metadata: Any) -> dict[str, Any]:
        """Apply one of our kinds."""
        obj = {
            "apiVersion": "wayfare.dev/v1alpha1",
            "kind": kind,
            "metadata": {"name": name, "namespace": self.namespace, **metadata},
            "spec": spec,
        }
        answer = self.server.apply(self.path(f"{kind.lower()}s", name), obj, manager="tests")
        assert answer.status in (200, 201), answer.message
        return answer.body

    def get(self, plural: str, name: str, base: str = GROUP) -> dict[str, Any] | None:
        """An object, or None."""
        answer = self.server.send("GET", self.path(plural, name, base))
        return answer.body if answer.status == 200 else None

    def delete(self, plural: str, name: str, base: str = GROUP) -> None:
        """Delete an object."""
        answer = self.server.send("DELETE", self.path(plural, name, base))
        assert answer.status in (200, 202), answer.message

    def status(self, plural: str, name: str) -> dict[str, Any]:
        """The object's status, empty when there is none."""
        found = self.get(plural, name)
        return (found or {}).get("status") or {}

    def condition(self, plural: str, name: str, kind: str) -> dict[str, Any]:
        """One condition, empty when it is not there."""
        conditions = self.status(plural, name).get("conditions") or []
        return next((each for each in conditions if each["type"] == kind), {})

    def ready(self, plural: str, name: str, *, seconds: float = 30) -> dict[str, Any]:
        """Wait until Ready is True for the present generation."""
        return self.wait_ready(plural, name, "True", None, seconds=seconds)

    def not_ready(
        self, plural: str, name: str, reason: str, *, seconds: float = 30
    ) -> dict[str, Any]:
        """Wait until Ready is False with a reason, for the present generation."""
        return self.wait_ready(plural, name, "False", reason, seconds=seconds)

    def wait_ready(
        self, plural: str, name: str, state: str, reason: str | None, *, seconds: float
    ) -> dict[str, Any]:
        """Wait for the condition Ready."""

        def seen() -> dict[str, Any] | None:
            found = self.get(plural, name) or {}
            status = found.get("status") or {}
            for each in status.get("conditions") or []:
                if (
                    each["type"] == "Ready"
                    and each["status"] == state
                    and each["observedGeneration"] == found["metadata"]["generation"]
                    and reason in (None, each["reason"])
                ):
                    return dict(each)
            return None

        return until(seen, seconds=seconds, what=f"{plural} {name} Ready={state} {reason or ''}")

    def serve_endpoints(self, engine: str, *uids: str) -> None:
        """What the endpoint slice controller would say: these serve pods are ready."""
        name = f"{engine}-slice"
        labels = {
            "app.kubernetes.io/managed-by": "wayfare-operator",
            "app.kubernetes.io/component": "serve",
            "wayfare.dev/engine": engine,
            "kubernetes.io/service-name": engine,
        }
        endpoints = [
            {
                "addresses": [f"10.0.0.{index + 1}"],
                "conditions": {"ready": True},
                "targetRef": {
                    "kind": "Pod",
                    "name": uid,
                    "namespace": self.namespace,
                    "uid": uid,
                },
            }
            for index, uid in enumerate(uids)
        ]
        answer = self.server.apply(
            self.path("endpointslices", name, "/apis/discovery.k8s.io/v1"),
            {
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": {"name": name, "namespace": self.namespace, "labels": labels},
                "addressType": "IPv4",
                "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
                "endpoints": endpoints,
            },
            manager="tests",
        )
        assert answer.status in (200, 201), answer.message


def engine_spec(**more: Any) -> dict[str, Any]:
    """A small engine with managed stores."""
    return {
        "stores": {"managed": {}},
        "customers": {
            "attributes": [{"name": "age", "type": "int"}, {"name": "balance", "type": "double"}]
        },
        **more,
    }


def journey_spec(audience: str = "true", *, engine: str = "bank", **more: Any) -> dict[str, Any]:
    """A journey of one slot."""
    return {
        "engineRef": {"name": engine},
        "audience": audience,
        "nodes": [
            {
                "name": "offer",
                "type": "slot",
                "slot": {"name": "home-banner", "content": {"title": "hello"}},
            }
        ],
        **more,
    }


def segment_spec(rule: str, *, engine: str = "bank", **more: Any) -> dict[str, Any]:
    """A segment by a rule."""
    return {"engineRef": {"name": engine}, "rule": rule, **more}


def api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """An API server of a module's own, with our kinds and the operator's rights: its audit log is
    counted."""
    with running_apiserver(tmp_path_factory.mktemp("operator-api")) as started:
        started.install_crds()
        grant(started)
        yield started


server = pytest.fixture(scope="module")(api_server)


def foreign_kind(server: ApiServer, group: str, kind: str, **annotations: str) -> None:
    """A kind of somebody else, as far as it matters here: the real one has a long schema."""
    singular = kind.lower()
    name = f"{singular}s.{group}"
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
    }
    crd = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": name, "annotations": annotations},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"kind": kind, "plural": f"{singular}s", "singular": singular},
            "versions": [version],
        },
    }
    base = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    answer = server.apply(f"{base}/{name}", crd, manager="tests")
    assert answer.status in (200, 201), answer.message
    until(
        lambda: server.send("GET", f"/apis/{group}/v1/{singular}s").status == 200,
        what=f"the API serves {singular}s",
    )


def any_control_api() -> Iterator[ControlApi]:
    """A control API for every engine."""
    with control_api() as api:
        yield api


control = pytest.fixture(scope="module")(any_control_api)


@pytest.fixture
def cluster(server: ApiServer) -> Cluster:
    """A namespace for one test."""
    return Cluster(server, server.make_namespace(f"test-{next(_numbers)}"))


@pytest.fixture(scope="module")
def operator(
    server: ApiServer, control: ControlApi, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OperatorProcess]:
    """A leading operator for the tests of a module, each in a namespace of its own."""
    folder = tmp_path_factory.mktemp("operator")
    with running_operator(server, folder, control_url=control.template) as replica:
        wait_leading(replica)
        yield replica
        assert replica.process.poll() is None, replica.log.read_text()[-4000:]
        assert replica.stop() == 0
