"""CapsHeld: nobody has more contacts in any time than a cap allows, over both sites' union.

A contact's time is exactly the one at which its caps were asked, so what is counted here is what
was counted then: the contact `limit` places before it must have left the time.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, LiteralString

from wayfare_engine.recovery.checks.check import Check, Cost, Found, Step, failed, passed, unknown
from wayfare_engine.recovery.checks.looking import Looking, Source
from wayfare_engine.recovery.checks.rules_in_force import in_force
from wayfare_engine.resources import CheckLevel

# What a merge put back is more than the cap by what was stranded, which is what is promised.
_MORE: Final[LiteralString] = """
SELECT send_key, at, stranded FROM (
    SELECT c.send_key, c.at, m.origin_id IS NOT NULL AS stranded,
        lag(c.at, %(limit)s) OVER (PARTITION BY c.customer_id ORDER BY c.at, c.send_key) AS before
    FROM wayfare.contacts c LEFT JOIN wayfare.merged_rows m ON m.origin_id = c.row_id
    WHERE c.channel = ANY(%(channels)s)
) counted WHERE before > at - %(per)s
"""


def _ask(at: Looking) -> Found:
    findings: list[Any] = []
    earlier = stranded = 0
    with at.database() as connection:
        found = in_force(connection)
        if found is None:
            return unknown("no plan was published here, so no cap is known")
        row = connection.execute("SELECT count(*) FROM wayfare.contacts").fetchone()
        contacts = int(row[0]) if row is not None else 0
        for cap in found.rules.caps:
            at.say(f"CapsHeld: {cap.name} of {cap.of}")
            given = {"limit": cap.limit, "per": cap.per, "channels": sorted(cap.channels)}
            for key, moment, merged in connection.execute(_MORE, given).fetchall():
                if merged:
                    stranded += 1
                elif _before(moment, found.since):
                    earlier += 1
                else:
                    findings.append(
                        {"cap": cap.name, "of": cap.of, "sendKey": key, "at": moment.isoformat()}
                    )
    figures = {
        "contacts": contacts,
        "caps": len(found.rules.caps),
        "exceeded": len(findings),
        "exceededByStranded": stranded,
        "beforeTheseRules": earlier,
    }
    saw = {"plan": found.plan, "since": None if found.since is None else found.since.isoformat()}
    if findings:
        names = sorted({f"{one['cap']} of {one['of']}" for one in findings})
        return failed(
            f"{len(findings):,} contacts more than {', '.join(names)} allows",
            figures,
            findings,
            **saw,
        )
    return passed(f"{len(found.rules.caps)} caps held over {contacts:,} contacts", figures, **saw)


def _before(moment: datetime, since: datetime | None) -> bool:
    return since is not None and moment < since


CHECK = Check(
    name="CapsHeld",
    level=CheckLevel.BUSINESS,
    gate=True,
    cost=Cost.CHEAP,
    guards="No customer has more contacts in a time than a cap of the plan allows, counted over "
    "what both sites did; contacts that a merge put back are counted apart.",
    seen="The cap, the send key and the time of each contact that is too much.",
    unclear="The database does not answer, or no plan was published here.",
    steps=frozenset({Step.VERIFY, Step.SCHEDULE}),
    needs=(Source.DATABASE,),
    ask=_ask,
)
