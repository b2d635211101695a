"""What became of each row of a tail: read from the tail and the decisions, at any time after."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from psycopg import Connection

from wayfare_engine.objectstore import ObjectStore
from wayfare_engine.reconcile.rules import ATTENTION, RULES
from wayfare_engine.reconcile.tail import Tail, rows

#: Of each rule that a person should look at, so many rows are named in a summary.
_NAMED = 20


@dataclass(frozen=True)
class Entry:
    """One row. `resolution` and `rule` are None while it has no decision."""

    id: uuid.UUID
    site: str
    epoch: int
    kind: str
    key: str | None
    customer: str | None
    at: datetime
    resolution: str | None
    rule: str | None

    def facts(self) -> dict[str, Any]:
        """For JSON."""
        return self.proof() | {"key": self.key, "customer": self.customer}

    def proof(self) -> dict[str, Any]:
        """The same for evidence, which outlives an erasure: it names no customer."""
        return {
            "id": str(self.id),
            "site": self.site,
            "epoch": self.epoch,
            "kind": self.kind,
            "at": self.at.isoformat(),
            "resolution": self.resolution,
            "rule": self.rule,
        }


@dataclass
class Summary:
    """Counts over a tail: of (kind, resolution) and of rules; `undecided` rows have no decision.

    `attention` names rows that a person should look at, up to twenty a rule.
    """

    rows: int = 0
    undecided: int = 0
    merged_in: int | None = None
    kinds: Counter[tuple[str, str]] = field(default_factory=Counter)
    rules: Counter[str] = field(default_factory=Counter)
    attention: dict[str, list[Entry]] = field(default_factory=dict)

    @property
    def accounted_for(self) -> bool:
        """Whether every row has a decision."""
        return not self.undecided

    def facts(self, *, customers: bool = True) -> dict[str, Any]:
        """For JSON; `customers`: whether those to look at are told with their customers."""
        return {
            "rows": self.rows,
            "undecided": self.undecided,
            "mergedIn": self.merged_in,
            "kinds": [
                {"kind": kind, "resolution": resolution, "rows": count}
                for (kind, resolution), count in sorted(self.kinds.items())
            ],
            "rules": [
                {"rule": rule, "rows": count, "says": RULES[rule][1] if rule in RULES else None}
                for rule, count in sorted(self.rules.items())
            ],
            "attention": [
                {
                    "rule": rule,
                    "rows": self.rules[rule],
                    "named": [e.facts() if customers else e.proof() for e in named],
                }
                for rule, named in sorted(self.attention.items())
            ],
        }


def entries(connection: Connection[Any], store: ObjectStore, tail: Tail) -> Iterator[Entry]:
    """Every row of the tail with what became of it here, in the order of the lost chain.

    Raises TailDamaged, NewerFormat, StoreProblem, StoreUnavailable, psycopg.Error.
    """
    for some in rows(store, tail):
        decided = {
            origin.bytes: (resolution, rule)
            for origin, resolution, rule in connection.execute(
                "SELECT origin_id, resolution, rule FROM wayfare.merged_rows "
                "WHERE origin_id = ANY(%s)",
                ([row.id for row in some],),
            )
        }
        for row in some:
            resolution, rule = decided.get(row.origin_id, (None, None))
            yield Entry(
                row.id,
                row.site,
                row.epoch,
                row.kind,
                row.key,
                row.customer,
                row.at,
                resolution,
                rule,
            )


def merged_in(connection: Connection[Any], tail: Tail) -> int | None:
    """The epoch whose chain says that the tail was merged whole; None: it was not, here."""
    row = connection.execute(
        "SELECT epoch FROM wayfare.merges WHERE tail = %s", (tail.digest,)
    ).fetchone()
    return None if row is None else int(row[0])


def summary(connection: Connection[Any], store: ObjectStore, tail: Tail) -> Summary:
    """Counts of all entries; memory does not grow with the tail. Raises as `entries`."""
    found = Summary(merged_in=merged_in(connection, tail))
    for entry in entries(connection, store, tail):
        found.rows += 1
        if entry.resolution is None or entry.rule is None:
            found.undecided += 1
            continue
        found.kinds[entry.kind, entry.resolution] += 1
        found.rules[entry.rule] += 1
        if entry.rule in ATTENTION:
            named = found.attention.setdefault(entry.rule, [])
            if len(named) < _NAMED:
                named.append(entry)
    return found
