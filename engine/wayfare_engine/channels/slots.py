"""Calls of a plugin: a bounded number at a time, each with an end.

A call that does not end when it is cancelled still has its slot, so that a plugin that hangs cannot
take more than its share.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Full(Exception):
    """Every slot is taken; the call was not begun."""


class OutOfTime(Exception):
    """The call did not end in time. It was told to, and may yet have had its effect."""


class Slots:
    """Room for `most` calls."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._under_way: set[asyncio.Task[Any]] = set()

    async def run(self, call: Coroutine[Any, Any, T], seconds: float) -> T:
        """What `call` returns or raises. Raises Full, and OutOfTime after `seconds` at the latest,
        whatever the call makes of being cancelled."""
        if len(self._under_way) >= self._most:
            call.close()
            raise Full
        task = asyncio.create_task(call)
        self._under_way.add(task)
        task.add_done_callback(self._ended)
        await asyncio.wait({task}, timeout=seconds)
        if not task.done():
            task.cancel()
            raise OutOfTime
        if task.cancelled():
            raise OutOfTime
        return task.result()

    def __len__(self) -> int:
        """How many calls are under way."""
        return len(self._under_way)

    async def empty(self, seconds: float) -> bool:
        """Wait until no call is under way; whether that was so within `seconds`."""
        if not self._under_way:
            return True
        _, left = await asyncio.wait(set(self._under_way), timeout=seconds)
        return not left

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            # Asked for here, so that the loop never logs it: its text may hold a secret.
            task.exception()
