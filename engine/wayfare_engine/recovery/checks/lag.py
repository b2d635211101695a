"""Lag: how far this database is behind the chains, in rows and in seconds."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from wayfare_engine.journal import intents
from wayfare_engine.journal.chain import chains, last_object, objects
from wayfare_engine.journal.positions import positions
from wayfare_engine.journal.problems import ChainProblem
from wayfare_engine.journal.segment import Closed, Header, read_header
from wayfare_engine.journal.status import lag
from wayfare_engine.ledger.fence import site_epoch
from wayfare_engine.objectstore import ObjectStore
from wayfare_engine.recovery.checks.check import Check, Cost, Found, Step, failed, passed, unknown
from wayfare_engine.recovery.checks.looking import Looking, Source
from wayfare_engine.resources import CheckLevel


def _ask(at: Looking) -> Found:
    store, limit = at.objects, at.objectives.lag_seconds
    # The store first: what is sealed after that is no lag of this database.
    there = {chain: last_object(store, *chain) for chain in chains(store)}
    with at.database() as connection:
        epoch = site_epoch(connection)
        here = {chain: applied.seq for chain, applied in positions(connection).items()}
        for site, number in there:
            own = intents.position(connection, site, number).seq
            here[site, number] = max(here.get((site, number), 0), own)
        unsealed = lag(connection, at.site, epoch.epoch) if epoch.active else None
    behind: dict[str, Any] = {}
    for (site, number), last in there.items():
        assert last is not None, "a chain that is listed has an object"
        seq = here.get((site, number), 0)
        end = _header(store, last.path)
        if isinstance(end, Closed):
            end_at, rows = end.closed_at, end.at_seq - seq
        else:
            end_at, rows = end.sealed_at, end.last - seq
        if rows > 0:
            oldest = _header(store, objects(store, site, number, after=seq)[0].path)
            began = oldest.closed_at if isinstance(oldest, Closed) else oldest.sealed_at
            behind[f"{site}/{number}"] = {"rows": rows, "seconds": _between(began, end_at)}
    rows = sum(one["rows"] for one in behind.values())
    seconds = max((one["seconds"] for one in behind.values()), default=0.0)
    figures: dict[str, Any] = {"rows": rows, "seconds": seconds, "objectiveSeconds": limit}
    if unsealed is not None:
        figures |= {"unsealed": unsealed.rows, "unsealedSeconds": round(unsealed.seconds, 3)}
        seconds = max(seconds, unsealed.seconds)
    saw = {"behind": behind, "here": {f"{s}/{e}": seq for (s, e), seq in sorted(here.items())}}
    if not there and unsealed is None:
        return unknown("the store has no chain yet", figures, **saw)
    what = f"{rows:,} rows behind the chains"
    if unsealed is not None and unsealed.rows:
        what += f", and {unsealed.rows:,} rows of its own not sealed"
    if seconds > limit:
        return failed(
            f"{what}: {seconds:.0f} s, where at most {limit:g} s are allowed",
            figures,
            list(behind.items()),
            **saw,
        )
    return passed(what, figures, **saw)


def _header(store: ObjectStore, path: str) -> Header | Closed:
    data = store.get(path)
    if data is None:
        raise ChainProblem(path, ChainProblem.MISSING, "it was listed, and is gone")
    return read_header(data)


def _between(began: str, ended: str) -> float:
    """Seconds between two moments that one site's clock gave."""
    moments = [datetime.fromisoformat(text) for text in (began, ended)]
    return max(0.0, (moments[1] - moments[0]).total_seconds())


CHECK = Check(
    name="Lag",
    level=CheckLevel.DATA,
    gate=True,
    cost=Cost.CHEAP,
    guards="This database is no further behind the chains than allowed, and at the acting site "
    "what was written is sealed in that time.",
    seen="Rows and seconds behind, a chain; seconds are between seals, by the sealing site's "
    "clock.",
    unclear="The store or the database does not answer, or there is no chain yet.",
    steps=frozenset({Step.VERIFY, Step.SCHEDULE}),
    needs=(Source.STORE, Source.DATABASE),
    ask=_ask,
    of_clone=False,
)
