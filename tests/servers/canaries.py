"""What a kubelet and the garbage collector do with a drill's objects, where only an API server is:
the engine's pod is there with what its canary said, and what an owner leaves behind goes."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.servers.apiserver import ApiServer
from tests.servers.mirror import mirrored

SHUT = {
    "tried": 1,
    "own": [["the drill's PostgreSQL", True, "it let us in"]],
    "ways": [["the object store", False, "no answer within 2 s"]],
}
OPEN = {**SHUT, "ways": [["the object store", True, "it let us in"]]}
_COMPONENT = "app.kubernetes.io/component"


@dataclass
class Canaries:
    """Of one namespace. `say`: what the next pod's canary says. `seen`: names of the pods, in the
    order in which they came."""

    server: ApiServer
    namespace: str
    say: dict[str, Any] = field(default_factory=lambda: dict(SHUT))
    seen: list[str] = field(default_factory=list)
    _of: dict[str, str] = field(default_factory=dict)

    def run(self, stop: threading.Event) -> None:
        """Until told to stop."""
        kinds = (("/apis/apps/v1", "deployments"), ("/api/v1", "secrets"))
        paths = [f"{base}/namespaces/{self.namespace}/{plural}" for base, plural in kinds]
        with mirrored(self.server, *paths) as (deployments, secrets):
            while not stop.wait(0.1):
                self._follow(deployments.items)
                self._collect(secrets.items)

    def _follow(self, found: Sequence[dict[str, Any]]) -> None:
        """A pod for each generation of a drill's engine."""
        deployments = {
            f"{each['metadata']['uid']}/{each['metadata']['generation']}": each
            for each in found
            if each["spec"]["template"]["metadata"]["labels"].get(_COMPONENT) == "drill-engine"
        }
        for uid, deployment in deployments.items():
            if uid not in self._of:
                self._of[uid] = self._make(deployment)
        for uid in [uid for uid in self._of if uid not in deployments]:
            self._delete("pods", self._of.pop(uid))

    def _collect(self, found: Sequence[dict[str, Any]]) -> None:
        """Secrets of a ConfigMap that is gone go, too."""
        for secret in found:
            for owner in secret["metadata"].get("ownerReferences") or ():
                if owner["kind"] != "ConfigMap":
                    continue
                maps = f"/api/v1/namespaces/{self.namespace}/configmaps"
                there = self.server.send("GET", f"{maps}/{owner['name']}").body
                if there.get("metadata", {}).get("uid") != owner["uid"]:
                    self._delete("secrets", secret["metadata"]["name"])

    def _make(self, deployment: dict[str, Any]) -> str:
        name = f"{deployment['metadata']['name']}-{len(self.seen)}"
        pods = f"/api/v1/namespaces/{self.namespace}/pods"
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": name,
                "namespace": self.namespace,
                "labels": deployment["spec"]["template"]["metadata"]["labels"],
            },
            "spec": {
                "initContainers": [{"name": "canary", "image": "none"}],
                "containers": [{"name": "serve", "image": "none"}],
            },
        }
        made = self.server.send("POST", pods, pod)
        assert made.status == 201, made.message
        ended = {"exitCode": 0, "message": json.dumps(self.say)}
        said = {
            "name": "canary",
            "image": "none",
            "imageID": "",
            "ready": True,
            "restartCount": 0,
            "state": {"terminated": ended},
        }
        response = self.server.http.patch(
            f"{pods}/{name}/status",
            json={"status": {"phase": "Running", "initContainerStatuses": [said]}},
            headers={"Content-Type": "application/merge-patch+json"},
        )
        assert response.status_code == 200, response.text
        self.seen.append(name)
        return name

    def _delete(self, plural: str, name: str) -> None:
        path = f"/api/v1/namespaces/{self.namespace}/{plural}/{name}"
        answer = self.server.send("DELETE", path, {"gracePeriodSeconds": 0})
        assert answer.status in (200, 404), answer.message


@contextlib.contextmanager
def singing(canaries: Canaries) -> Iterator[Canaries]:
    """They, in a thread of their own."""
    stop = threading.Event()
    problem: list[BaseException] = []

    def run() -> None:
        try:
            canaries.run(stop)
        except BaseException as error:
            problem.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield canaries
    finally:
        stop.set()
        thread.join(20)
    if problem:
        raise problem[0]
