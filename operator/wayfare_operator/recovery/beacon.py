"""This site's beacon: written when what it says changes, and every few seconds."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

from wayfare_engine.objectstore import ObjectStore
from wayfare_engine.runs import Beacon, Digests, beacons
from wayfare_operator.kube.kinds import Object
from wayfare_operator.reconcile.world import World
from wayfare_operator.recovery.awake import awake_since
from wayfare_operator.recovery.lag import Lag
from wayfare_operator.recovery.memory import PlanMemory, SiteFacts
from wayfare_operator.recovery.site_facts import needs
from wayfare_operator.recovery.takeover import Estimate
from wayfare_operator.status import Extra, timestamp

EVERY_SECONDS = 5.0


def figures(
    memory: PlanMemory,
    *,
    state: str,
    lag: Lag | None,
    estimate: Estimate | None,
    ready: Extra | None,
    awake: Object | None,
) -> dict[str, Any]:
    """What a beacon says beside its own fields. What is not known is left out. Pure."""
    told: dict[str, Any] = {"state": state, "needs": needs(memory.states)}
    if lag is not None:
        told["lag"] = {
            "rows": lag.rows,
            "seconds": round(lag.seconds),
            "asOf": timestamp(lag.as_of),
        }
    if memory.standing.caught_up is not None:
        came = memory.standing.caught_up
        told["caughtUp"] = {"watermark": came.watermark, "at": timestamp(came.at)}
    if estimate is not None:
        told["takeover"] = {"arithmetic": estimate.arithmetic}
        if estimate.seconds is not None:
            told["takeover"]["estimatedSeconds"] = round(estimate.seconds)
    if ready is not None:
        told["ready"] = {
            "status": ready.status,
            "reason": str(ready.reason),
            "message": ready.message,
        }
    if awake is not None:
        told["awake"] = awake
    return told


async def publish(
    world: World,
    memory: PlanMemory,
    store: ObjectStore,
    facts: SiteFacts,
    told: dict[str, Any],
    *,
    plan_digest: str | None,
    secrets: dict[str, str | None],
    phase: str | None,
    run: int | None,
) -> Beacon:
    """Write it if it is time, or if something else than a figure changed. Raises StoreProblem."""
    now = world.now()
    awake = any(each.up for each in memory.states)
    said = (
        awake,
        phase,
        run,
        facts,
        plan_digest,
        memory.exported,
        secrets,
        told.get("state"),
        (told.get("ready") or {}).get("status"),
    )
    clock = world.clock()
    due = memory.beacon_at is None or clock - memory.beacon_at >= EVERY_SECONDS
    if memory.beacon is not None and not due and memory.beacon[0] == said:
        written: Beacon = memory.beacon[1]
        return written
    memory.beacon_number += 1
    beacon = Beacon(
        site=world.settings.site,
        at=now,
        writer=world.settings.pod_name,
        number=memory.beacon_number,
        awake=awake,
        awake_since=awake_since(memory.standing.awake),
        phase=phase,
        run=run,
        versions=facts.versions,
        capacity=facts.capacity,
        digests=Digests(plan=plan_digest, configuration=memory.exported, secrets=secrets),
        figures=told,
    )
    await asyncio.to_thread(beacons.write, store, memory.reader.plan, beacon)
    memory.beacon, memory.beacon_at = (said, beacon), clock
    return beacon


def shown_at(at: datetime) -> str:
    """A beacon's time for status: whole minutes, so that status does not change every time."""
    return timestamp(at.replace(second=0, microsecond=0))
