"""A person's word on sends that ended without effect, or of which nobody knows.

Each is a row of the ledger, written under the lock of the send's row: a worker that takes a turn, a
receipt and another person come before it or after it, and it looks again at what it finds then.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from psycopg import Connection, sql

from wayfare_engine.ledger import Kind, LedgerRow, fence
from wayfare_engine.ledger.bodies import Ruling
from wayfare_engine.outbox.facts import Origin, record
from wayfare_engine.outbox.holds import release
from wayfare_engine.outbox.letters import Sort
from wayfare_engine.projections.ranks import TOOK_EFFECT

Action = Literal["Replay", "Drop", "Undo"]
_SORTS: dict[Sort, tuple[str, ...]] = {
    "dead-letters": ("Rejected", "Expired"),
    "unknowns": ("Unknown",),
}
# The order of keys is that in which everything locks these rows.
_LOCK = """
SELECT o.send_key, o.customer_id, o.outcome, o.cause, coalesce(o.detail, '') AS detail, o.attempt,
    o.outcome_attempt, coalesce(r.expires, o.expires) AS expires, o.due, o.receipt, r.action,
    r.attempt AS ruled_attempt, coalesce(r.number, 0) AS number, r.ended, r.detail AS ruled_detail,
    r.cause AS ruled_cause
FROM wayfare.outbox o LEFT JOIN wayfare.rulings r USING (send_key)
WHERE o.send_key = ANY(%s)
ORDER BY o.send_key
FOR UPDATE OF o
"""


@dataclass(frozen=True)
class Word:
    """What a person says: who, and why. `statement`: why it is certain that an unknown send took no
    effect at its provider. `expires`: when a replayed send expires; its own time where None."""

    action: Action
    by: str
    reason: str
    statement: str | None = None
    expires: datetime | None = None


@dataclass(frozen=True)
class Ruled:
    """What became of it for one send. `again`: it had been said before, and nothing is written."""

    send_key: str
    result: Literal["done", "again", "refused"]
    why: str = ""


@dataclass(frozen=True)
class _Send:
    send_key: str
    customer: str
    outcome: str | None
    cause: Any
    detail: str
    attempt: int
    outcome_attempt: int
    expires: datetime | None
    due: datetime | None
    receipt: str | None
    action: str | None
    ruled_attempt: int | None
    number: int
    ended: Any
    ruled_detail: str | None
    ruled_cause: Any

    @property
    def under_way(self) -> bool:
        """Whether it was dispatched, and how that ended is not known."""
        return self.attempt > self.outcome_attempt and self.outcome != "Accepted"

    @property
    def dropped(self) -> bool:
        """Whether a person has set aside how it ended."""
        return self.action == "Drop" and self.ruled_attempt == self.outcome_attempt

    @property
    def replay_waits(self) -> bool:
        """Whether it was replayed and nothing has come of that yet."""
        return (
            self.action == "Replay"
            and self.ruled_attempt == self.outcome_attempt
            and self.attempt < self.outcome_attempt
        )


@dataclass
class _Made:
    rows: list[LedgerRow] = field(default_factory=list)
    told: list[Ruled] = field(default_factory=list)


def rule(
    connection: Connection[Any],
    sort: Sort,
    send_keys: Sequence[str],
    word: Word,
    *,
    site: str,
    ids: Callable[[], Any],
    clock: Callable[[], datetime],
) -> list[Ruled]:
    """Write what a person says of these sends, in one transaction; one answer a key, in the order
    of the keys. A key that is named twice is one.

    An interrupted call has written all of it or nothing, and may be repeated. Raises ValueError for
    a replay of unknowns without a statement, StaleEpoch where this site does not act, and
    psycopg.Error.
    """
    if sort == "unknowns" and word.action == "Replay" and not (word.statement or "").strip():
        raise ValueError("an unknown send is replayed only with a statement that it took no effect")
    wanted = sorted(set(send_keys))
    made = _Made()
    with connection.transaction():
        origin = Origin(site, fence.enter_present(connection), ids, clock)
        now = clock()
        found = {row[0]: _Send(*row) for row in _locked(connection, wanted)}
        for key in wanted:
            send = found.get(key)
            if send is None:
                made.told.append(Ruled(key, "refused", "there is no such send here"))
                continue
            what = _RULES[word.action](send, sort, word, now)
            if isinstance(what, Ruling):
                made.rows.append(origin.row(Kind.RULING, send.customer, what, now))
                what = Ruled(key, "done")
            made.told.append(what)
        if made.rows:
            release(connection, [one.send_key for one in made.told if one.result == "done"])
            record(connection, made.rows)
    return made.told


def _locked(connection: Connection[Any], keys: Sequence[str]) -> list[tuple[Any, ...]]:
    # Twice: what the first statement read of rulings may be older than the lock.
    query = sql.SQL(_LOCK)
    connection.execute(query, (list(keys),))
    return connection.execute(query, (list(keys),)).fetchall()


def _replay(send: _Send, sort: Sort, word: Word, now: datetime) -> Ruling | Ruled:
    refused = _no_letter(send, sort)
    if refused is not None:
        if send.action == "Replay":
            return Ruled(send.send_key, "again", f"it was replayed: {refused}")
        return Ruled(send.send_key, "refused", refused)
    if send.receipt in TOOK_EFFECT or (sort == "unknowns" and send.receipt is not None):
        why = f"its provider has it: a receipt says {send.receipt}"
        return Ruled(send.send_key, "refused", why)
    expires = word.expires or send.expires
    if expires is not None and expires <= now:
        return Ruled(
            send.send_key, "refused", f"it expired at {expires:%Y-%m-%d %H:%M:%S} UTC: give a time"
        )
    return _ruling(
        send,
        word,
        attempt=max(send.attempt, send.outcome_attempt) + 1,
        outcome="NotAccepted",
        ended=(send.outcome, send.detail, send.cause),
    )


def _drop(send: _Send, sort: Sort, word: Word, now: datetime) -> Ruling | Ruled:
    if send.dropped:
        return Ruled(send.send_key, "again", "it was dropped before")
    refused = _no_letter(send, sort)
    if refused is not None:
        return Ruled(send.send_key, "refused", refused)
    return _ruling(
        send,
        word,
        attempt=send.outcome_attempt,
        outcome=None,
        ended=(send.outcome, send.detail, send.cause),
    )


def _undo(send: _Send, sort: Sort, word: Word, now: datetime) -> Ruling | Ruled:
    if send.action is None or (send.ended not in _SORTS[sort]):
        return Ruled(send.send_key, "refused", "nobody ruled on it")
    if send.action == "Undo":
        return Ruled(send.send_key, "again", "it was undone before")
    ended = (send.ended, send.ruled_detail or "", send.ruled_cause)
    if send.dropped:
        return _ruling(send, word, attempt=send.outcome_attempt, outcome=None, ended=ended)
    if send.replay_waits:
        attempt = send.outcome_attempt + 1
        return _ruling(send, word, attempt=attempt, outcome=send.ended, ended=ended)
    state = "it is under way" if send.under_way else f"it is {send.outcome} since"
    return Ruled(send.send_key, "refused", f"too late to undo: {state}")


_RULES: dict[Action, Callable[[_Send, Sort, Word, datetime], Ruling | Ruled]] = {
    "Replay": _replay,
    "Drop": _drop,
    "Undo": _undo,
}


def _no_letter(send: _Send, sort: Sort) -> str | None:
    """Why it is not in the list, dropped ones included; None when it is."""
    if send.due is None:
        return "its intent is not known here"
    if send.under_way:
        return "it is under way"
    if send.outcome is None or send.outcome in ("NotAccepted", "Held"):
        return "it waits for its turn"
    if send.outcome not in _SORTS[sort]:
        other = {"Accepted": "it was accepted", "Unknown": "it is unknown: see unknowns"}
        return other.get(send.outcome, f"it is {send.outcome}: see dead-letters")
    if send.cause == "Rule":
        return f"a rule refused it: {send.detail}"
    return None


def _ruling(
    send: _Send, word: Word, *, attempt: int, outcome: Any, ended: tuple[Any, str, Any]
) -> Ruling:
    return Ruling(
        send_key=send.send_key,
        number=send.number + 1,
        action=word.action,
        attempt=attempt,
        by=word.by,
        reason=word.reason,
        statement=word.statement if word.action == "Replay" else None,
        expires=word.expires if word.action == "Replay" else None,
        outcome=outcome,
        ended=ended[0],
        detail=ended[1],
        cause=ended[2],
    )
