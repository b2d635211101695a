"""What is asked again when a send's turn comes, because the world may have changed since it was
planned. A check looks at a whole batch at once, in the transaction that writes the dispatches."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from psycopg import Connection

from wayfare_engine.ledger.bodies import Cause
from wayfare_engine.outbox.channel import Send
from wayfare_engine.projections.ranks import TOOK_EFFECT


@dataclass(frozen=True)
class Refused:
    """It will never be sent; `detail` is a reason in one word or two. `Accepted`: it took effect
    already. `cause` is why it ends without effect: by a rule, or for want of a way out."""

    result: Literal["Rejected", "Expired", "Accepted"]
    detail: str
    cause: Cause = "Rule"


@dataclass(frozen=True)
class Later:
    """Not now: asked again at `until`. `by_rule`: what governs contacts wants it so, and a send
    that expires meanwhile ended by that rule."""

    until: datetime
    detail: str
    by_rule: bool = True


@dataclass(frozen=True)
class Elsewhere:
    """Its channel does not take it now, for certain, and has a fallback that goes on with it. Never
    said of a send that is in doubt."""

    detail: str


#: send keys to why not; a key that is missing may go.
Verdicts = Mapping[str, Refused | Later | Elsewhere]
#: Called with the batch and the time (UTC). The connection is inside the dispatching transaction.
Check = Callable[[Connection[Any], Sequence[Send], datetime], Verdicts]


def known_by_receipt(connection: Connection[Any], sends: Sequence[Send], now: datetime) -> Verdicts:
    """A replayed send that a receipt has since said to have taken effect is not sent again."""
    replayed = [s.send_key for s in sends if s.replayed_at is not None]
    if not replayed:
        return {}
    found = connection.execute(
        "SELECT send_key, receipt FROM wayfare.outbox "
        "WHERE send_key = ANY(%s) AND receipt = ANY(%s)",
        (replayed, list(TOOK_EFFECT)),
    ).fetchall()
    return {key: Refused("Accepted", f"known by its receipt: {state}") for key, state in found}


def expiry(connection: Connection[Any], sends: Sequence[Send], now: datetime) -> Verdicts:
    """Refuses what has expired. What a rule held back until then ended by that rule."""
    expired = [s.send_key for s in sends if s.expires is not None and s.expires <= now]
    if not expired:
        return {}
    held = dict(
        connection.execute(
            "SELECT send_key, reason FROM wayfare.send_holds WHERE by_rule AND send_key = ANY(%s)",
            (expired,),
        ).fetchall()
    )
    return {
        key: Refused("Expired", f"expired while held back: {held[key]}", "Rule")
        if key in held
        else Refused("Expired", "expired before its turn", "Waited")
        for key in expired
    }


def opt_outs(connection: Connection[Any], sends: Sequence[Send], now: datetime) -> Verdicts:
    """Refuses what the customer wants no more, on this channel or at all."""
    found = connection.execute(
        "SELECT customer_id, channel FROM wayfare.opt_outs WHERE out AND customer_id = ANY(%s)",
        (list({s.customer for s in sends}),),
    ).fetchall()
    out = set(found)
    return {
        s.send_key: Refused("Rejected", "opted out")
        for s in sends
        if (s.customer, s.channel) in out or (s.customer, "*") in out
    }


@dataclass(frozen=True)
class ContactCap:
    """At most `limit` contacts a customer in any `seconds`, over all channels and both sites.

    Exact, because one worker at a time takes the turns of a customer, one send after the other.
    """

    limit: int
    seconds: float

    def __call__(
        self, connection: Connection[Any], sends: Sequence[Send], now: datetime
    ) -> Verdicts:
        """A `Check`."""
        span = timedelta(seconds=self.seconds)
        found = connection.execute(
            "SELECT w.send_key, count(c.send_key), min(c.at) "
            "FROM unnest(%s::text[], %s::text[]) AS w(send_key, customer_id) "
            "JOIN wayfare.contacts c ON c.customer_id = w.customer_id "
            "AND c.at > %s AND c.send_key <> w.send_key GROUP BY w.send_key",
            ([s.send_key for s in sends], [s.customer for s in sends], now - span),
        ).fetchall()
        return {
            key: Later(oldest + span, "contact cap")
            for key, count, oldest in found
            if count >= self.limit
        }


#: Always asked, in this order; governance adds its own after them.
ALWAYS: tuple[Check, ...] = (known_by_receipt, expiry, opt_outs)


def ask(
    checks: Sequence[Check], connection: Connection[Any], sends: Sequence[Send], now: datetime
) -> dict[str, Refused | Later | Elsewhere]:
    """The first objection to each send, if there is one."""
    verdicts: dict[str, Refused | Later | Elsewhere] = {}
    for check in checks:
        left = [s for s in sends if s.send_key not in verdicts]
        if not left:
            break
        verdicts |= check(connection, left, now)
    return verdicts
