"""Capacity: this site can give the pods what those of the acting site ask for."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any, Final

from wayfare_engine.recovery.checks.beaconed import both
from wayfare_engine.recovery.checks.check import Check, Cost, Found, Step, failed, passed, unknown
from wayfare_engine.recovery.checks.looking import Looking, Source
from wayfare_engine.resources import CheckLevel

#: The figure of a beacon with what the site's engines ask for, in the words of its capacity.
NEEDS: Final = "needs"
_QUANTITY = re.compile(r"(\d+(?:\.\d+)?)([numkMGTPE]|[KMGTPE]i)?\Z")
_FACTOR: Final = {
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    **{unit: Decimal(1000) ** n for n, unit in enumerate("kMGTPE", 1)},
    **{f"{unit}i": Decimal(1024) ** n for n, unit in enumerate("KMGTPE", 1)},
}
_WHAT: Final = ("cpu", "memory", "pods")


def quantity(value: Any) -> Decimal | None:
    """A Kubernetes quantity as a number (cores, bytes, pods); None for what is none."""
    found = _QUANTITY.match(str(value))
    if found is None:
        return None
    return Decimal(found[1]) * _FACTOR.get(found[2] or "", Decimal(1))


def _ask(at: Looking) -> Found:
    found = both(at)
    if isinstance(found, Found):
        return found
    has = {name: getattr(found.here.capacity, name) for name in _WHAT}
    needs: dict[str, Any] = found.there.figures.get(NEEDS) or {}
    saw = {"beacons": found.said, "has": has, "needs": needs}
    figures: dict[str, Any] = {}
    silent, small = [], []
    for name in _WHAT:
        there, wanted = quantity(has[name]), quantity(needs.get(name))
        if there is None or wanted is None:
            silent.append(name)
            continue
        figures[name] = {"has": str(has[name]), "needs": str(needs[name])}
        if there < wanted:
            small.append(f"{name}: {has[name]} can be given and {needs[name]} are needed")
    if small:
        return failed(f"site {at.site} is too small: {'; '.join(small)}", figures, small, **saw)
    if silent:
        return unknown(
            f"it is not known of both sites what they have and need of: {', '.join(silent)}",
            figures,
            **saw,
        )
    return passed(f"site {at.site} can take what site {at.other} runs", figures, **saw)


CHECK = Check(
    name="Capacity",
    level=CheckLevel.SYSTEM,
    gate=True,
    cost=Cost.CHEAP,
    guards="The site can give the engine's pods the CPU, memory and places that they ask for at "
    "the acting site.",
    seen="What this site's beacon says can be given, and what the other's says its pods ask for.",
    unclear="A beacon is missing or old, or does not say one of the figures.",
    steps=frozenset({Step.PRECHECK, Step.VERIFY, Step.SCHEDULE}),
    needs=(Source.STORE, Source.OTHER),
    ask=_ask,
)
