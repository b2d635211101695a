"""ResourcesEqual: both sites serve the same plan from the same configuration and secrets.

A site that has just woken publishes its plan a moment later, and its beacon tells of it a moment
after that: a difference counts when it stays.
"""

from __future__ import annotations

import time
from typing import Final

import msgspec

from wayfare_engine.recovery.checks.beaconed import both
from wayfare_engine.recovery.checks.check import Check, Cost, Found, Step, failed, passed, unknown
from wayfare_engine.recovery.checks.looking import Looking, Source
from wayfare_engine.resources import CheckLevel, Verdict
from wayfare_engine.runs import secrets

_AGAIN_SECONDS: Final = 1.0


def _ask(at: Looking) -> Found:
    deadline = time.monotonic() + at.objectives.settle_seconds
    while (found := _compared(at)).verdict is Verdict.FAILED and time.monotonic() < deadline:
        at.say(f"ResourcesEqual: {found.message}; looking again")
        time.sleep(_AGAIN_SECONDS)
    return found


def _compared(at: Looking) -> Found:
    found = both(at)
    if isinstance(found, Found):
        return found
    here, there = found.here.digests, found.there.digests
    same: dict[str, bool | None] = {
        name: _equal(getattr(here, name), getattr(there, name))
        for name in ("plan", "configuration")
    }
    for name in sorted({*at.secrets, *here.secrets, *there.secrets}):
        same[f"secret {name}"] = secrets.same(here.secrets.get(name), there.secrets.get(name))
    silent = [name for name, equal in same.items() if equal is None]
    differ = [name for name, equal in same.items() if equal is False]
    figures = {"compared": len(same), "equal": len(same) - len(silent) - len(differ)}
    saw = {
        "beacons": found.said,
        "digests": {side.site: msgspec.to_builtins(side.digests) for side in found.sides},
    }
    if differ:
        return failed(f"not the same at both sites: {', '.join(differ)}", figures, differ, **saw)
    if silent:
        return unknown(f"a site does not say its digest of: {', '.join(silent)}", figures, **saw)
    return passed("plan, configuration and secrets are the same at both sites", figures, **saw)


def _equal(here: str | None, there: str | None) -> bool | None:
    return None if here is None or there is None else here == there


CHECK = Check(
    name="ResourcesEqual",
    level=CheckLevel.SYSTEM,
    gate=True,
    cost=Cost.CHEAP,
    guards="Both sites have the same plan, the same configuration and the same secrets.",
    seen="The digests from both beacons, and when each was said.",
    unclear="A site has no beacon, or an old one (unless the site is lost), or says no digest of "
    "something, a Secret that the plan names among it, or they have different keys for digests of "
    "secrets.",
    steps=frozenset({Step.PRECHECK, Step.VERIFY, Step.SCHEDULE}),
    needs=(Source.STORE, Source.OTHER),
    ask=_ask,
)
