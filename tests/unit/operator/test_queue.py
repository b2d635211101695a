"""The work queue: once, one at a time, again after failures."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from wayfare_operator.queue import Backoff, WorkQueue

Reconcile = Callable[[str], Awaitable[float | None]]


@asynccontextmanager
async def running(
    reconcile: Reconcile, backoff: Backoff | None = None
) -> AsyncIterator[WorkQueue[str]]:
    """A queue with two workers, cancelled at the end."""
    queue: WorkQueue[str] = WorkQueue(reconcile, workers=2, clock=time.monotonic, backoff=backoff)
    task = asyncio.create_task(queue.run())
    try:
        yield queue
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def settled(fact: Callable[[], bool]) -> None:
    """Wait until a fact holds."""
    async with asyncio.timeout(10):
        while not fact():  # noqa: ASYNC110 - facts are asked for, as in tests.servers.wait
            await asyncio.sleep(0.005)


async def test_a_burst_of_the_same_key_is_reconciled_once() -> None:
    seen: list[str] = []

    async def reconcile(key: str) -> None:
        seen.append(key)

    async with running(reconcile) as queue:
        for _ in range(50):
            queue.add("a", 0.02)
        queue.add("b")
        await settled(lambda: "a" in seen and queue.idle)
    assert sorted(seen) == ["a", "b"]


async def test_a_key_is_never_worked_on_twice_at_the_same_time() -> None:
    active = 0
    most = 0
    done = 0

    async def reconcile(key: str) -> None:
        nonlocal active, most, done
        active += 1
        most = max(most, active)
        await asyncio.sleep(0.01)
        active -= 1
        done += 1

    async with running(reconcile) as queue:
        queue.add("a")
        await settled(lambda: active == 1)
        queue.add("a")
        await settled(lambda: done == 2)
    assert most == 1


async def test_different_keys_are_worked_on_at_the_same_time() -> None:
    both = asyncio.Barrier(2)
    done: list[str] = []

    async def reconcile(key: str) -> None:
        await both.wait()
        done.append(key)

    async with running(reconcile) as queue:
        queue.add("a")
        queue.add("b")
        await settled(lambda: len(done) == 2)


async def test_a_failure_comes_back_and_does_not_stop_others() -> None:
    tries: list[str] = []

    async def reconcile(key: str) -> None:
        tries.append(key)
        if key == "bad" and tries.count("bad") < 3:
            raise RuntimeError("not yet")

    async with running(reconcile, backoff=Backoff(first=0.001)) as queue:
        queue.add("bad")
        queue.add("good")
        await settled(lambda: tries.count("bad") == 3 and "good" in tries)
        await settled(lambda: queue.failures("bad") == 0)


async def test_an_earlier_time_wins() -> None:
    seen: list[str] = []

    async def reconcile(key: str) -> None:
        seen.append(key)

    async with running(reconcile) as queue:
        queue.add("a", 3600)
        queue.add("a", 0.01)
        queue.add("a", 3600)
        await settled(lambda: seen == ["a"])
        await settled(lambda: queue.idle)


async def test_a_reconcile_says_when_it_wants_to_be_called_again() -> None:
    count = 0

    async def reconcile(key: str) -> float | None:
        nonlocal count
        count += 1
        return 0.001 if count < 5 else None

    async with running(reconcile) as queue:
        queue.add("a")
        await settled(lambda: count == 5 and len(queue) == 0)


async def test_what_is_due_goes_by_priority() -> None:
    seen: list[str] = []

    async def reconcile(key: str) -> None:
        seen.append(key)

    queue: WorkQueue[str] = WorkQueue(
        reconcile, workers=1, clock=time.monotonic, priority=lambda key: int(key[0])
    )
    for key in ("2-a", "2-b", "1-c", "0-d"):
        queue.add(key)
    task = asyncio.create_task(queue.run())
    await settled(lambda: len(seen) == 4)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert seen == ["0-d", "1-c", "2-a", "2-b"]


def test_delays_double_up_to_the_limit() -> None:
    backoff = Backoff(first=0.5, limit=4)
    assert [backoff.delay(n) for n in (1, 2, 3, 4, 5, 500)] == [0.5, 1, 2, 4, 4, 4]
