"""Events of recovery plans, runs and approvals."""

from __future__ import annotations

from typing import Any

import kopf

from wayfare_engine.resources import Approval, RecoveryRun
from wayfare_operator.handlers.intake import Change, on_event, take
from wayfare_operator.kube.kinds import APPROVAL, RECOVERY_PLAN, RECOVERY_RUN, Ref, ref_of
from wayfare_operator.reconcile.world import Key, Work, World


def register(registry: kopf.OperatorRegistry, world: World) -> None:
    """Watch the three kinds."""

    async def plan(event: Any) -> None:
        ref = ref_of(RECOVERY_PLAN, event["object"])
        if take(world.cache, RECOVERY_PLAN, event) is not Change.SPEC:
            return
        world.enqueue_recovery_plan(ref.namespace, ref.name)
        found = world.cache.recovery_plan(ref.namespace, ref.name)
        if found is not None:
            engine = Ref("Engine", ref.namespace, found.spec.engine_ref.name)
            world.queue.add(Key.of(engine))

    async def run(event: Any) -> None:
        ref = ref_of(RECOVERY_RUN, event["object"])
        before = world.cache.get(ref)
        change = take(world.cache, RECOVERY_RUN, event)
        if change is not Change.SPEC:
            return
        world.queue.add(Key.of(ref))
        for entry in (before, world.cache.get(ref)):
            if entry is not None and isinstance(entry.resource, RecoveryRun):
                name = entry.resource.spec.plan_ref.name
                world.queue.add(Key(Work.RECOVERY_PLAN, ref.namespace, name))
                world.queue.add(Key(Work.REQUESTS, ref.namespace, name))

    async def approval(event: Any) -> None:
        ref = ref_of(APPROVAL, event["object"])
        if take(world.cache, APPROVAL, event) is not Change.SPEC:
            return
        world.queue.add(Key.of(ref))
        entry = world.cache.get(ref)
        if entry is not None and isinstance(entry.resource, Approval):
            run_name = entry.resource.spec.run_ref.name
            world.queue.add(Key(Work.RECOVERY_RUN, ref.namespace, run_name))

    on_event(registry, RECOVERY_PLAN, plan)
    on_event(registry, RECOVERY_RUN, run)
    on_event(registry, APPROVAL, approval)
