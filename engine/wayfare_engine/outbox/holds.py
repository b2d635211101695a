"""Until when a send is not looked at again: pauses between attempts, and checks that say "later".

Not a fact of the ledger: a site that takes over asks at once, and the checks decide again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from psycopg import Connection

_HOLD = """
INSERT INTO wayfare.send_holds (send_key, until, reason, tries, by_rule)
SELECT * FROM unnest(%s::text[], %s::timestamptz[], %s::text[], %s::int[], %s::boolean[])
ON CONFLICT (send_key) DO UPDATE SET until = excluded.until, reason = excluded.reason,
    by_rule = excluded.by_rule, tries = greatest(send_holds.tries, excluded.tries)
"""


def hold(
    connection: Connection[Any],
    until: Mapping[str, tuple[datetime, str]],
    tries: Mapping[str, int] | None = None,
    by_rule: Collection[str] = (),
) -> None:
    """Set aside: send key to (until when, why). `tries`: how often each was not taken so far,
    where that changed. `by_rule` are those that a rule holds back, and not their channel."""
    if not until:
        return
    counted = tries or {}
    connection.execute(
        _HOLD,
        (
            list(until),
            [u for u, _ in until.values()],
            [why for _, why in until.values()],
            [counted.get(key, 0) for key in until],
            [key in by_rule for key in until],
        ),
    )


def release(connection: Connection[Any], send_keys: Sequence[str]) -> None:
    """Forget the holds of sends that are through, or go on through another channel."""
    if send_keys:
        connection.execute(
            "DELETE FROM wayfare.send_holds WHERE send_key = ANY(%s)", (list(send_keys),)
        )
