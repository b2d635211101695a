"""NoOrphans: no row of a projection without what it follows from.

At any position of the chains a dispatch, an outcome, a receipt, a task or a ruling is of a send
whose intent came before; an erased customer has no row; what is past a retention's cutoff is gone;
and every row is of an epoch that there is a chain of.
"""

from __future__ import annotations

from typing import Any, Final, LiteralString

from psycopg import Connection, sql

from wayfare_engine.projections import PROJECTIONS
from wayfare_engine.projections.declared import Projection
from wayfare_engine.recovery.checks.check import Check, Cost, Found, Step, failed, passed, unknown
from wayfare_engine.recovery.checks.looking import Looking, Source
from wayfare_engine.resources import CheckLevel

#: Each gives the send keys of rows that should not be.
_SENDS: Final[dict[str, LiteralString]] = {
    "sends without an intent": "SELECT send_key FROM wayfare.outbox WHERE intent_epoch = 0",
    "contacts without a dispatched send": """
        SELECT c.send_key FROM wayfare.contacts c LEFT JOIN wayfare.outbox o USING (send_key)
        WHERE coalesce(o.attempt, 0) = 0""",
    "dispatched sends without a contact": """
        SELECT o.send_key FROM wayfare.outbox o LEFT JOIN wayfare.contacts c USING (send_key)
        WHERE o.attempt > 0 AND c.send_key IS NULL AND o.dispatched_at >= coalesce(
            (SELECT before FROM wayfare.retention_cutoffs WHERE projection = 'contacts'),
            '-infinity')""",
    "tasks without their send": """
        SELECT t.send_key FROM wayfare.tasks t LEFT JOIN wayfare.outbox o USING (send_key)
        WHERE o.send_key IS NULL OR t.made_epoch = 0""",
    "rulings without their send": """
        SELECT r.send_key FROM wayfare.rulings r LEFT JOIN wayfare.outbox o USING (send_key)
        WHERE o.send_key IS NULL""",
}
#: When a value of the retained column no longer counts.
_PAST: Final[dict[str, LiteralString]] = {
    "at": "p.at < c.before",
    "hour": "p.hour + interval '1 hour' <= c.before",
    "day": "p.day < (c.before AT TIME ZONE 'UTC')::date",
}
_KNOWN_EPOCHS: Final = """
SELECT epoch FROM wayfare.chain_positions UNION SELECT epoch FROM wayfare.sealed_epochs
UNION SELECT epoch FROM wayfare.site_epoch UNION SELECT origin_epoch FROM wayfare.merges
UNION SELECT origin_epoch FROM wayfare.merged_rows
"""


def _ask(at: Looking) -> Found:
    counts: dict[str, int] = {}
    findings: list[Any] = []
    looked = 0
    with at.database() as connection:
        if _taken_apart(connection):
            return unknown("the projections of this database are being rebuilt")
        for what, query in _SENDS.items():
            keys = [row[0] for row in connection.execute(query).fetchall()]
            _note(counts, findings, what, len(keys), keys)
        for projection in PROJECTIONS:
            at.say(f"NoOrphans: {projection.name}")
            for what, count in _of(connection, projection):
                _note(counts, findings, what, count, [])
        looked = _rows(connection)
    figures = {"rows": looked, "orphans": sum(counts.values()), "kinds": counts}
    if counts:
        said = ", ".join(f"{count:,} {what}" for what, count in counts.items())
        return failed(said, figures, findings)
    return passed(f"none among {looked:,} rows of projections", figures)


def _note(
    counts: dict[str, int], findings: list[Any], what: str, count: int, keys: list[str]
) -> None:
    if count:
        counts[what] = count
        findings.extend({"what": what, "sendKey": key} for key in keys)
        if not keys:
            findings.append({"what": what, "rows": count})


def _of(connection: Connection[Any], projection: Projection) -> list[tuple[str, int]]:
    """(what, how many) of one table."""
    table = sql.Identifier("wayfare", projection.name)
    name, found = projection.name, []
    if projection.customer is not None:
        query = sql.SQL(
            "SELECT count(*) FROM {} p JOIN wayfare.erased e ON e.customer_id = p.{}"
        ).format(table, sql.Identifier(projection.customer))
        found.append((f"rows of erased customers in {name}", _count(connection, query)))
    if projection.retained_by is not None:
        query = sql.SQL(
            "SELECT count(*) FROM {} p JOIN wayfare.retention_cutoffs c ON c.projection = {} "
            "WHERE {}"
        ).format(table, sql.Literal(name), sql.SQL(_PAST[projection.retained_by]))
        found.append((f"rows past the retention of {name}", _count(connection, query)))
    if any(column.name == "epoch" for column in projection.columns):
        query = sql.SQL(
            "SELECT count(*) FROM {} p WHERE p.epoch IS NOT NULL AND p.epoch NOT IN ({})"
        ).format(table, sql.SQL(_KNOWN_EPOCHS))
        found.append((f"rows of an epoch without a chain in {name}", _count(connection, query)))
    return found


def _count(connection: Connection[Any], query: sql.Composed) -> int:
    row = connection.execute(query).fetchone()
    assert row is not None, "an aggregate returns one row"
    return int(row[0])


def _rows(connection: Connection[Any]) -> int:
    query = sql.SQL(" + ").join(
        sql.SQL("(SELECT count(*) FROM {})").format(sql.Identifier("wayfare", p.name))
        for p in PROJECTIONS
    )
    return _count(connection, sql.SQL("SELECT {}").format(query))


def _taken_apart(connection: Connection[Any]) -> bool:
    row = connection.execute(
        "SELECT EXISTS (SELECT FROM wayfare.rebuild) OR EXISTS (SELECT FROM wayfare.restore)"
    ).fetchone()
    return row is not None and bool(row[0])


CHECK = Check(
    name="NoOrphans",
    level=CheckLevel.DATA,
    gate=True,
    cost=Cost.CHEAP,
    guards="Every row of a projection has what it follows from; erased customers and what is past "
    "its retention have none.",
    seen="How many rows of which table, and the send keys.",
    unclear="The database does not answer, or its projections are being rebuilt.",
    steps=frozenset({Step.VERIFY, Step.SCHEDULE}),
    needs=(Source.DATABASE,),
    ask=_ask,
)
