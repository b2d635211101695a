"""What the acting site knows of the keys that stranded rows name, held until the merge commits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psycopg import Connection, sql

from wayfare_engine.facts.fact import STATES
from wayfare_engine.facts.repeats import NOTE
from wayfare_engine.facts.versions import turned
from wayfare_engine.ledger import Kind
from wayfare_engine.reconcile.keys import StateKey
from wayfare_engine.reconcile.rules import Known, SendState, State
from wayfare_engine.reconcile.tail import StrandedRow


def look(
    connection: Connection[Any], rows: Sequence[tuple[StrandedRow, Any, StateKey | None]]
) -> Known:
    """Read it in the caller's transaction; the sends are locked, so that no turn of theirs is
    taken until it ends. The keys of states are locked by the caller before."""
    known = Known()
    customers = {row.customer for row, _, _ in rows} - {None}
    customers |= {c for _, body, _ in rows if (c := getattr(body, "customer", None))}
    known.erased = {
        row[0]
        for row in connection.execute(
            "SELECT customer_id FROM wayfare.erased WHERE customer_id = ANY(%s)",
            (sorted(str(c) for c in customers),),
        )
    }
    for kind in STATES:
        _states(connection, known, kind, {k[1] for _, _, k in rows if k and k[0] is kind})
    bodies = [body for row, body, _ in rows if row.kind == Kind.INTENT]
    known.instances = dict(
        connection.execute(
            "SELECT instance, epoch FROM wayfare.journey_instances WHERE instance = ANY(%s)",
            (sorted({body.instance for body in bodies}),),
        ).fetchall()
    )
    sends = (Kind.INTENT, Kind.DISPATCH, Kind.OUTCOME)
    for send_key, planned, epoch in connection.execute(
        "SELECT send_key, due IS NOT NULL, dispatch_epoch FROM wayfare.outbox "
        "WHERE send_key = ANY(%s) ORDER BY send_key FOR UPDATE",
        (sorted({body.send_key for row, body, _ in rows if row.kind in sends}),),
    ):
        known.sends[send_key] = SendState(planned, epoch)
    known.tasks = {
        row[0]
        for row in connection.execute(
            "SELECT send_key FROM wayfare.tasks WHERE made_epoch > 0 AND send_key = ANY(%s)",
            (sorted({body.send_key for row, body, _ in rows if row.kind == Kind.TASK}),),
        )
    }
    ids = {body.client_id for row, body, _ in rows if row.kind == Kind.EVENT} - {None}
    known.repeats = {
        client: row_id.bytes
        for client, row_id in connection.execute(
            "SELECT client_id, row_id FROM wayfare.event_repeats WHERE client_id = ANY(%s)",
            (sorted(ids),),
        )
    }
    return known


def _states(
    connection: Connection[Any], known: Known, kind: Kind, keys: set[tuple[str, ...]]
) -> None:
    if not keys:
        return
    state = STATES[kind]
    query = sql.SQL(
        "SELECT DISTINCT ON ({key}) t.epoch, t.version, {out}, {closed}, {key} "
        "FROM wayfare.{table} t "
        "JOIN unnest({arrays}) AS given ({names}) USING ({names}) "
        "ORDER BY {key}, t.version DESC, t.epoch DESC, t.row_id DESC"
    ).format(
        key=sql.SQL(", ").join(sql.Identifier("t", column) for column in state.columns),
        out=sql.SQL("t.out" if kind is Kind.OPT_OUT else "false"),
        closed=sql.SQL("t.state = 'Closed'" if kind is Kind.TASK_STATE else "false"),
        table=sql.Identifier(state.table),
        arrays=sql.SQL(", ").join(sql.SQL("%s::text[]") for _ in state.columns),
        names=sql.SQL(", ").join(map(sql.Identifier, state.columns)),
    )
    for epoch, version, out, closed, *parts in connection.execute(query, turned(sorted(keys))):
        if epoch is None:  # a task of which no state has come
            continue
        known.states[kind, tuple(parts)] = State(epoch, version, out, closed)


def note_repeats(
    connection: Connection[Any],
    rows: Sequence[tuple[StrandedRow, Any, StateKey | None]],
    known: Known,
) -> None:
    """Remember the client ids of events that were put back, as if they had come here."""
    put_back = {
        body.client_id: row.id
        for row, body, _ in rows
        if row.kind == Kind.EVENT and known.repeats.get(body.client_id) == row.origin_id
    }
    if put_back:
        connection.execute(NOTE.encode(), (list(put_back), list(put_back.values())))
