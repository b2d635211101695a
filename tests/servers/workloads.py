"""What the controllers of Deployments and StatefulSets do, told at once: as many pods are ready as
there are to be."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

from tests.servers.apiserver import ApiServer

_KINDS = ("deployments", "statefulsets")


def roll_out(server: ApiServer, namespace: str) -> None:
    """One look at all workloads of a namespace."""
    for plural in _KINDS:
        base = f"/apis/apps/v1/namespaces/{namespace}/{plural}"
        for obj in server.send("GET", base).body["items"]:
            wanted, status = _status(obj, plural), obj.get("status") or {}
            if all(status.get(name, 0) == value for name, value in wanted.items()):
                continue
            response = server.http.patch(
                f"{base}/{obj['metadata']['name']}/status",
                json={"status": wanted},
                headers={"Content-Type": "application/merge-patch+json"},
            )
            assert response.status_code in (200, 404, 409), response.text


def _status(obj: dict[str, Any], plural: str) -> dict[str, Any]:
    replicas = obj["spec"].get("replicas", 1)
    counts = ["replicas", "readyReplicas", "availableReplicas", "updatedReplicas"]
    return {
        "observedGeneration": obj["metadata"]["generation"],
        **dict.fromkeys(counts, replicas),
    }


@contextlib.contextmanager
def rolling_out(server: ApiServer, namespace: str) -> Iterator[None]:
    """In a thread, until left."""
    stop = threading.Event()

    def run() -> None:
        while not stop.wait(0.1):
            roll_out(server, namespace)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(10)
