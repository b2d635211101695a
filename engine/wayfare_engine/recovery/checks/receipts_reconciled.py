"""ReceiptsReconciled: what providers said later fits what was sent."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final, LiteralString

from wayfare_engine.projections.ranks import TOOK_EFFECT
from wayfare_engine.recovery.checks.check import Check, Cost, Found, Step, failed, passed
from wayfare_engine.recovery.checks.looking import Looking, Source
from wayfare_engine.resources import CheckLevel

#: A receipt may come before the row of its send.
_EARLY: Final = timedelta(minutes=5)
_FINDINGS: Final[dict[str, LiteralString]] = {
    "a receipt of a send that never left": """
        SELECT send_key FROM wayfare.outbox WHERE receipt_rank > 0 AND attempt = 0""",
    "took effect by its receipt, and not by its outcome": """
        SELECT send_key FROM wayfare.outbox
        WHERE receipt = ANY(%(effect)s) AND outcome IN ('Rejected', 'Expired', 'NotAccepted')""",
    "a receipt of a send that is not known here": """
        SELECT DISTINCT u.send_key FROM wayfare.unmatched_receipts u
        WHERE u.send_key IS NOT NULL AND u.came_at < %(early)s
        AND NOT EXISTS (SELECT FROM wayfare.outbox o WHERE o.send_key = u.send_key)""",
}
_FIGURES: Final[LiteralString] = """
SELECT count(*) FILTER (WHERE attempt > 0), count(*) FILTER (WHERE outcome = 'Accepted'),
    count(*) FILTER (WHERE receipt_rank > 0),
    count(*) FILTER (WHERE outcome = 'Unknown'),
    count(*) FILTER (WHERE attempt > outcome_attempt AND outcome IS DISTINCT FROM 'Accepted'),
    (SELECT count(*) FROM wayfare.unmatched_receipts)
FROM wayfare.outbox
"""
_NAMES: Final = ("dispatched", "accepted", "withReceipt", "unknown", "inDoubt", "unmatched")


def _ask(at: Looking) -> Found:
    findings: list[Any] = []
    counts: dict[str, int] = {}
    given = {"effect": list(TOOK_EFFECT), "early": at.clock() - _EARLY}
    with at.database() as connection:
        for what, query in _FINDINGS.items():
            keys = [key for (key,) in connection.execute(query, given).fetchall()]
            if keys:
                counts[what] = len(keys)
                findings += [{"what": what, "sendKey": key} for key in keys]
        row = connection.execute(_FIGURES).fetchone()
    assert row is not None, "an aggregate returns one row"
    figures: dict[str, Any] = dict(zip(_NAMES, map(int, row), strict=True))
    if findings:
        said = "; ".join(f"{count:,}: {what}" for what, count in counts.items())
        return failed(said, figures | {"mismatched": len(findings)}, findings)
    return passed(
        f"{figures['withReceipt']:,} receipts fit {figures['dispatched']:,} dispatched sends",
        figures | {"mismatched": 0},
    )


CHECK = Check(
    name="ReceiptsReconciled",
    level=CheckLevel.BUSINESS,
    gate=False,
    cost=Cost.CHEAP,
    guards="Every receipt is of a send that left, and none says that a send took effect which "
    "ended without.",
    seen="The send keys that do not fit, and the counts of sends, outcomes and receipts.",
    unclear="The database does not answer.",
    steps=frozenset({Step.VERIFY, Step.SCHEDULE}),
    needs=(Source.DATABASE,),
    ask=_ask,
)
