"""What both sites' operators said of their sites, for the checks that compare it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from wayfare_engine.recovery.checks.check import Found, unknown
from wayfare_engine.recovery.checks.looking import Looking
from wayfare_engine.runs import Beacon, beacons

#: A beacon that is older by its own clock speaks of another time. Clocks are never so far apart.
_STALE: Final = timedelta(minutes=15)


@dataclass(frozen=True)
class Both:
    """This site's beacon and the other's."""

    here: Beacon
    there: Beacon

    @property
    def sides(self) -> tuple[Beacon, Beacon]:
        """This one first."""
        return self.here, self.there

    @property
    def said(self) -> dict[str, Any]:
        """For the evidence: whose words these are, and when they were said by their own clocks."""
        return {
            side.site: {"at": side.at.isoformat(), "writer": side.writer, "number": side.number}
            for side in self.sides
        }


def both(at: Looking) -> Both | Found:
    """The newest beacons; why they say nothing, when one is missing or too old. The beacon of a
    site that is lost is what was true last, however old it is. Raises RecordDamaged, NewerRecord,
    StoreProblem."""
    assert at.other is not None, "the check says that it needs the other site"
    found = []
    for site in (at.site, at.other):
        beacon = beacons.newest(at.objects, at.plan, site)
        if beacon is None:
            return unknown(f"site {site} never published a beacon: does its operator run?")
        age = at.clock() - beacon.at
        if age > _STALE and not (at.source_lost and site == at.other):
            return unknown(
                f"the newest beacon of site {site} is {age.total_seconds() / 60:.0f} minutes old: "
                "does its operator run?"
            )
        found.append(beacon)
    return Both(*found)
