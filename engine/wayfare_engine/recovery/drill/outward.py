"""How many sends left the drill: counted over every hand-over that its engine wrote down.

A hand-over stays inside when its channel leads to the sink, or waits inside (`pull`, `task`); and
what was accepted has to have the sink's own name for it. Anything else is counted as outward.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from psycopg import Connection

from wayfare_engine.plan import Plan
from wayfare_engine.recovery.drill.names import SITE
from wayfare_engine.recovery.drill.sinks import outward, wanted

SINK_PREFIX = "sink-"

_HANDED_OVER = """
SELECT body ->> 'channel', count(*) FROM wayfare.ledger
WHERE site = %s AND kind = 'dispatch' GROUP BY 1
"""
_ACCEPTED = """
SELECT d.channel, coalesce(o.body ->> 'provider_id', ''), count(*)
FROM wayfare.ledger o LEFT JOIN LATERAL (
    SELECT l.body ->> 'channel' AS channel FROM wayfare.ledger l
    WHERE l.site = o.site AND l.kind = 'dispatch' AND l.body ->> 'send_key' = o.body ->> 'send_key'
        AND l.body ->> 'attempt' = o.body ->> 'attempt' LIMIT 1
) d ON true
WHERE o.site = %s AND o.kind = 'outcome' AND o.body ->> 'result' = 'Accepted'
GROUP BY 1, 2
"""


@dataclass(frozen=True)
class Counted:
    """Hand-overs of the drill by channel; those that the sink took, and those that went elsewhere
    (`outward`, by channel)."""

    handed_over: dict[str, int] = field(default_factory=dict)
    at_sink: int = 0
    outward: dict[str, int] = field(default_factory=dict)

    @property
    def outward_sends(self) -> int:
        """All of them."""
        return sum(self.outward.values())

    def figures(self) -> dict[str, Any]:
        """For a step's result."""
        return {
            "outwardSends": self.outward_sends,
            "handOvers": sum(self.handed_over.values()),
            "atSink": self.at_sink,
            "handOversByChannel": dict(sorted(self.handed_over.items())),
            "outwardByChannel": dict(sorted(self.outward.items())),
        }


def count(connection: Connection[Any], sink: str) -> Counted:
    """At the copy. Raises psycopg.Error, PlanFormatError."""
    handed = {str(name): int(rows) for name, rows in connection.execute(_HANDED_OVER, (SITE,))}
    accepted = [
        (None if channel is None else str(channel), str(provider), int(rows))
        for channel, provider, rows in connection.execute(_ACCEPTED, (SITE,))
    ]
    return judged(wanted(connection), sink, handed, accepted)


def judged(
    plan: Plan | None,
    sink: str,
    handed_over: dict[str, int],
    accepted: list[tuple[str | None, str, int]],
) -> Counted:
    """The count. `accepted`: channel, the provider's name for it without its number or whole, and
    how many. Pure."""
    leads_out = outward(plan, sink) if plan is not None else {}
    inside = {name for name, one in (plan.channels if plan else {}).items() if not one.url}
    found: Counter[str] = Counter()
    for name, rows in handed_over.items():
        if name in leads_out or plan is None or name not in plan.channels:
            found[name] += rows
    at_sink = 0
    for channel, provider, rows in accepted:
        if provider.startswith(SINK_PREFIX):
            at_sink += rows
        elif channel is None or (channel not in inside and not found[channel]):
            found[channel or "?"] += rows
    outside = {name: rows for name, rows in found.items() if rows}
    return Counted(handed_over=handed_over, at_sink=at_sink, outward=outside)
