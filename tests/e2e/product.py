"""The product as the demo left it on the lab: kubectl, the engine's address, a key."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.servers.lab import LabSite
from tests.servers.wait import until

NAMESPACE = "bank"
ENGINE = "retail"


@dataclass(frozen=True)
class Product:
    """One installed engine on one lab site."""

    site: LabSite
    address: str
    key: str
    demo: dict[str, Any]
    customers: Path

    def kubectl(self, *arguments: str, stdin: str | None = None, check: bool = True) -> str:
        """Run kubectl against the site; its output. Raises AssertionError with its words."""
        done = subprocess.run(
            [str(self.site.tools / "kubectl"), f"--kubeconfig={self.site.kubeconfig}", *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(f"kubectl {' '.join(arguments)}: {done.stderr or done.stdout}")
        return done.stdout if check else done.stdout + done.stderr

    def get(self, kind: str, name: str, namespace: str = NAMESPACE) -> dict[str, Any]:
        """One object as the API server has it."""
        found: dict[str, Any] = json.loads(
            self.kubectl("get", kind, name, "-n", namespace, "-o", "json")
        )
        return found

    def items(self, kind: str, *selector: str, namespace: str = NAMESPACE) -> list[dict[str, Any]]:
        """The objects of a kind."""
        listed = json.loads(self.kubectl("get", kind, "-n", namespace, *selector, "-o", "json"))
        return list(listed["items"])

    def apply(self, *objects: dict[str, Any]) -> None:
        """kubectl apply."""
        self.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(objects))

    def condition(self, kind: str, name: str, type_: str) -> dict[str, Any] | None:
        """A condition, when it speaks of the object's present generation."""
        found = self.get(kind, name)
        for condition in found.get("status", {}).get("conditions", []):
            if condition["type"] == type_:
                fresh = condition["observedGeneration"] == found["metadata"]["generation"]
                return dict(condition) if fresh else None
        return None

    def wait_condition(
        self, kind: str, name: str, type_: str, status: str, seconds: float = 180
    ) -> dict[str, Any]:
        """Wait until a condition has this status for the present generation; how the object stands
        and what the operator said stand in the error."""

        def fact() -> dict[str, Any] | None:
            condition = self.condition(kind, name, type_)
            return condition if condition and condition["status"] == status else None

        try:
            return until(fact, seconds=seconds, what=f"{kind}/{name} {type_}={status}", every=0.5)
        except AssertionError as error:
            found = json.dumps(self.get(kind, name).get("status"))
            pods = self.kubectl("get", "pods", "-A")
            said = self.kubectl(
                *("logs", "-n", "wayfare-system", "--tail=50", "--all-containers", "--prefix"),
                *("-l", "app.kubernetes.io/component=operator"),
                check=False,
            )
            raise AssertionError(f"{error}\n{found}\n{pods}\n{said}") from None

    def client(self) -> httpx.Client:
        """An HTTP client of the engine, with a key; each request has a connection of its own."""
        return httpx.Client(
            base_url=self.address,
            headers={"Authorization": f"Bearer {self.key}"},
            timeout=10,
            limits=httpx.Limits(max_keepalive_connections=0),
        )

    def serve_pods(self) -> list[dict[str, Any]]:
        """The serve pods that are not being deleted."""
        pods = self.items("pods", "-l", f"wayfare.dev/engine={ENGINE},{SERVE}")
        return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]

    def serve_ready(self, at_least: int) -> bool:
        """Whether the serve Deployment has that many ready pods of its newest version."""
        status = self.get("deployment", f"{ENGINE}-serve").get("status", {})
        return bool(
            status.get("readyReplicas", 0) >= at_least
            and status.get("updatedReplicas", 0) == status.get("replicas", 0)
            and status.get("unavailableReplicas", 0) == 0
        )

    def ready_endpoints(self) -> int:
        """How many serving pods the Service leads to."""
        slices = self.items("endpointslices", "-l", f"kubernetes.io/service-name={ENGINE}")
        return sum(
            bool(each.get("conditions", {}).get("ready"))
            for one in slices
            for each in one.get("endpoints") or ()
        )


SERVE = "app.kubernetes.io/component=serve"


@dataclass
class Load:
    """What became of the requests sent meanwhile."""

    answered: int = 0
    lost: list[str] = field(default_factory=list)
    lost_at: list[float] = field(default_factory=list)
    """When each of them ended, on CLOCK_MONOTONIC."""
    plans: set[str] = field(default_factory=set)
    degraded: set[str] = field(default_factory=set)


@contextmanager
def load(product: Product, *, threads: int = 4, pause: float = 0.005) -> Iterator[Load]:
    """Ask for decisions from `threads` threads until the block ends (at most 3 minutes).

    Every request opens its own connection: none is spared by having been there before.
    """
    result = Load()
    stop = threading.Event()
    lock = threading.Lock()
    deadline = time.monotonic() + 180

    def ask(offset: int) -> None:
        customer = offset
        with product.client() as client:
            while not stop.is_set() and time.monotonic() < deadline:
                customer = customer % 40_000 + 1
                body = {
                    "customer": str(customer),
                    "slot": "home-banner",
                    "context": {"page": "accounts"},
                }
                try:
                    answer = client.post("/v1/decisions", json=body)
                    problem = (
                        "" if answer.status_code == 200 else f"{answer.status_code} {answer.text}"
                    )
                except httpx.HTTPError as error:
                    problem = repr(error)
                with lock:
                    if problem:
                        result.lost.append(f"{time.strftime('%H:%M:%S')} {problem}")
                        result.lost_at.append(time.monotonic())
                    else:
                        result.answered += 1
                        said = answer.json()
                        result.plans.add(said["plan"])
                        result.degraded.update(said["degraded"])
                stop.wait(pause)

    workers = [threading.Thread(target=ask, args=(n * 1000,), daemon=True) for n in range(threads)]
    for worker in workers:
        worker.start()
    try:
        yield result
    finally:
        stop.set()
        for worker in workers:
            worker.join(30)
