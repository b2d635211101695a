"""The operator as a process: wait for the Lease, list, watch, reconcile, until told to stop."""

from __future__ import annotations

import asyncio
import secrets
import signal
import time
from datetime import UTC, datetime
from typing import Any

import kopf
import structlog
from kubernetes.aio.client import Configuration

from wayfare_operator import metrics
from wayfare_operator.cache import Cache
from wayfare_operator.control import ControlClient
from wayfare_operator.handlers import register
from wayfare_operator.health import health_endpoint
from wayfare_operator.issuer import IssuerKeys
from wayfare_operator.kube.client import KubeClient
from wayfare_operator.kube.config import connection_info, load_configuration
from wayfare_operator.kube.kinds import WATCHED
from wayfare_operator.leader import lead
from wayfare_operator.queue import WorkQueue
from wayfare_operator.reconcile.channel import reconcile_channel
from wayfare_operator.reconcile.engine import reconcile_engine
from wayfare_operator.reconcile.journey import reconcile_journey
from wayfare_operator.reconcile.namespaces import reconcile_namespaces
from wayfare_operator.reconcile.plan import reconcile_plan
from wayfare_operator.reconcile.segment import reconcile_segment
from wayfare_operator.reconcile.world import Key, Work, World
from wayfare_operator.recovery.approval import reconcile_approval
from wayfare_operator.recovery.plan import reconcile_recovery_plan
from wayfare_operator.recovery.requests import reconcile_requests
from wayfare_operator.recovery.run import reconcile_recovery_run
from wayfare_operator.recovery.stores import Recovery
from wayfare_operator.settings import OperatorSettings
from wayfare_operator.sync import SELECTOR, compare_forever, prime, wait_for_kinds

log = structlog.get_logger(__name__)

_RECONCILE = {
    Work.ENGINE: reconcile_engine,
    Work.PLAN: reconcile_plan,
    Work.SEGMENT: reconcile_segment,
    Work.JOURNEY: reconcile_journey,
    Work.CHANNEL: reconcile_channel,
    Work.NAMESPACES: reconcile_namespaces,
    Work.RECOVERY_PLAN: reconcile_recovery_plan,
    Work.RECOVERY_RUN: reconcile_recovery_run,
    Work.APPROVAL: reconcile_approval,
    Work.REQUESTS: reconcile_requests,
}

# A plan that waits behind a thousand statuses would hold up what they are to tell.
_PRIORITY = {
    Work.NAMESPACES: 0,
    Work.PLAN: 0,
    Work.RECOVERY_RUN: 0,
    Work.REQUESTS: 0,
    Work.ENGINE: 1,
}


async def operate(settings: OperatorSettings) -> None:
    """Run until SIGTERM or SIGINT. Raises LeaseLost when the Lease was lost."""
    configuration = await load_configuration()
    stop = asyncio.Event()
    _stop_on_signals(stop)
    async with health_endpoint(
        settings.metrics_host, settings.metrics_port, alive=lambda: True, ready=lambda: True
    ):
        await lead(settings, configuration, lambda: _work(settings, configuration, stop), stop=stop)


def _stop_on_signals(stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)


async def _work(
    settings: OperatorSettings, configuration: Configuration, stop: asyncio.Event
) -> None:
    """What the leader does. Ends only by being cancelled, or with an error that ends the process:
    a fresh process knows nothing wrong."""
    metrics.LEADING.set(1)
    kube = KubeClient(configuration)
    control = ControlClient(settings.control_url_template, settings.control_token_file)
    try:
        world = _world(settings, kube, control)
        await wait_for_kinds(kube)
        await prime(world)
        log.info("caches are filled")
        async with asyncio.TaskGroup() as group:
            group.create_task(_watch(world, configuration, stop), name="watch")
            group.create_task(world.queue.run(), name="queue")
            group.create_task(compare_forever(world), name="compare")
    finally:
        await control.close()
        await kube.close()


def _world(settings: OperatorSettings, kube: KubeClient, control: ControlClient) -> World:
    world = World(
        settings=settings,
        cache=Cache(),
        kube=kube,
        control=control,
        issuer=IssuerKeys(kube, time.monotonic),
        now=lambda: datetime.now(UTC),
        clock=time.monotonic,
        token=lambda: secrets.token_urlsafe(24),
        recovery=Recovery(settings),
    )

    async def reconcile(key: Key) -> float | None:
        metrics.QUEUED.set(len(world.queue))
        with metrics.RECONCILE_SECONDS.labels(key.work).time():
            again = await _RECONCILE[key.work](world, key)
        metrics.RECONCILES.labels(key.work, "ok").inc()
        return again

    def failed(key: Key, _: Exception) -> None:
        metrics.RECONCILES.labels(key.work, "error").inc()

    world.queue = WorkQueue(
        reconcile,
        workers=settings.reconcilers,
        clock=time.monotonic,
        on_error=failed,
        priority=lambda key: _PRIORITY.get(key.work, 2),
    )
    return world


async def _watch(world: World, configuration: Configuration, stop: asyncio.Event) -> None:
    """kopf, as a watcher and nothing else: no peering, no posting, no annotations, no scanning."""
    settings = world.settings
    registry = kopf.OperatorRegistry()
    register(registry, world, namespaces=not settings.namespaces)

    async def login(**_: Any) -> kopf.ConnectionInfo:
        return connection_info(configuration, world.now())

    kopf.on.login(registry=registry)(login)
    watching = kopf.OperatorSettings()
    watching.peering.standalone = True
    watching.posting.enabled = False
    watching.scanning.disabled = True
    # Objects are wanted in pieces and not kept: memory is what a thousand journeys cost.
    watching.watching.chunk_size = 50
    watching.queueing.idle_timeout = 0.2
    watching.networking.request_timeout = 30
    watching.watching.server_timeout = 300
    for kind in WATCHED:
        watching.watching.label_selectors[kind.group, kind.version, kind.plural] = SELECTOR
    others = asyncio.all_tasks()
    tasks = await kopf.spawn_tasks(
        registry=registry,
        settings=watching,
        clusterwide=not settings.namespaces,
        namespaces=settings.namespaces,
    )
    # kopf has put its own signal handlers over ours; stopping is ours to order.
    _stop_on_signals(stop)
    await kopf.run_tasks(tasks, ignored=others)
    raise RuntimeError("watching ended by itself")
