"""A site is lost and the other one takes over; then it comes back and is given the work again.

What is told is what the RecoveryRuns say at their end, and what the ledgers hold.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from demo.cluster import NAMESPACE, RELEASE, SYSTEM, Cluster, condition
from demo.recovery.sites import PLAN
from demo.steps import WAYFARE, StepFailed, looks

_RUN_SECONDS = 900.0
_STANDBY_SECONDS = 600.0


def plan_status(cluster: Cluster) -> dict[str, Any]:
    """What the plan says at this site."""
    found: dict[str, Any] = cluster.get("-n", NAMESPACE, "recoveryplan", PLAN)
    return dict(found.get("status") or {})


def wait_standby(cluster: Cluster, *, seconds: float = _STANDBY_SECONDS) -> dict[str, Any]:
    """Wait until the standby has caught up, sleeps, and says how long a takeover would take. On a
    busy machine that may be more than the objective: the failover then tells what it really is."""
    here: dict[str, Any] = {}
    ready: dict[str, Any] = {}
    for _ in looks(seconds, every=1.0):
        found = plan_status(cluster)
        sites: list[dict[str, Any]] = found.get("sites") or []
        here = next((one for one in sites if one["name"] == cluster.site), {})
        ready = condition({"status": found}, "ReadyToTakeOver")
        measured = ready.get("status") == "True" or ready.get("reason") == "OverObjective"
        if here.get("state") == "Asleep" and measured:
            return found
    raise StepFailed(
        f"site {cluster.site} is {here.get('state')} after {seconds:.0f} s: "
        f"{ready.get('reason')}: {ready.get('message')}",
        look=f"kubectl -n {NAMESPACE} get recoveryplan {PLAN} -o yaml",
    )


def start(cluster: Cluster, kind: str, *options: str) -> str:
    """Make a run at the site of `cluster`; its name."""
    done = cluster.run(
        *(WAYFARE, "recovery", kind, PLAN, "-n", NAMESPACE, "--json"),
        *options,
    )
    return str(json.loads(done.stdout.strip().splitlines()[-1])["name"])


def wait_ended(cluster: Cluster, run: str, *, seconds: float = _RUN_SECONDS) -> dict[str, Any]:
    """Wait until the run ended; its status. Raises StepFailed when it did not succeed."""
    found: dict[str, Any] = {}
    status: dict[str, Any] = {}
    for _ in looks(seconds, every=1.0):
        found = cluster.get("-n", NAMESPACE, "recoveryrun", run)
        status = found.get("status") or {}
        if status.get("state") == "Succeeded":
            return status
        if status.get("state") in ("Failed", "WaitingForApproval", "Abandoned", "Rejected"):
            break
    raise StepFailed(
        f"run {run} is {status.get('state')} at step {status.get('step')}: "
        f"{condition(found, 'Ready').get('message')}",
        look=f"kubectl -n {NAMESPACE} get recoveryrun {run} -o yaml",
    )


def kill(cluster: Cluster) -> datetime:
    """The whole site at once; when that was."""
    done = cluster.steps.run(WAYFARE, "lab", "kill", cluster.site, "--json")
    return datetime.fromisoformat(json.loads(done.stdout)["killedAt"])


def restore(cluster: Cluster, *, seconds: float = 300.0) -> None:
    """The site starts again from its disk; returns when its operator leads again and says that
    another site acts. Its pods may be up or not: by its plan it soon sleeps."""
    began = datetime.now(UTC)
    cluster.steps.run(WAYFARE, "lab", "restore", cluster.site, timeout=300)
    acting = renewed = None
    for _ in looks(seconds, every=0.5):
        renewed = cluster.get("-n", SYSTEM, "lease", f"{RELEASE}-operator")["spec"]["renewTime"]
        acting = plan_status(cluster).get("actingSite")
        if _moment(renewed) > began and acting not in (None, cluster.site):
            return
    raise StepFailed(
        f"site {cluster.site} says after {seconds:.0f} s that {acting} acts; its operator was last "
        f"heard of at {renewed}",
        look=f"kubectl -n {SYSTEM} logs deploy/{RELEASE}-operator",
    )


def whole(status: dict[str, Any]) -> float | None:
    """From the start of an ended run's first step to the end of its last one, in seconds."""
    began = [
        _moment(each["startedAt"]) for each in status.get("steps", []) if each.get("startedAt")
    ]
    ended = [_moment(each["endedAt"]) for each in status.get("steps", []) if each.get("endedAt")]
    return (max(ended) - min(began)).total_seconds() if began and ended else None


def seconds_of(status: dict[str, Any], step: str) -> float | None:
    """How long a step of an ended run took."""
    for each in status.get("steps", []):
        if each["name"] == step and each.get("startedAt") and each.get("endedAt"):
            return (_moment(each["endedAt"]) - _moment(each["startedAt"])).total_seconds()
    return None


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))
