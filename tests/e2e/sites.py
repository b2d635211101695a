"""Both sites of the demo, as an SRE has them: runs, kills and cuts, and what came outside."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from demo import outside
from demo.cluster import ENGINE, NAMESPACE, Cluster, condition, lab_site
from demo.keys import make_key
from demo.outside import Arrival
from demo.reach import node_port
from demo.recovery import callers, story
from demo.recovery.callers import Door
from demo.recovery.sites import PLAN, Vault, apply, bank
from demo.steps import WAYFARE, StepFailed, Steps
from tests.e2e.missing import told_of
from tests.servers.wait import until

STATEMENT = "this test did it to the site"


@dataclass
class Sites:
    """East acts between tests."""

    steps: Steps
    east: Cluster
    west: Cluster
    vault: Vault
    door: Door
    """East's engine, with a key of it."""
    planned: set[str] = field(default_factory=set)
    """Keys of what was sent last."""

    @classmethod
    def of_demo(cls, key: str, log: Path) -> Sites:
        """As the demo left them."""
        steps = Steps(Console(quiet=True), log)
        east, west = lab_site(steps, "east"), lab_site(steps, "west")
        door = Door(node_port(east, NAMESPACE, ENGINE), key)
        return cls(steps, east, west, Vault.of_lab(steps), door)

    def other(self, site: Cluster) -> Cluster:
        """The site that is not this one."""
        return self.west if site is self.east else self.east

    def door_of(self, site: Cluster) -> Door:
        """A site's engine, with a new key for callers and senders of events; it must be awake."""
        return Door(node_port(site, NAMESPACE, ENGINE), make_key(site, "events:write")[1])

    def lab(self, *words: str) -> None:
        """`wayfare lab WORDS`."""
        self.steps.run(WAYFARE, "lab", *words, timeout=300)

    def plan(self, site: Cluster) -> dict[str, Any]:
        """What a site says of the plan."""
        return story.plan_status(site)

    def said(self, site: Cluster, kind: str) -> dict[str, Any]:
        """A condition of the plan at a site."""
        return condition({"status": self.plan(site)}, kind)

    def run(self, site: Cluster, kind: str, *options: str) -> dict[str, Any]:
        """A run at its target, to its end; its status."""
        words = ("--reason", "a test", *options)
        if kind != "drill":
            words = (*words, "--yes")
        return story.wait_ended(site, story.start(site, kind, *words))

    def fail_over(self, to: Cluster, at: datetime) -> dict[str, Any]:
        """With a statement, from the moment of a fault."""
        fault = ("--fault-at", f"{at:%Y-%m-%dT%H:%M:%S.%fZ}")
        return self.run(to, "failover", *fault, "--statement", STATEMENT)

    def report(self, ended: dict[str, Any]) -> dict[str, Any]:
        """A run's report, as `wayfare recovery report --json` tells it from the store alone."""
        words = [WAYFARE, "recovery", "report", str(ended["number"]), "--json"]
        words += ["--store", f"s3://{self.vault.bucket}/{ENGINE}"]
        words += ["--plan", f"{NAMESPACE}.{ENGINE}"]
        told: dict[str, Any] = json.loads(self.steps.run(*words, extra=self.vault.here).stdout)
        return told

    def sending(self, count: int) -> float:
        """Sends that come due at the acting site from now on, ten a second; since when."""
        since, self.planned = callers.plan_keyed_sends(self.door, count)
        callers.wait_sent(since, 20)
        return since

    def wait_sent(self, since: float, count: int, acting: Cluster, *, seconds: float) -> None:
        """Until as many took effect since then; raises StepFailed, with what the site that acts
        says of those of the last `sending` that did not."""
        try:
            callers.wait_sent(since, count, seconds=seconds)
        except StepFailed as error:
            came = {one.key for one in self.arrivals(since)}
            raise StepFailed(f"{error}; {told_of(acting, self.planned - came)}") from None

    def wait_idle(self, *, seconds: float = 400) -> None:
        """Until nothing that was planned before waits to be sent from east."""

        def waiting() -> int:
            found = self.east.kubectl(
                *("-n", NAMESPACE, "exec", f"deploy/{ENGINE}-worker", "-c", "worker", "--"),
                *("wayfare", "sends", "status", "--json"),
            )
            told = json.loads(found)
            return int(told.get("planned", 0)) + int(told.get("in_doubt", 0))

        until(lambda: not waiting(), seconds=seconds, what="nothing waits", every=3.0)

    def arrivals(self, since: float) -> list[Arrival]:
        """All that came to the receiver outside."""
        return outside.arrivals(since, self.steps)

    def acts(self, site: Cluster) -> bool:
        """Whether both say that this site acts, and nothing is under way."""
        told = [self.plan(each) for each in (self.east, self.west)]
        return all(
            (each.get("phase"), each.get("actingSite")) == ("Production", site.site)
            for each in told
        )

    @contextmanager
    def cut(self, site: Cluster, *options: str) -> Iterator[datetime]:
        """A partition, healed afterwards; since when."""
        at = datetime.now(UTC)
        self.lab("partition", site.site, *options)
        try:
            yield at
        finally:
            self.lab("heal", site.site)

    def change_plan(self, **spec: Any) -> None:
        """At both sites; None takes a field away."""
        for site in (self.east, self.west):
            site.kubectl(
                *("-n", NAMESPACE, "patch", "recoveryplan", PLAN, "--type=merge"),
                *("-p", json.dumps({"spec": spec})),
            )

    def level(self) -> None:
        """Both have the bank's objects as they are written: other tests edited some at one site,
        and a run is barred by that."""
        for site in (self.east, self.west):
            apply(site, *bank(self.vault))
        until(
            lambda: all(
                self.said(site, "ConfigurationDrift").get("status") == "False"
                for site in (self.east, self.west)
            ),
            seconds=120,
            what="both sites have the same objects",
            every=1.0,
        )

    def wait_acts(self, site: Cluster, *, seconds: float = 120) -> None:
        """Until both say so."""
        until(lambda: self.acts(site), seconds=seconds, what=f"{site.site} acts", every=0.5)


def clock() -> float:
    """Seconds since 1970, as the receiver notes them."""
    return time.time()
