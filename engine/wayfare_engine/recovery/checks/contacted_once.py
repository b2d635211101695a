"""ContactedOnce: nobody is contacted twice for one (customer, journey, node, visit).

A send's key is a hash of the journey's instance, the node and the visit, wherever the node fires.
Two keys for one visit are two messages, and so are two names that a provider gave to one key.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final, LiteralString

from wayfare_engine.ledger import Kind
from wayfare_engine.recovery.checks.check import Check, Cost, Found, Step, failed, passed
from wayfare_engine.recovery.checks.looking import Looking, Source
from wayfare_engine.resources import CheckLevel

#: How far back the ledger's rows are read.
_HISTORY: Final = timedelta(days=7)
_TWICE: Final[LiteralString] = """
SELECT instance, node, visit, array_agg(send_key ORDER BY send_key) FROM wayfare.outbox
WHERE attempt > 0 AND intent_epoch > 0
GROUP BY customer_id, journey, instance, node, visit HAVING count(*) > 1
"""
# As `outbox.keys.send_key`: each part after its length in eight bytes.
_HASH: Final[LiteralString] = (
    "left(encode(sha256("
    "int8send(4) || 'send'::bytea "
    "|| int8send(octet_length(instance)) || convert_to(instance, 'UTF8') "
    "|| int8send(octet_length(node)) || convert_to(node, 'UTF8') "
    "|| int8send(length(visit::text)) || convert_to(visit::text, 'UTF8')), 'hex'), 40)"
)
_KEYS: Final[LiteralString] = (
    "SELECT send_key FROM wayfare.outbox WHERE attempt > 0 AND intent_epoch > 0 "  # noqa: S608
    f"AND send_key <> {_HASH}"
)
# Sends that had more than one turn, and what their channels accepted of the last days, as far as
# the ledger's rows are here.
_AGAIN: Final[LiteralString] = """
SELECT count(*), min(intent_id::text)::uuid FROM wayfare.outbox WHERE attempt > 1
"""
_ACCEPTED: Final[LiteralString] = """
SELECT l.body->>'send_key', array_agg(DISTINCT l.body->>'provider_id')
FROM wayfare.ledger l JOIN wayfare.outbox o ON o.send_key = l.body->>'send_key' AND o.attempt > 1
WHERE l.id >= greatest(%(first)s::uuid, wayfare.first_id(%(since)s::date))
    AND l.kind = %(kind)s AND l.body->>'result' = 'Accepted'
    AND l.body->>'provider_id' IS NOT NULL
GROUP BY 1
"""


def _ask(at: Looking) -> Found:
    findings: list[Any] = []
    with at.database() as connection:
        row = connection.execute("SELECT count(*) FROM wayfare.outbox WHERE attempt > 0").fetchone()
        sends = int(row[0]) if row is not None else 0
        twice = connection.execute(_TWICE).fetchall()
        findings += [
            {"what": "one visit under two keys", "instance": i, "node": n, "visit": v, "keys": k}
            for i, n, v, k in twice
        ]
        wrong = [key for (key,) in connection.execute(_KEYS).fetchall()]
        findings += [{"what": "a key that is not its visit's", "sendKey": key} for key in wrong]
        again, first = connection.execute(_AGAIN).fetchone() or (0, None)
        taken: list[tuple[str, list[str]]] = []
        if first is not None:
            since = (at.clock() - _HISTORY).date()
            given = {"first": first, "since": since, "kind": Kind.OUTCOME.value}
            taken = connection.execute(_ACCEPTED, given).fetchall()
        effects = [(key, names) for key, names in taken if len(names) > 1]
        findings += [
            {"what": "taken twice by its provider", "sendKey": key, "providerIds": names}
            for key, names in effects
        ]
    figures = {
        "sends": sends,
        "visitsTwice": len(twice),
        "keysWrong": len(wrong),
        "takenTwice": len(effects),
        "hadSeveralTurns": int(again),
        "withProvidersNames": len(taken),
    }
    if findings:
        parts = {
            f"{len(twice):,} visits under two keys": twice,
            f"{len(wrong):,} keys that are not their visits'": wrong,
            f"{len(effects):,} sends taken twice by their providers": effects,
        }
        return failed(", ".join(text for text, some in parts.items() if some), figures, findings)
    return passed(f"none among {sends:,} sends that were dispatched", figures)


CHECK = Check(
    name="ContactedOnce",
    level=CheckLevel.BUSINESS,
    gate=True,
    cost=Cost.CHEAP,
    guards="No customer is contacted twice for one visit of a journey's node: one key a visit, "
    "the one that its hash gives, and one name of a provider a key.",
    seen="Instances, nodes, visits and keys; of sends that had several turns, the provider's "
    "names for them, of seven days and as far as this database has the ledger's rows.",
    unclear="The database does not answer.",
    steps=frozenset({Step.VERIFY, Step.SCHEDULE}),
    needs=(Source.DATABASE,),
    ask=_ask,
)
