"""A second site stands by, takes over when the first is lost, and gives the work back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from demo.campaign import run as campaign
from demo.cluster import SYSTEM, Cluster, lab_site, load_image
from demo.recovery import story
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
from demo.steps import StepFailed

HERE = Path(__file__).parent
STANDBY = "west"


def prepare(cluster: Cluster, vault: Vault) -> str:
    """What the operator at a site needs before it starts; the key that both sign with."""
    key = known_key(cluster) or signing_key()
    give_operator_the_store(cluster, vault, key, None)
    return key


def known_key(cluster: Cluster) -> str | None:
    """The key of an earlier run."""
    import base64

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
        give_operator_the_store(west, vault, key, None)
        west.install(reference, recovery=True)
        give_engine_the_store(west, vault)
        for site in (east, west):
            # The demo edited one of its journeys: both have the same again.
            apply(site, *bank(vault))
            campaign.declare(site, reference)
            site.kubectl("apply", "-f", str(HERE / "plan.yaml"))
        note.text = f"{STANDBY}: the same engine, under RecoveryPlan {PLAN}"
    return west


def run(east: Cluster, west: Cluster) -> dict[str, Any]:
    """Stand by, lose a site, take over, come back, give back; what build/demo.json gets."""
    steps = east.steps
    with steps.step("the standby sleeps") as note:
        standing = story.wait_standby(west)
        awake = standing.get("awake") or {}
        share = awake.get("share")
        note.text = f"caught up; {(standing.get('takeover') or {}).get('estimatedSeconds')} s away"
    with steps.step("the acting site is lost") as note:
        at = story.kill(east)
        note.text = f"{east.site} was killed at {at:%H:%M:%S} UTC"
    with steps.step("failover") as note:
        failed_over = story.wait_ended(
            west,
            story.start(
                west,
                "failover",
                *("--reason", "the demo killed the site", "--fault-at", f"{at:%Y-%m-%dT%H:%M:%SZ}"),
                *("--statement", "every process of the site was killed by this demo", "--yes"),
            ),
        )
        note.text = f"{west.site} serves, {_rto(failed_over)} s after the site was lost"
    with steps.step("the site is back") as note:
        story.restore(east)
        note.text = f"{east.site} runs again from its disk, and does not act"
    with steps.step("failback") as note:
        given_back = story.wait_ended(
            east,
            story.start(east, "failback", "--reason", "the site is back", "--yes"),
        )
        note.text = f"{east.site} acts again"
    return {
        "standby": {"awake_share": share},
        "failover": {
            "rto_seconds": _rto(failed_over),
            "lease_wait_seconds": story.seconds_of(failed_over, "FenceWait"),
            "rpo_estimated": failed_over.get("rpo"),
            "checks": _verdicts(failed_over),
        },
        "failback": {
            "seconds": story.whole(given_back),
            "rpo": given_back.get("rpo"),
            "checks": _verdicts(given_back),
        },
    }


def _rto(status: dict[str, Any]) -> float | None:
    found = (status.get("rto") or {}).get("seconds")
    if found is None:
        raise StepFailed(f"the run says no recovery time: {status.get('rto')}")
    return float(found)


def _verdicts(status: dict[str, Any]) -> dict[str, str]:
    return {each["name"]: each["verdict"] for each in status.get("checks", [])}
