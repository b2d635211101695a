"""VersionsEqual: both sites run the same software."""

from __future__ import annotations

import msgspec

from wayfare_engine.recovery.checks.beaconed import both
from wayfare_engine.recovery.checks.check import Check, Cost, Found, Step, failed, passed, unknown
from wayfare_engine.recovery.checks.looking import Looking, Source
from wayfare_engine.resources import CheckLevel

#: Those that have to be the same. Kubernetes may differ by a patch, and is only told.
_SAME = ("operator", "image", "schema")


def _ask(at: Looking) -> Found:
    found = both(at)
    if isinstance(found, Found):
        return found
    here, there = (msgspec.to_builtins(b.versions) for b in (found.here, found.there))
    silent = [name for name in _SAME if here[name] is None or there[name] is None]
    differ = [name for name in _SAME if name not in silent and here[name] != there[name]]
    figures = {"compared": len(_SAME), "equal": len(_SAME) - len(silent) - len(differ)}
    saw = {"beacons": found.said, "versions": {at.site: here, str(at.other): there}}
    if differ:
        said = "; ".join(
            f"{name} is {here[name]} at {at.site} and {there[name]} at {at.other}"
            for name in differ
        )
        return failed(said, figures, differ, **saw)
    if silent:
        return unknown(f"a site does not say its version of: {', '.join(silent)}", figures, **saw)
    return passed("operator, image and schema are the same at both sites", figures, **saw)


CHECK = Check(
    name="VersionsEqual",
    level=CheckLevel.SYSTEM,
    gate=False,
    cost=Cost.CHEAP,
    guards="Both sites run the same operator and image, over the same revision of the schema.",
    seen="The versions from both beacons.",
    unclear="A site has no beacon, or an old one (unless the site is lost), or does not say a "
    "version.",
    steps=frozenset({Step.PRECHECK, Step.VERIFY, Step.SCHEDULE}),
    needs=(Source.STORE, Source.OTHER),
    ask=_ask,
)
