"""A plan at one site over a real store; what the other site would write, the test does."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.operator.conftest import Cluster, engine_spec
from tests.servers.control import ControlApi
from tests.servers.objects import ObjectServer
from tests.servers.operator import OperatorProcess, running_operator, wait_leading
from tests.servers.wait import until
from wayfare_engine.lease import epochs
from wayfare_engine.lease.beats import BeatWriter, Figures
from wayfare_engine.objectstore import ObjectStore, open_store
from wayfare_engine.objectstore.marker import claim
from wayfare_engine.resources import CheckLevel, Verdict
from wayfare_engine.runs import (
    Beacon,
    CheckResult,
    Outcome,
    StepResult,
    beacons,
    evidence,
    put_result,
)
from wayfare_engine.runs.windows import window_plan

_numbers = itertools.count(1)
CORE, APPS, BATCH = "/api/v1", "/apis/apps/v1", "/apis/batch/v1"


def now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


class Site:
    """A namespace with Engine `bank` and RecoveryPlan `bank`, and the store of both sites."""

    def __init__(self, cluster: Cluster, objects: ObjectServer, control: ControlApi) -> None:
        self.cluster, self.control = cluster, control
        self.objects, self.url = objects, objects.url()
        self.plan_id = f"{cluster.namespace}.bank"
        self.store: ObjectStore = open_store(self.url, options=objects.options)
        self._beats: dict[str, BeatWriter] = {}

    def engine(self, **more: Any) -> None:
        """Apply the Engine."""
        stores = {"managed": {}, "objectStore": {"url": self.url}}
        self.cluster.apply("Engine", "bank", engine_spec(stores=stores, **more))

    def plan(self, *, name: str = "bank", **more: Any) -> dict[str, Any]:
        """Apply the RecoveryPlan."""
        spec = {
            "engineRef": {"name": "bank"},
            "sites": [{"name": "east"}, {"name": "west"}],
            "objectives": {"rto": "10m", "rpo": "5m"},
            "lease": {"ttl": "1s", "handOver": "1s"},
            **more,
        }
        return self.cluster.apply("RecoveryPlan", name, spec)

    def taken(self, site: str, epoch: int = 1, *, acting: bool = True) -> None:
        """`site` has taken an epoch; `acting`: and its wait is over."""
        claim(self.store, self.plan_id)
        lease = epochs.take(
            self.store,
            plan=self.plan_id,
            site=site,
            epoch=epoch,
            nonce=f"nonce-{epoch}",
            reason="test",
            at=now(),
        ).lease
        if acting:
            epochs.put_acting(self.store, lease, at=now())

    def beat(
        self,
        site: str,
        *,
        epoch: int = 1,
        sealed: int = 0,
        unsealed: int = 0,
        oldest: datetime | None = None,
    ) -> None:
        """`site`'s worker beats."""
        BeatWriter(
            self.store,
            plan=self.plan_id,
            site=site,
            epoch=epoch,
            figures=lambda: Figures(
                sealed_seq=sealed, unsealed=unsealed, oldest_unsealed_at=oldest
            ),
            now=now,
            writer=f"worker-{now().timestamp()}",
        ).beat()

    def beacon(self, site: str, **fields: Any) -> None:
        """`site`'s operator says what it is."""
        beacon = Beacon(
            site=site, at=now(), writer="operator-1", number=next(_numbers), awake=True, **fields
        )
        beacons.write(self.store, self.plan_id, beacon)

    @contextlib.contextmanager
    def operator(
        self, folder: Path, *, site: str = "west", **settings: str
    ) -> Iterator[OperatorProcess]:
        """A leading operator of that site; it is killed at the end if it still runs."""
        with pytest.MonkeyPatch.context() as patched:
            for name, value in self.objects.options.items():
                patched.setenv(name, value)
            quick = {
                "SITE": site,
                "RECOVERY_IDLE_POLL_SECONDS": "0.3",
                "RECOVERY_POLL_SECONDS": "0.3",
                "OBJECT_STORE_TIMEOUT_SECONDS": "2",
                "LEASE_DURATION": "8",
                "RENEW_DEADLINE": "6",
                "RETRY_PERIOD": "1",
                **settings,
            }
            with running_operator(
                self.cluster.server, folder, control_url=self.control.template, **quick
            ) as replica:
                yield wait_leading(replica)

    # -- what there is -----------------------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        """The plan's status."""
        return self.cluster.status("recoveryplans", "bank")

    def condition(self, kind: str) -> dict[str, Any]:
        """One condition of the plan."""
        return self.cluster.condition("recoveryplans", "bank", kind)

    def wait_condition(
        self, kind: str, status: str, reason: str | None = None, *, seconds: float = 30
    ) -> dict[str, Any]:
        """Wait for a condition."""

        def seen() -> dict[str, Any] | None:
            found = self.condition(kind)
            right = found.get("status") == status and reason in (None, found.get("reason"))
            return found if right else None

        return until(seen, seconds=seconds, what=f"{kind}={status} {reason}")

    def wait_status(self, what: str, fact: Any, *, seconds: float = 30) -> dict[str, Any]:
        """Wait until `fact(status)` is true."""

        def seen() -> dict[str, Any] | None:
            found = self.status()
            return found if found and fact(found) else None

        return until(seen, seconds=seconds, what=what)

    def workload(self, plural: str, name: str) -> dict[str, Any]:
        """A Deployment or StatefulSet."""
        return self.cluster.get(plural, name, APPS) or {}

    def replicas(self) -> dict[str, int | None]:
        """Replicas of all that sleeps."""
        return {
            name: (self.workload(plural, name).get("spec") or {}).get("replicas")
            for plural, name in (
                ("statefulsets", "bank-postgresql"),
                ("statefulsets", "bank-valkey"),
                ("deployments", "bank-worker"),
                ("deployments", "bank-serve"),
            )
        }

    def jobs(self) -> list[dict[str, Any]]:
        """The Jobs there are."""
        path = self.cluster.path("jobs", "", BATCH)
        found: list[dict[str, Any]] = self.cluster.server.send("GET", path).body["items"]
        return found

    def wait_job(self, step: str, *, seconds: float = 30) -> dict[str, Any]:
        """Wait for the Job of a step."""

        def seen() -> dict[str, Any] | None:
            return next((each for each in self.jobs() if command_of(each)[3] == step), None)

        return until(seen, seconds=seconds, what=f"a Job of {step}")

    def events(self) -> list[tuple[str, str]]:
        """(reason, note) of the plan's Events."""
        path = self.cluster.path("events", "", "/apis/events.k8s.io/v1")
        items = self.cluster.server.send("GET", path).body["items"]
        return [
            (each["reason"], each["note"])
            for each in items
            if each["regarding"]["kind"] == "RecoveryPlan"
        ]

    # -- what Jobs would do ------------------------------------------------------------------------

    def result(
        self,
        job: dict[str, Any],
        *,
        site: str = "west",
        took: float = 2.0,
        outcome: Outcome = Outcome.SUCCEEDED,
        **more: Any,
    ) -> StepResult:
        """Write what a Job of a window found, as its task does."""
        _, _, _, step, _, number, _, attempt = command_of(job)
        ended = now()
        result = StepResult(
            run=int(number),
            step=step,
            attempt=int(attempt),
            outcome=outcome,
            began_at=ended - timedelta(seconds=took),
            ended_at=ended,
            summary=more.pop("summary", "done"),
            by="pod-1",
            **more,
        )
        return put_result(self.store, window_plan(self.plan_id, site), result)

    def checks(self, **verdicts: Verdict) -> dict[str, Any]:
        """A result's checks, one a level, and evidence of them."""
        found = tuple(
            CheckResult(
                name=f"{level.value}Check",
                level=level,
                verdict=verdicts.get(level.value, Verdict.PASSED),
                gate=True,
                message=f"looked at {level.value}",
                as_of=now(),
            )
            for level in CheckLevel
        )
        digest = evidence.put(self.store, {"at": now().isoformat()})
        return {"checks": found, "evidence": digest}


def command_of(job: dict[str, Any]) -> list[str]:
    """What the Job's container runs."""
    found: list[str] = job["spec"]["template"]["spec"]["containers"][0]["command"]
    return found
