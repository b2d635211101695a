"""InstancesWhole: no journey instance is lost, and none is there twice."""

from __future__ import annotations

from typing import Final, LiteralString

from wayfare_engine.ledger import Kind
from wayfare_engine.recovery.checks import from_chains
from wayfare_engine.recovery.checks.check import Check, Cost, Found, Step, failed, passed, unknown
from wayfare_engine.recovery.checks.looking import Looking, Source
from wayfare_engine.resources import CheckLevel

_TWICE: Final[LiteralString] = """
SELECT array_agg(instance ORDER BY instance) FROM wayfare.journey_instances
GROUP BY customer_id, journey, entry_key HAVING count(*) > 1
"""


def _ask(at: Looking) -> Found:
    with at.database() as connection:
        said = from_chains.expected(at, connection, Kind.TRANSITION)
        if not said.segments:
            return unknown("this database applied no chain, so there is nothing to compare with")
        compared = from_chains.compare(connection, said)
        twice = [row[0] for row in connection.execute(_TWICE).fetchall()]
    findings = compared.findings + [
        {"what": "one entry as several instances", "instances": found} for found in twice
    ]
    figures = compared.figures | {
        "expected": len(said.states),
        "twice": len(twice),
        "segments": said.segments,
    }
    saw = {"reached": {f"{s}/{e}": seq for (s, e), seq in sorted(said.reached.items())}}
    if findings:
        parts = [compared.said] if compared.said else []
        if twice:
            parts.append(f"{len(twice):,} entries as several instances")
        return failed(f"journey instances: {', '.join(parts)}", figures, findings, **saw)
    return passed(
        f"{compared.rows:,} journey instances are as the chains say, each once", figures, **saw
    )


CHECK = Check(
    name="InstancesWhole",
    level=CheckLevel.BUSINESS,
    gate=True,
    cost=Cost.FULL,
    guards="Every journey instance of the chains (of long ones, of the newest 20,000 segments) is "
    "here, where they left it, and no entry of a customer into a journey is there twice.",
    seen="The ids of the rows that are lost, older, changed or from nowhere, and the instances "
    "that are one entry.",
    unclear="Store or database do not answer, a chain is damaged, or none was applied here.",
    steps=frozenset({Step.VERIFY}),
    needs=(Source.STORE, Source.DATABASE),
    ask=_ask,
)
