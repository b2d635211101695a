"""The canary: in the very network of the drill's engine it tries to get out, and must fail.

It runs in the engine's pod before the engine does, so the engine starts only where nothing leads
out. It has no way to tell but its termination message, which the kubelet reads. A network policy
may be a moment late: only a whole round in which every way was shut counts.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from wayfare_engine.objectstore import StoreProblem, open_store
from wayfare_engine.recovery.drill.targets import Canary, Target, knock

SECONDS = 2.0
#: What the kubelet keeps of a message, in bytes.
LONGEST = 4096
_HOW = 48
_NOBODY = {"AWS_ACCESS_KEY_ID": "canary", "AWS_SECRET_ACCESS_KEY": "canary"}


class Tried(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What became of one way out, or of one way within the drill. `out`: it led there."""

    what: str
    out: bool
    how: str


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """All ways, once. `ways` lead out of the drill, `own` lead to its own parts."""

    ways: tuple[Tried, ...]
    own: tuple[Tried, ...]

    @property
    def shut(self) -> bool:
        """Whether nothing led out, while the network was there."""
        return not any(each.out for each in self.ways) and all(each.out for each in self.own)


def go_round(canary: Canary, *, seconds: float = SECONDS) -> Round:
    """Try every way, all at once. Never raises for what the world does."""
    jobs: list[Callable[[], Tried]] = [
        *(partial(_knocked, one, seconds) for one in canary.targets),
        *(partial(_put, canary, what, path, seconds) for what, path in canary.objects.items()),
    ]
    within: list[Callable[[], Tried]] = [partial(_knocked, one, seconds) for one in canary.own]
    with ThreadPoolExecutor(max_workers=16) as pool:
        found = list(pool.map(lambda job: job(), [*jobs, *within]))
    return Round(ways=tuple(found[: len(jobs)]), own=tuple(found[len(jobs) :]))


def until_shut(
    canary: Canary,
    *,
    patience: float,
    monotonic: Callable[[], float],
    sleep: Callable[[float], None],
    say: Callable[[str], None] = lambda text: None,
) -> Round:
    """Rounds until one was shut, or for `patience` seconds; the last one."""
    began = monotonic()
    while True:
        found = go_round(canary)
        if found.shut or monotonic() - began >= patience:
            return found
        ways = [each.what for each in found.ways if each.out]
        say(f"not shut yet: {', '.join(ways) or 'its own parts are not there'}")
        sleep(1.0)


def message(found: Round) -> bytes:
    """The round for the kubelet: shortened from its end until it fits, and then saying so."""
    ways = sorted(found.ways, key=lambda each: not each.out)
    told: dict[str, Any] = {"tried": len(ways), "own": found.own}
    while True:
        data = msgspec.json.encode({**told, "ways": ways})
        if len(data) <= LONGEST or not ways:
            return data
        ways = ways[:-1]


def _knocked(one: Target, seconds: float) -> Tried:
    how = knock(one.host, one.port, seconds)
    return Tried(what=one.what, out=how is None, how=(how or "it let us in")[:_HOW])


def _put(canary: Canary, what: str, path: str, seconds: float) -> Tried:
    """Put an object that exists, if it is absent. "It exists" is an answer of the store, too."""
    if canary.store is None:
        return Tried(what=what, out=False, how="there is no store")
    parts = urlsplit(canary.store)
    if parts.scheme == "file" and not Path(parts.path, path).exists():
        return Tried(what=what, out=False, how="its folder is not here")
    options = {**canary.options, **_NOBODY} if canary.store.startswith("s3") else {}
    try:
        store = open_store(canary.store, options=options, timeout_seconds=seconds, retries=0)
        store.put_if_absent(path, b"canary")
    except StoreProblem as problem:
        return Tried(what=what, out=False, how=f"refused: {problem.cause}"[:_HOW])
    return Tried(what=what, out=True, how="the store took it")
