"""What must be true after any schedule, asked of the receivers' files, the store and the databases.

Each function raises AssertionError with what it found. P1 to P5 are the promises in docs/sends.md
and docs/journal.md.
"""

from __future__ import annotations

import json
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import psycopg

from tests.harness.site import CAP
from tests.harness.sites import SITES, Run
from tests.servers.receivers import Record
from wayfare_engine.journal import catch_up
from wayfare_engine.journal.chain import chains, read
from wayfare_engine.journal.segment import Closed
from wayfare_engine.journal.verify import verify
from wayfare_engine.projections import PROJECTIONS

Chain = tuple[str, int]


@dataclass
class Happened:
    """Everything that there is to know after a run.

    `journal`: a chain's rows, as (id, kind, body); `acting` the site that acts now; `wiped` the
    sites that lost their disk.
    """

    run: Run
    acting: str
    wiped: set[str]
    journal: dict[Chain, list[tuple[str, str, dict[str, Any]]]]
    closed: dict[Chain, Closed | None]
    records: dict[str, list[Record]]

    @property
    def starts(self) -> list[Record]:
        """Every hand-over that a receiver let start, in the order of time."""
        found = [r for rs in self.records.values() for r in rs if r.what == "start"]
        return sorted(found, key=lambda r: r.at)


def look(run: Run, acting: str, wiped: set[str]) -> Happened:
    """Read the journal and the receivers' files."""
    journal: dict[Chain, list[tuple[str, str, dict[str, Any]]]] = {}
    closed: dict[Chain, Closed | None] = {}
    store = run.store
    for chain in chains(store):
        rows = journal.setdefault(chain, [])
        closed[chain] = None
        for part in read(store, *chain):
            if isinstance(part, Closed):
                closed[chain] = part
                break
            table = part.rows
            assert table is not None
            rows += [
                (str(_uuid(i)), kind, msgspec.json.decode(body))
                for i, kind, body in zip(
                    table["id"].to_pylist(),
                    table["kind"].to_pylist(),
                    table["body"].to_pylist(),
                    strict=True,
                )
            ]
    records = {str(kind): receiver.records() for kind, receiver in run.receivers.items()}
    return Happened(run, acting, wiped, journal, closed, records)


def no_key_took_effect_twice(happened: Happened) -> None:
    """P1, with what the acting site says of each send beside it."""
    with psycopg.connect(happened.run.dsn(happened.acting)) as connection:
        found = connection.execute(
            "SELECT send_key, outcome, outcome = 'Unknown' AND expires <= outcome_at "
            "FROM wayfare.outbox WHERE outcome IS NOT NULL"
        ).fetchall()
    outcomes: dict[str, str] = {key: outcome for key, outcome, _ in found}
    expired = {key for key, _, over in found if over}
    for kind, records in happened.records.items():
        effects = Counter(r.send_key for r in records if r.what == "effect")
        twice = {key: n for key, n in effects.items() if n > 1}
        assert not twice, f"P1: {kind}: took effect more than once: {_of(records, twice)}"
        for key in effects:
            said = outcomes.get(key)
            assert said in ("Accepted", "Unknown"), (
                f"P1: {kind}: {key} took effect and is {said}: {_of(records, {key: 1})}"
            )
            # What expires while it is in doubt is not repeated under its key either.
            assert said == "Accepted" or kind == "None" or (kind == "Key" and key in expired), (
                f"P1: {kind}: {key} took effect: {said}: {_of(records, {key: 1})}"
            )
    effective = {r.send_key for rs in happened.records.values() for r in rs if r.what == "effect"}
    never = [k for k, said in outcomes.items() if said == "Accepted" and k not in effective]
    assert not never, f"P1: accepted, and nothing took effect: {never}"


def a_node_that_fires_again_is_the_same_send(happened: Happened) -> None:
    """One key for each visit of an instance to a node, at both sites."""
    keys: dict[tuple[str, str, int], set[str]] = {}
    for rows in happened.journal.values():
        for _, kind, body in rows:
            if kind == "intent":
                visit = (body["instance"], body["node"], body["visit"])
                keys.setdefault(visit, set()).add(body["send_key"])
    several = {visit: found for visit, found in keys.items() if len(found) > 1}
    assert not several, f"P1: one visit, more than one send: {several}"


def every_hand_over_was_dispatched_in_the_journal(happened: Happened) -> None:
    """P2."""
    dispatched = {
        (chain, body["send_key"], body["attempt"])
        for chain, rows in happened.journal.items()
        for _, kind, body in rows
        if kind == "dispatch"
    }
    for start in happened.starts:
        wanted = ((start.site, start.epoch), start.send_key, start.attempt)
        assert wanted in dispatched, f"P2: handed over, and its dispatch is not there: {start}"


def no_epoch_starts_after_the_next(happened: Happened) -> None:
    """P3."""
    highest = 0
    for start in happened.starts:
        assert start.epoch >= highest, f"P3: after a start of epoch {highest}: {start}"
        highest = start.epoch


def caps_hold_over_both_sites(happened: Happened) -> None:
    """P4, of what was handed over."""
    keys: dict[str, set[str]] = {}
    for start in happened.starts:
        keys.setdefault(start.customer, set()).add(start.send_key)
    over = {customer: len(sent) for customer, sent in keys.items() if len(sent) > CAP.limit}
    assert not over, f"P4: more than {CAP.limit} contacts: {over}"


def what_was_acknowledged_is_somewhere(happened: Happened) -> None:
    """P5: in the journal; or, if it was not acknowledged as journaled, on the writer's disk."""
    sealed = {chain: {row_id for row_id, _, _ in rows} for chain, rows in happened.journal.items()}
    disks = {site: _ledger_ids(happened.run.dsn(site)) for site in SITES}
    for site in SITES:
        file = happened.run.folder / f"acknowledged-{site}.jsonl"
        for line in file.read_text().splitlines() if file.exists() else ():
            said = json.loads(line)
            missing = set(said["ids"]) - sealed.get((site, said["epoch"]), set())
            if missing:
                assert said["ack"] != "journaled", f"P5: journaled, and not in the journal: {said}"
                lost = missing - disks[site]
                assert not lost or site in happened.wiped, f"P5: nowhere: {sorted(lost)} of {said}"
    with psycopg.connect(happened.run.dsn(happened.acting)) as connection:
        applied = {
            (site, epoch): seq
            for site, epoch, seq in connection.execute(
                "SELECT site, epoch, seq FROM wayfare.chain_positions"
            ).fetchall()
        }
    for chain, rows in happened.journal.items():
        if chain[1] < happened.run.epoch and chain[0] != happened.acting:
            assert applied.get(chain) == len(rows), (
                f"P5: {chain} has {len(rows)} rows, applied at {happened.acting}: "
                f"{applied.get(chain)}"
            )


def older_chains_are_closed(happened: Happened) -> None:
    """Each chain of an epoch below the present one ends with Closed, and verifies."""
    epoch = happened.run.epoch
    left = [c for c, end in happened.closed.items() if c[1] < epoch and end is None]
    assert not left, f"not closed: {left}"
    found = verify(happened.run.store, plan=happened.run.plan)
    assert found.ok, f"the chains do not verify: {found.findings}"


def projections_equal_a_rebuild(happened: Happened) -> None:
    """The acting site's tables are what the chains alone give."""
    spare = happened.run.sites.spare.dsn
    catch_up.catch_up(spare, happened.run.store, plan=happened.run.plan)
    for projection in PROJECTIONS:
        key = ", ".join(column.name for column in projection.key)
        columns = ", ".join(f'"{column.name}"::text' for column in projection.columns)
        query = f"SELECT {columns} FROM {projection.table} ORDER BY {key}".encode()
        here, there = (_all(dsn, query) for dsn in (happened.run.dsn(happened.acting), spare))
        if here != there:
            only_here = [row for row in here if row not in set(there)][:3]
            only_there = [row for row in there if row not in set(here)][:3]
            raise AssertionError(
                f"{projection.name} at {happened.acting} is not what the chains give:\n"
                f"  only at the site: {only_here}\n  only in the rebuild: {only_there}"
            )


INVARIANTS: tuple[Callable[[Happened], None], ...] = (
    no_epoch_starts_after_the_next,
    every_hand_over_was_dispatched_in_the_journal,
    a_node_that_fires_again_is_the_same_send,
    no_key_took_effect_twice,
    caps_hold_over_both_sites,
    what_was_acknowledged_is_somewhere,
    older_chains_are_closed,
    projections_equal_a_rebuild,
)


def _of(records: list[Record], keys: dict[str, int]) -> str:
    return "\n  ".join(str(r) for r in records if r.send_key in keys)


def _all(dsn: str, query: bytes) -> list[tuple[Any, ...]]:
    with psycopg.connect(dsn) as connection:
        return connection.execute(query).fetchall()


def _ledger_ids(dsn: str) -> set[str]:
    return {row[0] for row in _all(dsn, b"SELECT id::text FROM wayfare.ledger")}


def _uuid(value: bytes) -> uuid.UUID:
    return uuid.UUID(bytes=value)
