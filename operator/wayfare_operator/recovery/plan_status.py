"""The status of a RecoveryPlan, from what was seen. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from wayfare_engine.resources.standby import Prices
from wayfare_engine.runs import Beacon, Run
from wayfare_engine.runs.drift import Drift
from wayfare_operator.kube.kinds import Object
from wayfare_operator.recovery.awake import CAUSES, Awake, Sums, saving
from wayfare_operator.recovery.beacon import shown_at
from wayfare_operator.recovery.lag import Lag
from wayfare_operator.recovery.store_view import Proven
from wayfare_operator.recovery.takeover import Estimate
from wayfare_operator.recovery.workloads import State
from wayfare_operator.status import timestamp

FIGURES = ("lag", "takeover", "awake", "messages", "beacons")
"""What changes by itself all the time: written at most once a minute. See `apart`."""

_MOST_DRIFT = 20


def apart(told: Object) -> Object:
    """A status with what only counts and measures apart from what matters: the messages of
    conditions have figures in them, and beacons have times."""
    conditions, sites = told.get("conditions") or [], told.get("sites") or []
    return {
        **told,
        "conditions": [{k: v for k, v in each.items() if k != "message"} for each in conditions],
        "messages": [each.get("message") for each in conditions],
        "sites": [{k: v for k, v in each.items() if k != "lastBeacon"} for each in sites],
        "beacons": [each.get("lastBeacon") for each in sites],
    }


def site_status(name: str, beacon: Beacon | None, *, fresh: bool) -> Object:
    """One site, as it says of itself. What it does not say at present is unknown."""
    told: Object = {"name": name, "state": "Unknown"}
    if beacon is None:
        return told
    if fresh:
        told["state"] = str(beacon.figures.get("state") or "Unknown")
    told["lastBeacon"] = shown_at(beacon.at)
    versions = {
        "operator": beacon.versions.operator,
        "image": beacon.versions.image,
        "schema": beacon.versions.schema,
        "kubernetes": beacon.versions.kubernetes,
    }
    capacity = {
        "cpu": beacon.capacity.cpu,
        "memory": beacon.capacity.memory,
        "pods": beacon.capacity.pods,
    }
    for field, values in (("versions", versions), ("capacity", capacity)):
        known = {key: value for key, value in values.items() if value is not None}
        if known:
            told[field] = known
    return told


def lag_status(lag: Lag | None) -> Object | None:
    """`status.lag`; None is unknown."""
    if lag is None:
        return None
    return {"rows": lag.rows, "seconds": round(lag.seconds), "asOf": shown_at(lag.as_of)}


def takeover_status(estimate: Estimate | None, now: datetime) -> Object | None:
    """`status.takeover`."""
    if estimate is None:
        return None
    told: Object = {"arithmetic": estimate.arithmetic, "asOf": shown_at(now)}
    if estimate.seconds is not None:
        told["estimatedSeconds"] = round(estimate.seconds)
    return told


def proven_status(proven: Proven | None) -> Object | None:
    """`status.lastProven`."""
    if proven is None:
        return None
    told: Object = {
        "run": proven.run,
        "rtoSeconds": round(proven.rto_seconds),
        "at": timestamp(proven.at),
    }
    if proven.rpo_rows is not None:
        told["rpoRows"] = proven.rpo_rows
    return told


def awake_status(
    awake: Awake | None, states: Sequence[State], prices: Prices | None
) -> Object | None:
    """`status.awake` of a site that stands by."""
    if awake is None:
        return None
    present = [each for each in states if each.present]
    always = sum(each.always for each in present)
    volumes = sum(each.always_volumes for each in present)
    told: Object = {
        "hoursToday": round(awake.hours_today, 2),
        "share": round(awake.share, 4),
        "podHours": _sums(awake.pod_hours),
        "volumeHours": _sums(awake.volume_hours),
        "alwaysOn": always_on(states),
    }
    if awake.saved_share is not None:
        told["savedShare"] = round(awake.saved_share, 4)
    if prices is not None and always:
        full, was = saving(
            awake,
            always=always,
            volumes=volumes,
            pod_hour=prices.pod_hour,
            volume_hour=prices.volume_hour,
        )
        told["saving"] = (
            f"{full - was:.2f} {prices.currency} in {awake.of_hours:.1f} h: "
            f"{was:.2f} instead of {full:.2f}"
        )
    return told


def _sums(sums: Sums) -> Object:
    return {cause: round(getattr(sums, cause), 2) for cause in CAUSES}


def always_on(states: Sequence[State]) -> list[str]:
    """What sleeping does not end: the operator, and volumes that are kept."""
    found = ["the operator"]
    for each in states:
        if each.always_volumes:
            many = "volume" if each.always_volumes == 1 else "volumes"
            found.append(f"{each.always_volumes} {many} of {each.workload}")
    return found[:16]


def drift_status(drift: Sequence[Drift] | None) -> list[Any] | None:
    """`status.drift`, at most 20 of them."""
    if not drift:
        return None
    return [
        {
            "object": f"{each.kind} {each.namespace}/{each.name}"[:256],
            "difference": each.said()[:2000],
        }
        for each in drift[:_MOST_DRIFT]
    ]


def run_status(run: Run | None, step: str | None) -> Object | None:
    """`status.run`."""
    if run is None:
        return None
    told: Object = {"name": run.name, "kind": str(run.kind)}
    if step is not None:
        told["step"] = step
    return told
