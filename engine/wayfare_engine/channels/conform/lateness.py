"""Checks of what must not start any more, and whether anything took effect nevertheless."""

from __future__ import annotations

import asyncio
import re
from typing import Any

from wayfare_engine.channels.conform.talk import Skip, Talk, Wrong
from wayfare_engine.channels.contract import Query


async def late_stale(talk: Talk) -> None:
    """A reading that is older than what remains is Late, and has no effect."""
    old = await talk.reading()
    await asyncio.sleep(0.05)
    await _is_late(talk, "late-stale", clock=old, remaining=0.02)


async def late_foreign(talk: Talk) -> None:
    """A reading of another life of the host is Late, and has no effect."""
    clock = await talk.reading()
    # Whatever the reading looks like, one with other letters and digits was never given.
    other = re.sub(r"[0-9A-Za-z]", lambda it: "0" if it[0] != "0" else "1", clock, count=8)
    await _is_late(talk, "late-foreign", clock="another-life-of-this-host:1.0", remaining=5.0)
    if other != clock:
        await _is_late(talk, "late-foreign", clock=other, remaining=5.0)


async def late_remaining(talk: Talk) -> None:
    """A send with no time left is Late, and has no effect."""
    for remaining in (0, -1, -1e9):
        await _is_late(talk, "late-remaining", remaining=remaining)


async def _is_late(talk: Talk, name: str, **changes: Any) -> None:
    answer = await talk.send(name, **changes)
    if answer.result != "Late":
        raise Wrong(f"it is {answer.result} instead of Late")
    if await effect_seen(talk, name):
        raise Wrong("it is said to be Late, and took effect")


async def effect_seen(talk: Talk, name: str) -> bool:
    """Whether a key is known to have taken effect: only a host of class Query can say so."""
    try:
        talk.needs(Query)
    except Skip:
        return False
    return await talk.took_effect(name)
