"""What the controllers of Deployments and StatefulSets do, told at once: as many pods are ready as
there are to be."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from typing import Any

from tests.servers.apiserver import ApiServer
from tests.servers.mirror import mirrored

_KINDS = ("deployments", "statefulsets")


def _roll_out(server: ApiServer, plural: str, objects: Sequence[dict[str, Any]]) -> None:
    for obj in objects:
        wanted, status = _status(obj), obj.get("status") or {}
        if all(status.get(name, 0) == value for name, value in wanted.items()):
            continue
        metadata = obj["metadata"]
        path = f"/apis/apps/v1/namespaces/{metadata['namespace']}/{plural}/{metadata['name']}"
        response = server.http.patch(
            f"{path}/status",
            json={"status": wanted},
            headers={"Content-Type": "application/merge-patch+json"},
        )
        assert response.status_code in (200, 404, 409), response.text


def _status(obj: dict[str, Any]) -> dict[str, Any]:
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

    paths = [f"/apis/apps/v1/namespaces/{namespace}/{plural}" for plural in _KINDS]

    def run() -> None:
        with mirrored(server, *paths) as mirrors:
            while not stop.wait(0.1):
                for plural, mirror in zip(_KINDS, mirrors, strict=True):
                    _roll_out(server, plural, mirror.items)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(10)
