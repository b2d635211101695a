"""A plan of two sites with real databases and a real store; the API server is that of site west.

East is a database whose rows are sealed and shipped, and that is lost. West has an API server, an
operator, and what its controllers and kubelet would do: Jobs run as processes, workloads are ready.
"""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from tests.catchup.databases import random_rows
from tests.journal.making import seal_all
from tests.operator.conftest import Cluster
from tests.servers.control import ControlApi
from tests.servers.jobs import JobRunner, running_jobs
from tests.servers.objects import ObjectServer
from tests.servers.operating import Operating
from tests.servers.postgresql import PostgresqlServer
from tests.servers.serving import Serving, serving
from tests.servers.wait import until
from tests.servers.workloads import rolling_out
from wayfare_engine import runs
from wayfare_engine.clock import now
from wayfare_engine.facts import record
from wayfare_engine.journal.status import lag
from wayfare_engine.lease import Quiesced, TakeEpoch, Terms
from wayfare_engine.lease.beats import BeatWriter, Figures
from wayfare_engine.ledger.fence import site_epoch
from wayfare_engine.objectstore import ObjectStore, open_store, paths

ENGINE, PLAN = "bank", "dr"
TTL, HAND_OVER = 0.6, 0.3
KEY = "a key of the tests that is long enough for requests"
STATEMENT = "the power is off in east, I stand in the room"
GATES = ["ChainUnbroken", "ChainEnd", "CountersEqual", "Readiness", "Active"]
"""Not those that look at what a business has: the rows of these tests are drawn by lot."""

SITES = ("east", "west")
DRILL_KINDS = (
    ("/apis/apps/v1", "deployments"),
    ("/api/v1", "services"),
    ("/api/v1", "configmaps"),
    ("/api/v1", "secrets"),
    ("/api/v1", "pods"),
    ("/apis/networking.k8s.io/v1", "networkpolicies"),
)
"""Of which a drill makes objects."""


@dataclass
class Place:
    """One plan in one namespace. `plan` is its name in the store."""

    cluster: Cluster
    control: ControlApi
    objects: ObjectServer
    databases: dict[str, PostgresqlServer]
    folder: Path
    site: str = "west"
    url: str = ""
    serving: Serving = field(default_factory=Serving)
    jobs: JobRunner = field(init=False)
    operating: Operating | None = None

    def __post_init__(self) -> None:
        self.url = self.url or self.objects.url()
        self.store: ObjectStore = open_store(self.url, options=self.objects.options)
        self.jobs = JobRunner(
            self.cluster.server,
            self.cluster.namespace,
            self.folder,
            secrets={
                "database": {"dsn": self.databases[self.site].dsn},
                "cache": {"url": "redis://127.0.0.1:1/0"},
                "vault": self.objects.options,
            },
            extra={"WAYFARE_BEAT_SECONDS": "0.2"},
        )

    @property
    def plan(self) -> str:
        """The plan's name in the store."""
        return f"{self.cluster.namespace}.{ENGINE}"

    # -- east ---------------------------------------------------------------------------------

    def east_acts(self, rows: int = 60) -> None:
        """East takes the first epoch, writes rows and ships them, and says so."""
        with psycopg.connect(self.databases["east"].dsn, autocommit=True) as connection:
            TakeEpoch(
                connection,
                self.store,
                plan=self.plan,
                site="east",
                epoch=1,
                reason="first",
                terms=Terms(TTL, 0.001, HAND_OVER),
                now=now,
                new_nonce=lambda: uuid.uuid4().hex,
                sleep=lambda seconds: None,
                grounds=Quiesced(),
            ).run()
            made = [row._replace(site="east") for row in random_rows(rows, 1, epoch=1)]
            for start in range(0, rows, 17):
                record(connection, made[start : start + 17])
        self.east_ships()
        self.beat()

    def east_ships(self) -> None:
        """Until nothing of east waits to be sealed."""

        def sealed() -> bool:
            dsn = self.databases["east"].dsn
            seal_all(dsn, self.store, plan=self.plan, site="east")
            with psycopg.connect(dsn, autocommit=True) as connection:
                return lag(connection, "east", site_epoch(connection).epoch).rows == 0

        until(sealed, what="all rows of east are sealed")

    def beat(self, number: int = 1) -> None:
        """East says that it lives."""
        figures = Figures(sealed_seq=60, unsealed=0)
        BeatWriter(
            self.store,
            plan=self.plan,
            site="east",
            epoch=1,
            figures=lambda: figures,
            now=now,
            writer=f"w{number}",
        ).beat()

    def silence(self) -> None:
        """East never said anything: no operator that begins to look now hears of it."""
        self.store.delete(paths.beat(self.plan, "east"))

    def beacon(self, site: str, **more: Any) -> None:
        """What a site's operator says of it."""
        runs.beacons.write(
            self.store,
            self.plan,
            runs.Beacon(site=site, at=now(), writer="test", number=1, awake=True, **more),
        )

    # -- west ---------------------------------------------------------------------------------

    def make_engine(self, **more: Any) -> None:
        """The engine and its plan, and a worker that has published."""
        cluster = self.cluster
        self.control.engine(cluster.namespace, ENGINE).pods = ["serve-1"]
        cluster.apply(
            "Engine",
            ENGINE,
            {
                "stores": {
                    "postgresql": {"secretRef": {"name": "database", "key": "dsn"}},
                    "valkey": {"secretRef": {"name": "cache", "key": "url"}},
                    "objectStore": {"url": self.url, "secretName": "vault"},
                },
                "customers": {"attributes": [{"name": "age", "type": "int"}]},
                "authentication": {"mode": "None"},
                "serve": {"replicas": 1},
            },
        )
        cluster.serve_endpoints(ENGINE, "serve-1")
        spec: dict[str, Any] = {
            "engineRef": {"name": ENGINE},
            "sites": [{"name": name} for name in SITES],
            "lease": {"ttl": "600ms", "handOver": "300ms"},
            "objectives": {"rto": "15m", "rpo": "1m"},
            "standby": {"mode": "Warm"},
            "consistency": {"schedule": "0 0 1 1 *"},
            "checks": {"gates": GATES},
            **more,
        }
        cluster.apply("RecoveryPlan", PLAN, spec)

    def falls_asleep(self, operator: Operating) -> None:
        """All that the engine consists of is scaled to zero, as at the end of a window. Its
        operator, which makes the engine first, is killed: what it knows would be older."""
        base = f"/apis/apps/v1/namespaces/{self.cluster.namespace}/deployments"
        for name in (f"{ENGINE}-worker", f"{ENGINE}-serve"):
            until(
                lambda name=name: (  # type: ignore[misc]
                    self.cluster.get("deployments", name, "/apis/apps/v1") or {"spec": {}}
                )["spec"].get("replicas"),
                what=f"{name} is made",
            )
        operator.kill()
        for name in (f"{ENGINE}-worker", f"{ENGINE}-serve"):
            body = {
                "metadata": {"annotations": {"wayfare.dev/awake-replicas": "1"}},
                "spec": {"replicas": 0},
            }
            response = self.cluster.server.http.patch(
                f"{base}/{name}",
                json=body,
                headers={"Content-Type": "application/merge-patch+json"},
            )
            assert response.status_code == 200, response.text

    def operator(self, folder: Path, **settings: str) -> Operating:
        """The operator of the site, not started yet."""
        given = {
            "WAYFARE_SITE": self.site,
            "WAYFARE_CONTROL_URL_TEMPLATE": self.control.template,
            "WAYFARE_SERVE_URL_TEMPLATE": self.serving.url,
            "WAYFARE_RECOVERY_KEY": KEY,
            "WAYFARE_RECOVERY_POLL_SECONDS": "0.2",
            "WAYFARE_RECOVERY_IDLE_POLL_SECONDS": "0.5",
            "WAYFARE_POLL": "0.1",
            **self.objects.options,
            **settings,
        }
        namespace = self.cluster.namespace
        self.operating = Operating(self.cluster.server, folder, namespace=namespace, **given)
        return self.operating

    def run(self, name: str, kind: str = "Failover", **spec: Any) -> None:
        """Make a RecoveryRun."""
        body = {"planRef": {"name": PLAN}, "kind": kind, "reason": "a test", **spec}
        self.cluster.apply(
            "RecoveryRun", name, body, annotations={"wayfare.dev/author": "ana@bank.example"}
        )

    def approve(self, name: str, run: str, step: str, decision: str, **more: Any) -> None:
        """Make an Approval, by somebody else."""
        spec = {
            "runRef": {"name": run},
            "step": step,
            "attempt": 1,
            "decision": decision,
            "approver": "ben@bank.example",
            "reason": "looked at it",
            **more,
        }
        self.cluster.apply("Approval", name, spec)

    def status(self, name: str) -> dict[str, Any]:
        """A run's status."""
        return self.cluster.status("recoveryruns", name)

    def wait_state(self, name: str, *states: str, seconds: float = 60) -> dict[str, Any]:
        """Until a run is in one of these states; its status."""

        def there() -> dict[str, Any] | None:
            assert self.operating is None or self.operating.alive
            seen = self.status(name)
            return seen if seen.get("state") in states else None

        try:
            return until(there, seconds=seconds, what=f"run {name} is {' or '.join(states)}")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{json.dumps(self.status(name), indent=1)}") from None

    def left_of_drill(self, name: str) -> list[str]:
        """Whatever of a drill the API server still has."""
        return [
            f"{plural}/{each['metadata']['name']}"
            for base, plural in DRILL_KINDS
            for each in self.cluster.server.send("GET", self.cluster.path(plural, base=base)).body[
                "items"
            ]
            if each["metadata"]["name"].startswith(f"{name}-drill")
        ]

    def steps(self, name: str) -> dict[str, str]:
        """Each step's state."""
        return {each["name"]: each["state"] for each in self.status(name).get("steps", ())}


@contextlib.contextmanager
def placed(place: Place) -> Iterator[Place]:
    """With its Jobs run, its workloads ready, and something that serves."""
    with (
        serving(place.serving),
        rolling_out(place.cluster.server, place.cluster.namespace),
        running_jobs(place.jobs),
    ):
        yield place
