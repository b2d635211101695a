"""Comparing a database with the newest checkpoint of the acting chain: for a takeover whose source
cannot be asked any more.

The database is caught up to the checkpoint's position and no further, because further on nobody
says what the tables should be. The row in the chain is what counts; the digest in the store, which
shows where a difference is, must agree with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from psycopg import Connection

from wayfare_engine.journal import digesting, positions
from wayfare_engine.journal.catch_up import CatchUp, Progress
from wayfare_engine.journal.chain import chains, fetch, objects, opened
from wayfare_engine.journal.positions import Chain
from wayfare_engine.journal.segment import Closed
from wayfare_engine.ledger import Kind, bodies
from wayfare_engine.objectstore import ObjectStore, paths
from wayfare_engine.objectstore.paths import SEQ_DIGITS
from wayfare_engine.projections.digests import Comparison, Digest, compare
from wayfare_engine.projections.digests.writing import Progress as Hashing

Answer = Literal["equal", "different", "unknown"]
#: Segments behind its position in which a checkpoint's row is looked for.
_BEHIND = 500


@dataclass(frozen=True)
class Verdict:
    """What came of it. `why` says why nothing is known; `watermark` and `at` are the checkpoint's,
    `path` is its digest's; `comparison` has A for the checkpoint and B for this database."""

    answer: Answer
    why: str = ""
    watermark: Mapping[str, int] | None = None
    at: datetime | None = None
    comparison: Comparison | None = None
    path: str | None = None


def verify(
    dsn: str,
    store: ObjectStore,
    *,
    plan: str,
    site: str,
    clock: Callable[[], datetime],
    limit: int = 20,
    progress: Progress | None = None,
    hashing: Hashing | None = None,
) -> Verdict:
    """Catch up to the newest checkpoint and compare.

    Raises what `CatchUp.once` raises, DigestDamaged, StoreProblem, psycopg.Error.
    """
    with CatchUp.opened(dsn, store, plan=plan) as session:
        return compare_here(
            session, site=site, clock=clock, limit=limit, progress=progress, hashing=hashing
        )


def compare_here(
    session: CatchUp,
    *,
    site: str,
    clock: Callable[[], datetime],
    limit: int = 20,
    progress: Progress | None = None,
    hashing: Hashing | None = None,
) -> Verdict:
    """`verify` within a session that catches up, before it goes on past the checkpoint. What came
    of it is kept in the database (`last_compared`). Raises as `verify`.
    """
    found = newest(session.store)
    if found is None:
        return Verdict("unknown", "there is no checkpoint yet")
    body, at, path = found
    wanted: dict[Chain, int] = {_chain(name): seq for name, seq in body.watermark.items()}

    def unknown(why: str) -> Verdict:
        return Verdict("unknown", why, body.watermark, at, path=path)

    reached = positions.positions(session.connection)
    if not any(a.seq > wanted.get(c, 0) for c, a in reached.items()):
        session.once(upto=wanted, progress=progress)
    here = {c: a.seq for c, a in positions.positions(session.connection).items() if a.seq}
    if here != wanted:
        return unknown(
            f"this database is at {_named(here)}, and the checkpoint is of "
            f"{_named(wanted)}: take a new checkpoint, or verify before catching up further"
        )
    with digesting.digested(
        session.dsn, "this database", site=site, clock=clock, progress=hashing
    ) as (ours, _):
        if ours.document.unsealed:
            return unknown(f"{ours.document.unsealed:,} rows of it are in no segment")
        theirs = digesting.opened_in_store(session.store, path)
        if _tables(theirs) != {n: (t["rows"], t["digest"]) for n, t in body.tables.items()}:
            return unknown(f"{path} is not the digest that the checkpoint's row names")
        compared = compare(theirs, ours, limit=limit)
    answer: Answer = "equal" if compared.equal else "different"
    _keep(session.connection, path, answer, at, clock())
    return Verdict(answer, "", body.watermark, at, compared, path)


@dataclass(frozen=True)
class Compared:
    """What a comparison of this database came to: with which checkpoint (its digest's path), which
    is of `as_of`, and when."""

    path: str
    answer: str
    as_of: datetime
    at: datetime


def last_compared(connection: Connection[Any]) -> Compared | None:
    """The last comparison of this database with a checkpoint that said equal or different."""
    row = connection.execute(
        "SELECT path, answer, as_of, at FROM wayfare.compared_checkpoints "
        "ORDER BY at DESC, as_of DESC LIMIT 1"
    ).fetchone()
    return None if row is None else Compared(*row)


def _keep(
    connection: Connection[Any], path: str, answer: str, as_of: datetime, at: datetime
) -> None:
    connection.execute(
        "INSERT INTO wayfare.compared_checkpoints (path, answer, as_of, at) "
        "VALUES (%s, %s, %s, %s) ON CONFLICT (path) DO UPDATE SET answer = excluded.answer, "
        "as_of = excluded.as_of, at = excluded.at",
        (path, answer, as_of, at),
    )


def newest(
    store: ObjectStore, *, within: Mapping[Chain, int] | None = None
) -> tuple[bodies.Checkpoint, datetime, str] | None:
    """The newest checkpoint: its body, its time, and the path of its digest. It is one of the
    chains of the highest epoch that have any: a site that has just begun to act has none, and what
    its predecessor's says holds for its position. A digest whose row is not in the chain (yet) is
    passed over, and with `within` one that is further on than these positions.

    Raises ChainProblem, NewerFormat, StoreProblem.
    """
    for chain in sorted(chains(store), key=lambda each: -each[1]):
        listed = [entry.path for entry in store.list(paths.checkpoints(*chain))]
        for path in reversed(listed):
            found = _row(store, chain, int(path[-SEQ_DIGITS:]))
            if found is None:
                continue
            if within is None or is_within(found[0], within):
                return *found, path
    return None


def is_within(body: bodies.Checkpoint, here: Mapping[Chain, int]) -> bool:
    """Whether these positions are at the checkpoint or further on."""
    return all(seq <= here.get(_chain(name), 0) for name, seq in body.watermark.items())


def _row(store: ObjectStore, chain: Chain, seq: int) -> tuple[bodies.Checkpoint, datetime] | None:
    """The row of the checkpoint at a position: it comes soon behind."""
    for path, data in fetch(store, objects(store, *chain, after=seq)[:_BEHIND]):
        segment = opened(path, data)
        if isinstance(segment, Closed):
            break
        for row in segment.rows.select(["kind", "at", "body"]).to_pylist():
            if row["kind"] == Kind.CHECKPOINT:
                body = bodies.decode(Kind.CHECKPOINT, row["body"])
                if body.watermark.get(f"{chain[0]}/{chain[1]}", 0) == seq:
                    return body, row["at"]
    return None


def _chain(name: str) -> Chain:
    site, _, epoch = name.rpartition("/")
    return site, int(epoch)


def _named(watermark: dict[Chain, int]) -> str:
    return ", ".join(f"{c} {n:,}" for c, n in positions.by_name(watermark).items()) or "nothing"


def _tables(digest: Digest) -> dict[str, tuple[Any, Any]]:
    return {table.name: (table.rows, table.digest) for table in digest.document.tables}
