"""A second site stands by, rehearses, takes over when the first is lost, and gives the work back;
then the work is moved there and back as planned.

What is told comes from the runs' own reports, from a receiver outside both sites, and from a
caller who goes on asking.
"""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from typing import Any

from demo import outside
from demo.campaign import run as campaign
from demo.cluster import ENGINE, NAMESPACE, SYSTEM, Cluster, lab_site, load_image
from demo.keys import make_key
from demo.reach import node_port
from demo.recovery import callers, story
from demo.recovery.callers import Door
from demo.recovery.sites import (
    PLAN,
    SECRET,
    Vault,
    apply,
    bank,
    give_engine_the_store,
    give_operator_the_store,
    signing_key,
)
from demo.steps import TOP, WAYFARE, StepFailed

HERE = Path(__file__).parent
STANDBY = "west"
PAGES = {
    kind: TOP / "build" / f"recovery-{kind}.html" for kind in ("drill", "failover", "failback")
}
"""The reports of its runs, for an auditor."""
#: Sends that come due while a site is lost, and while the work is moved: ten a second.
_SENDS, _MOVING_SENDS = 600, 3_000


def prepare(cluster: Cluster, vault: Vault) -> str:
    """What the operator at a site needs before it starts; the key that both sign with."""
    key = known_key(cluster) or signing_key()
    give_operator_the_store(cluster, vault, key)
    return key


def known_key(cluster: Cluster) -> str | None:
    """The key of an earlier run."""
    shown = cluster.kubectl(
        *("-n", SYSTEM, "get", "secret", SECRET, "--ignore-not-found", "-o", "json"), secret=True
    )
    if not shown.strip():
        return None
    found = json.loads(shown)["data"].get("WAYFARE_RECOVERY_KEY")
    return None if found is None else base64.b64decode(found).decode()


def second_site(east: Cluster, reference: str, vault: Vault, key: str) -> Cluster:
    """The same engine at the other site, under the same plan; returns before it stands by."""
    steps = east.steps
    with steps.step("second site", quiet=False) as note:
        west = lab_site(steps, STANDBY)
        load_image(west, reference, None)
        give_operator_the_store(west, vault, key)
        west.install(reference, recovery=True)
        give_engine_the_store(west, vault)
        for site in (east, west):
            outside.declare(site, steps)
            # The demo edited one of its journeys: both have the same again.
            apply(site, *bank(vault))
            campaign.declare(site)
            site.kubectl("apply", "-f", str(HERE / "plan.yaml"))
        note.text = f"{STANDBY}: the same engine, under RecoveryPlan {PLAN}"
    return west


class Story:
    """All that happens between the two sites."""

    def __init__(self, east: Cluster, west: Cluster, vault: Vault, key: str) -> None:
        self._east, self._west, self._vault = east, west, vault
        self._steps = east.steps
        self._doors = [Door(node_port(east, NAMESPACE, ENGINE), key)]

    def run(self) -> dict[str, Any]:
        """What build/demo.json gets. Raises StepFailed."""
        share = self._stand_by()
        return {
            "standby": {"awake_share": share},
            "drill": self._drill(),
            **self._lose_and_give_back(),
            "switchover": self._there_and_back(),
        }

    def _stand_by(self) -> float | None:
        with self._steps.step("the standby sleeps") as note:
            standing = story.wait_standby(self._west)
            away = (standing.get("takeover") or {}).get("estimatedSeconds")
            note.text = f"caught up; {away} s away"
        share: float | None = (standing.get("awake") or {}).get("share")
        return share

    def _drill(self) -> dict[str, Any]:
        with self._steps.step("drill") as note:
            before = _deliveries()
            ended = story.wait_ended(
                self._west, story.start(self._west, "drill", "--reason", "the demo rehearses")
            )
            sent = _deliveries() - before
            told = self._report(ended, PAGES["drill"])
            replay = told["replay"] or {}
            found = {
                "seconds": story.whole(ended),
                "outward_sends": sent,
                "outward_sends_counted_inside": told["isolation"]["outwardSends"],
                "replayed": replay.get("replayed"),
                "replay_differences": replay.get("differences"),
                "checks": _verdicts(ended),
            }
            note.text = f"{found['replayed']} decisions decided again; {sent} sends outside"
        return found

    def _lose_and_give_back(self) -> dict[str, Any]:
        east, west = self._east, self._west
        with self._steps.step("the acting site is lost") as note:
            since = callers.plan_sends(self._doors[0], _SENDS)
            callers.wait_sent(since, 20)
            at = story.kill(east)
            note.text = f"{east.site} was killed at {at:%H:%M:%S} UTC, while sends went out"
        with self._steps.step("failover") as note:
            failed_over = story.wait_ended(
                west,
                story.start(
                    west,
                    "failover",
                    *("--reason", "the demo killed the site"),
                    *("--fault-at", f"{at:%Y-%m-%dT%H:%M:%S.%fZ}"),
                    *("--statement", "every process of the site was killed by this demo", "--yes"),
                ),
            )
            callers.wait_sent(since, _SENDS)
            note.text = f"{west.site} serves, {_rto(failed_over)} s after the site was lost"
        self._report(failed_over, PAGES["failover"])
        with self._steps.step("the site is back") as note:
            self._doors.append(Door(node_port(west, NAMESPACE, ENGINE), make_key(west)[1]))
            story.restore(east)
            note.text = f"{east.site} runs again from its disk, and does not act"
        with self._steps.step("failback") as note:
            given_back = story.wait_ended(
                east, story.start(east, "failback", "--reason", "the site is back", "--yes")
            )
            told = self._report(given_back, PAGES["failback"])
            stranded = told["stranded"] or {}
            note.text = f"{east.site} acts again; {stranded.get('rows')} rows were stranded"
        record = outside.record()
        return {
            "failover": {
                "rto_seconds": _rto(failed_over),
                "lease_wait_seconds": story.seconds_of(failed_over, "FenceWait"),
                "rpo_estimated": failed_over.get("rpo"),
                "checks": _verdicts(failed_over),
            },
            "failback": {
                "seconds": story.whole(given_back),
                "rpo": given_back.get("rpo"),
                "stranded_rows": stranded.get("rows"),
                "unaccounted_rows": stranded.get("unaccounted"),
                "contacted_twice": len(record["both"]),
                "repeats_dropped_by_receiver": record["mail"]["repeats"],
                "checks": _verdicts(given_back),
            },
        }

    def _there_and_back(self) -> dict[str, Any]:
        east, west = self._east, self._west
        with self._steps.step("switchover") as note:
            found = self._move(west, [self._doors[0], self._doors[1]])
            note.text = f"{west.site} acts; no sends for {found['sends_gap_seconds']} s"
        with self._steps.step("and back") as note:
            back = self._move(east, [self._doors[1], self._doors[0]])
            note.text = f"{east.site} acts; no sends for {back['sends_gap_seconds']} s"
        return found | {"back": back}

    def _move(self, to: Cluster, doors: list[Door]) -> dict[str, Any]:
        """The first door is that of the site that still acts."""
        since = callers.plan_sends(doors[0], _MOVING_SENDS)
        callers.wait_sent(since, 5)
        began = time.time()
        with callers.asking(doors) as asked:
            ended = story.wait_ended(
                to, story.start(to, "switchover", "--reason", "the demo moves the work", "--yes")
            )
        return {
            "seconds": story.whole(ended),
            "sends_gap_seconds": callers.sends_gap(began, time.time()),
            "decisions_gap_seconds": asked.gap_seconds,
            "decisions": len(asked.answered),
        }

    def _report(self, ended: dict[str, Any], page: Path) -> dict[str, Any]:
        """A run's report from the records in the object store, as a page and as JSON."""
        words = [WAYFARE, "recovery", "report", str(ended["number"])]
        words += ["--store", f"s3://{self._vault.bucket}/{ENGINE}"]
        words += ["--plan", f"{NAMESPACE}.{ENGINE}"]
        given = self._vault.here
        self._steps.run(*words, "--output", str(page), extra=given)
        told: dict[str, Any] = json.loads(self._steps.run(*words, "--json", extra=given).stdout)
        return told


def _deliveries() -> int:
    """Everything that reached the receiver outside, repeats too."""
    record = outside.record()
    return sum(record[way]["effects"] + record[way]["repeats"] for way in ("push", "mail"))


def _rto(status: dict[str, Any]) -> float | None:
    found = (status.get("rto") or {}).get("seconds")
    if found is None:
        raise StepFailed(f"the run says no recovery time: {status.get('rto')}")
    return float(found)


def _verdicts(status: dict[str, Any]) -> dict[str, str]:
    return {each["name"]: each["verdict"] for each in status.get("checks", [])}
