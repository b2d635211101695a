"""The image of these tests, and objects that use it."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from tests.servers.lab import LabSite
from tests.servers.wait import until
from wayfare_lab.images import write_archive
from wayfare_lab.lab import Lab

IMAGE = "localhost/wayfare-testserver:lab"
_READY = {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1}


def load_image(site: LabSite, folder: Path) -> None:
    """Load the test server's image into a site, unless it has it."""
    archive = folder / "testserver.tar"
    write_archive(
        archive,
        IMAGE,
        {"testserver": site.tools / "testserver"},
        entrypoint=["/testserver"],
    )
    Lab().load_image(archive, [site.name])


def pod(name: str, namespace: str, *command: str, **spec: Any) -> dict[str, Any]:
    """A pod of one container that is not root."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": name}},
        "spec": pod_spec(*command, **spec),
    }


def pod_spec(*command: str, **spec: Any) -> dict[str, Any]:
    """What a pod runs; `container` holds additions to its container."""
    container = {
        "name": "main",
        "image": IMAGE,
        "args": list(command),
        "imagePullPolicy": "Never",
        **spec.pop("container", {}),
    }
    return {
        "terminationGracePeriodSeconds": 0,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 65532},
        "containers": [container],
        **spec,
    }


def deployment(name: str, namespace: str, *command: str, replicas: int = 1) -> dict[str, Any]:
    """A Deployment of servers with a readiness probe."""
    labels = {"app": name}
    container = {"readinessProbe": _READY}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": pod_spec(*command, container=container),
            },
        },
    }


def service(name: str, namespace: str) -> dict[str, Any]:
    """A ClusterIP service on port 80 of the pods of that name."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"selector": {"app": name}, "ports": [{"port": 80, "targetPort": 8080}]},
    }


def wait_available(site: LabSite, namespace: str, name: str, replicas: int = 1) -> None:
    """Wait until a Deployment has that many available pods."""

    def available() -> bool:
        status = site.get("deployment", name, "-n", namespace)["status"]
        return bool(status.get("availableReplicas", 0) == replicas)

    until(available, seconds=60, what=f"{replicas} available pods of {name}")


def wait_ready(site: LabSite, namespace: str, name: str) -> None:
    """Wait until a pod runs."""

    def ready() -> bool:
        conditions = site.get("pod", name, "-n", namespace)["status"].get("conditions", [])
        return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)

    until(ready, seconds=60, what=f"a ready pod {name}")


def fetch(site: LabSite, namespace: str, pod_name: str, url: str) -> str | None:
    """What a URL answers to a pod; None when it does not."""
    try:
        return site.kubectl(
            "exec", "-n", namespace, pod_name, "--", "/testserver", "get", url
        ).strip()
    except subprocess.CalledProcessError:
        return None
