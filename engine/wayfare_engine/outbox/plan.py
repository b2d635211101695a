"""Intents: what is planned to be sent, and when its turn may come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from psycopg import Connection

from wayfare_engine.crashpoints import crash_point
from wayfare_engine.ledger import Kind
from wayfare_engine.ledger.bodies import Guard, Intent
from wayfare_engine.outbox.facts import Origin, record
from wayfare_engine.outbox.keys import instance_key, send_key

_writing = crash_point("outbox.plan.writing", "nothing is written")
_written = crash_point("outbox.plan.written", "the intents are committed")


@dataclass(frozen=True)
class PlannedSend:
    """A send that a journey's node or a caller asks for. `payload` is JSON text; `address` is for
    tests only, others go to where the customer's attribute says."""

    journey: str
    customer: str
    entry_key: str
    node: str
    visit: int
    channel: str
    due: datetime
    expires: datetime | None = None
    guard: Guard = "Journaled"
    payload: str = "{}"
    test: bool = False
    address: str | None = None

    @property
    def instance(self) -> str:
        """The journey instance's key."""
        return instance_key(self.journey, self.customer, self.entry_key)

    @property
    def key(self) -> str:
        """The send key."""
        return send_key(self.instance, self.node, self.visit)


def plan_send(connection: Connection[Any], sends: Sequence[PlannedSend], origin: Origin) -> int:
    """Write the intents of those sends that have none yet; returns how many were written.

    A node that fires again, here or at the other site, plans nothing new; two that fire in the same
    moment may write two intents, which the key makes one send. Inside a transaction of the caller's
    it is part of it. Raises StaleEpoch when the epoch is over, and psycopg.Error.
    """
    by_key = {send.key: send for send in sends}
    with connection.transaction():
        known = connection.execute(
            "SELECT send_key FROM wayfare.outbox WHERE send_key = ANY(%s) AND due IS NOT NULL",
            (list(by_key),),
        ).fetchall()
        for (key,) in known:
            del by_key[key]
        if not by_key:
            return 0
        at = origin.clock()
        rows = [
            origin.row(Kind.INTENT, send.customer, intent(send), at) for send in by_key.values()
        ]
        _writing()
        record(connection, rows)
    _written()
    return len(rows)


def intent(send: PlannedSend) -> Intent:
    """The body of a send's row."""
    return Intent(
        send_key=send.key,
        instance=send.instance,
        journey=send.journey,
        node=send.node,
        visit=send.visit,
        channel=send.channel,
        due=send.due,
        expires=send.expires,
        guard=send.guard,
        payload=msgspec.Raw(send.payload.encode()),
        test=send.test,
        address=send.address if send.test else None,
    )
