"""Leader election by a Lease: one replica works, the other waits with everything loaded."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import structlog
from kubernetes.aio.client import ApiClient, Configuration, V1Lease, V1ObjectMeta
from kubernetes.aio.client.exceptions import ApiException
from kubernetes.aio.leaderelection.electionconfig import Config
from kubernetes.aio.leaderelection.leaderelection import LeaderElection
from kubernetes.aio.leaderelection.leaderelectionrecord import LeaderElectionRecord
from kubernetes.aio.leaderelection.resourcelock.leaselock import LeaseLock

from wayfare_operator.settings import OperatorSettings

LEASE_NAME = "wayfare-operator"

log = structlog.get_logger(__name__)


class _Lease(LeaseLock):
    """The library's lock; an API server out of reach is a try that failed, not a crash."""

    def __init__(self, namespace: str, identity: str, client: ApiClient, *, timeout: float) -> None:
        super().__init__(LEASE_NAME, namespace, identity, client)
        self._timeout = timeout

    async def get(
        self, name: str, namespace: str
    ) -> tuple[bool, LeaderElectionRecord] | tuple[bool, Exception] | tuple[bool, None]:
        try:
            async with asyncio.timeout(self._timeout):
                return await super().get(name, namespace)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            return False, ApiException(status=0, reason=f"unreachable: {error}")

    async def create(
        self, name: str, namespace: str, election_record: LeaderElectionRecord
    ) -> bool:
        return await self._attempt(self._create(name, namespace, election_record))

    async def update(self, name: str, namespace: str, updated_record: LeaderElectionRecord) -> bool:
        return await self._attempt(super().update(name, namespace, updated_record))

    async def release(self) -> None:
        """Give the Lease up, so that the other replica need not wait for it to lapse."""
        found, record = await self.get(self.name, self.namespace)
        lease = self.lease_reference
        if not found or not isinstance(record, LeaderElectionRecord):
            return
        if record.holder_identity != self.identity or lease is None or lease.spec is None:
            return
        lease.spec.lease_duration_seconds = 1
        lease.spec.holder_identity = ""
        await self._attempt(self._replace(lease))

    async def _create(
        self, name: str, namespace: str, election_record: LeaderElectionRecord
    ) -> bool:
        # The library's own create (37.0.2) passes an argument that its client refuses.
        lease = V1Lease(metadata=V1ObjectMeta(name=name), spec=self.update_lease(election_record))
        try:
            await self.api_instance.create_namespaced_lease(namespace, lease)
        except ApiException as error:
            log.warning("the Lease could not be made", error=str(error.reason))
            return False
        return True

    async def _replace(self, lease: V1Lease) -> bool:
        try:
            await self.api_instance.replace_namespaced_lease(
                name=self.name, namespace=self.namespace, body=lease
            )
        except ApiException:
            return False
        return True

    async def _attempt(self, request: Awaitable[bool]) -> bool:
        try:
            async with asyncio.timeout(self._timeout):
                return await request
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            log.warning("the Lease could not be written", error=str(error))
            return False


class LeaseLost(Exception):
    """This replica could not renew its Lease in time; the process must end."""


async def lead(
    settings: OperatorSettings,
    configuration: Configuration,
    work: Callable[[], Awaitable[None]],
    *,
    stop: asyncio.Event,
) -> None:
    """Wait for the Lease, then run `work` until it ends, `stop` is set or the Lease is lost.

    Raises LeaseLost in the last case. On an orderly end the Lease is given up.
    """
    client = ApiClient(configuration)
    lock = _Lease(
        settings.operator_namespace,
        settings.pod_name,
        client,
        timeout=max(1.0, settings.renew_deadline / 2),
    )
    leading: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def started() -> None:
        if not leading.done():
            leading.set_result(None)

    async def stopped() -> None:
        return None

    election = asyncio.create_task(
        LeaderElection(
            Config(
                lock,
                lease_duration=settings.lease_duration,
                renew_deadline=settings.renew_deadline,
                retry_period=settings.retry_period,
                onstarted_leading=started,
                onstopped_leading=stopped,
            )
        ).run(),
        name="election",
    )
    stopping = asyncio.create_task(stop.wait(), name="stop")
    running: asyncio.Task[None] | None = None
    try:
        first: set[asyncio.Future[Any]] = {election, stopping, leading}
        await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
        if stop.is_set():
            return
        if leading.done():
            log.info("leading", identity=settings.pod_name)
            running = asyncio.ensure_future(work())
            ends: set[asyncio.Future[Any]] = {election, stopping, running}
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                running.result()
            if stop.is_set() or running.done():
                return
        if election.done():
            election.result()
        raise LeaseLost(settings.pod_name)
    finally:
        for task in (running, election, stopping):
            if task is not None:
                task.cancel()
        await asyncio.gather(
            *(task for task in (running, election, stopping) if task is not None),
            return_exceptions=True,
        )
        if leading.done() and stop.is_set():
            await lock.release()
        await client.close()  # type: ignore[no-untyped-call]
