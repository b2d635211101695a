"""Fork: a copy of the database, made from the journal, in an instance of its own.

Nothing is asked of this site's own database but its plans, and nothing of the acting site: the
copy comes out of the store, a snapshot and what follows it, as a takeover's would. So production
replication goes on meanwhile; how far it is behind is looked at before and after.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import msgspec
import psycopg
from psycopg import Connection

from wayfare_engine.customers import applying
from wayfare_engine.identity.keys import Scope, new_key, parse
from wayfare_engine.journal import positions
from wayfare_engine.journal.catch_up import CatchUp, CatchUpReport
from wayfare_engine.journal.problems import ChainProblem
from wayfare_engine.journal.restoring import is_empty, restore
from wayfare_engine.journal.snapshot import revision
from wayfare_engine.ledger.standing import lease_site
from wayfare_engine.plan import Plan
from wayfare_engine.privacy import batches
from wayfare_engine.recovery.drill import lost_part, replication
from wayfare_engine.recovery.drill.position import (
    Cut,
    cut_of,
    known_chains,
    snapshot_before,
)
from wayfare_engine.recovery.drill.sinks import copy_plans
from wayfare_engine.recovery.drill.targets import canary_of
from wayfare_engine.recovery.tasks.measuring import would_be
from wayfare_engine.recovery.tasks.problems import StepFailed
from wayfare_engine.recovery.tasks.task import Done, Task
from wayfare_engine.runs.records import LostPart
from wayfare_engine.store.blobs import fetch_missing
from wayfare_engine.store.migrate import migrate
from wayfare_engine.store.postgresql import patient
from wayfare_engine.store.task_claims import claim

_FEW = 1000
_PASSES = 5
_SCOPES = (Scope.DECIDE, Scope.DECISIONS_READ, Scope.SENDS_WRITE, Scope.SENDS_READ)
NO_PLACE = (
    "WAYFARE_FORK_DSN and WAYFARE_FORK_SINK_URL are not set: this step is made by the operator of "
    "the run's target, which makes the database and the sink"
)


def fork(task: Task) -> Done:
    """Fill the copy; every part of it can be done again."""
    address, sink = task.settings.fork, task.settings.fork_sink_url
    if address is None or sink is None:
        raise StepFailed(NO_PLACE)
    applying.register()
    began = task.monotonic()
    _own_instance(task, address)
    migrate(address)
    scenario = (task.run.scenario if task.run is not None else None) or LostPart(lost="Site")
    cut = cut_of(task.store, task.plan, scenario.at_position)
    with task.connected() as own, _to_fork(task, address) as copy:
        before = replication.look(task, own)
        filled = _filled(task, address, cut)
        plan = copy_plans(own, copy, sink)
        _let_in(task, copy)
        after = replication.look(task, own)
        canary = canary_of(task.settings, os.environ, plan, own, task.store, task.plan)
        reached = positions.positions(copy)
        at = reached.get(cut.chain) if cut.chain is not None else None
        stranded = _stranded(task, cut, 0 if at is None else at.seq)
        cost = lost_part.cost(scenario, plan, lost_part.waiting(copy), stranded)
    figures: dict[str, Any] = filled | {
        "seconds": round(task.monotonic() - began, 3),
        "chain": None if cut.chain is None else f"{cut.chain[0]}/{cut.chain[1]}",
        "position": 0 if at is None else at.seq,
        "asked": cut.position,
        "watermark": positions.by_name({chain: one.seq for chain, one in reached.items()}),
        "plan": None if plan is None else plan.digest,
        "channels": _channels(plan),
        "replication": [before, after],
        "scenario": cost,
        "canary": msgspec.to_builtins(canary),
    }
    return Done(_said(figures), figures, evidence=task.keep(figures))


@contextmanager
def _to_fork(task: Task, address: str) -> Iterator[Connection[Any]]:
    """A connection to the copy, in autocommit mode; the step is claimed there as well, so that an
    attempt that was given up writes nothing into it any more."""
    with psycopg.connect(patient(address, "wayfare-fork"), autocommit=True) as copy:
        claim(
            copy,
            plan=task.records,
            run=task.number,
            step=task.step,
            attempt=task.attempt,
            pod=task.claim.pod,
        )
        lease_site(copy)
        yield copy


def _own_instance(task: Task, address: str) -> None:
    """Before anything is written: long transactions of a copy hold the sealing of its whole
    instance back."""
    query = "SELECT system_identifier FROM pg_control_system()"
    with (
        task.connected() as own,
        psycopg.connect(patient(address, "wayfare-fork"), autocommit=True) as copy,
    ):
        here, there = (one.execute(query).fetchone() for one in (own, copy))
    if here == there:
        raise StepFailed(
            "the copy would be in the same PostgreSQL instance as this site's own database: it "
            "would hold its sealing back; give the drill an instance of its own"
        )


def _filled(task: Task, address: str, cut: Cut) -> dict[str, Any]:
    """From the newest snapshot that goes no further than the cut, to the cut."""
    with ExitStack() as stack:
        session = stack.enter_context(
            CatchUp.opened(
                address,
                task.store,
                plan=task.plan,
                standby=True,
                fence=task.claim.fence,
                monotonic=task.monotonic,
            )
        )
        batches.sync(session.connection, session.store)
        snapshot = _restored(task, session, address, cut)
        rows = segments = 0
        for _ in range(_PASSES):
            found = _once(task, session, cut)
            rows, segments = rows + found.total, segments + found.segments
            if found.total <= _FEW or cut.position is not None:
                break
        batches.sync(session.connection, session.store)
        blobs = fetch_missing(session.connection, session.store)
    return {"rows": rows, "segments": segments, "snapshot": snapshot, "blobs": blobs}


def _stranded(task: Task, cut: Cut, reached: int) -> dict[str, Any]:
    """Rows that the copy does not have: by id where a position was named, else as estimated."""
    if cut.chain is not None and cut.position is not None:
        return lost_part.beyond(task.store, cut.chain, reached)
    return would_be(task)


def _restored(task: Task, session: CatchUp, address: str, cut: Cut) -> str | None:
    connection = session.connection
    if not is_empty(connection):
        return None
    found = snapshot_before(task.store, cut, plan=task.plan, revision=revision(connection))
    if found is None:
        return None
    with connection.transaction():
        task.claim.fence(connection)
    progress = task.progress("restoring (bytes)")
    restore(address, connection, task.store, found, progress=progress)
    task.say(f"restored snapshot {found.id}")
    return found.id


def _once(task: Task, session: CatchUp, cut: Cut) -> CatchUpReport:
    upto = cut.upto(known_chains(task.store))
    try:
        return session.once(upto=upto, progress=task.progress("rows applied"))
    except ChainProblem as problem:
        raise StepFailed(
            f"{problem}; the copy cannot be made past it",
            {"damaged": problem.path, "problem": problem.problem},
        ) from None


def _let_in(task: Task, copy: Connection[Any]) -> None:
    """The one key that the copy knows, for the checks: no key of production works there."""
    text = task.settings.fork_api_key
    if text is None:
        return
    name, secret = parse(text)
    made = new_key(
        name="checks of a drill",
        scopes=_SCOPES,
        now=task.clock(),
        expires_at=None,
        random_id=lambda: name,
        random_secret=lambda: secret,
    ).key
    copy.execute(
        "INSERT INTO wayfare.api_keys (id, hash, scopes, name, created_at, expires_at) "
        "VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT (id) DO NOTHING",
        (made.id, made.hash, sorted(made.scopes), made.name, made.created_at, made.expires_at),
    )


def _channels(plan: Plan | None) -> dict[str, str]:
    """What becomes of each way out."""
    found = plan.channels if plan is not None else {}
    return {name: "sink" if one.url else "waits inside" for name, one in sorted(found.items())}


def _said(figures: dict[str, Any]) -> str:
    words = f"applied {figures['rows']:,} rows"
    if figures["snapshot"]:
        words = f"restored snapshot {figures['snapshot']}, {words}"
    where = f", up to {figures['chain']} position {figures['position']:,}"
    channels = sum(one == "sink" for one in figures["channels"].values())
    return f"{words}{where if figures['chain'] else ''}; {channels} channels lead into a sink"
