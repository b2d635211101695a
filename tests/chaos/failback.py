"""The lost site's disk is back: its tail is recovered and merged, and what is put back goes out."""

from __future__ import annotations

import psycopg

from tests.chaos.invariants import Happened
from tests.chaos.play import Player
from tests.harness.site import PLAN, now
from tests.harness.sites import SITES, Run
from wayfare_engine.clock import new_id
from wayfare_engine.journal.catch_up import catch_up
from wayfare_engine.journal.rebuilding import rebuild
from wayfare_engine.projections import PROJECTIONS
from wayfare_engine.reconcile import Tail, entries, merge, recover


def fail_back(player: Player) -> dict[str, str]:
    """Recover the other site's tails, merge them where the run came to rest, and let the acting
    site work until all is sent again. The id of each stranded row and what became of it.

    The run is at rest; it is again when this returns. Merging twice, once with small transactions
    and a stop in between, gives what merging once gives.
    """
    run, acting = player.run, player.acting
    other = next(site for site in SITES if site != acting)
    if other in player.wiped:
        return {}
    with psycopg.connect(run.dsn(other), autocommit=True) as connection:
        tails = recover(connection, run.store, plan=PLAN, site=other)
        assert recover(connection, run.store, plan=PLAN, site=other) == tails
    if tails:
        rebuild(run.dsn(other), run.store, plan=PLAN, site=other, clock=now)
    told: dict[str, str] = {}
    for tail in sorted(tails, key=lambda t: -t.manifest.epoch):
        told |= _merge(run, acting, tail)
    if tails:
        # The merge is sealed, and what was planned and never sent has its turn.
        player.work()
    return told


def _merge(run: Run, acting: str, tail: Tail) -> dict[str, str]:
    class Stopped(Exception):
        pass

    def stop(done: int, total: int) -> None:
        if done > total // 2:
            raise Stopped

    with psycopg.connect(run.dsn(acting), autocommit=True) as connection:
        found: list[dict[str, str]] = []
        for progress in (stop, lambda done, total: None, lambda done, total: None):
            try:
                merge(
                    connection,
                    run.store,
                    tail,
                    plan=PLAN,
                    site=acting,
                    ids=new_id,
                    clock=now,
                    batch=10,
                    progress=progress,
                )
            except Stopped:
                continue
            found.append(
                {
                    str(entry.id): str(entry.resolution)
                    for entry in entries(connection, run.store, tail)
                }
            )
    assert found[0] == found[-1], "merging again decided otherwise"
    assert "None" not in found[0].values(), "a stranded row has no decision"
    return found[0]


def every_row_is_accounted_for(happened: Happened, told: dict[str, str]) -> None:
    """P6: a row of either ledger is in a chain, or it is stranded and has a decision."""
    run = happened.run
    sealed = {row_id for rows in happened.journal.values() for row_id, _, _ in rows}
    for site in SITES:
        with psycopg.connect(run.dsn(site)) as connection:
            rows = connection.execute("SELECT id::text FROM wayfare.ledger").fetchall()
        missing = {row_id for (row_id,) in rows} - sealed - told.keys()
        assert not missing, f"P6: at {site}, in no chain and without a decision: {sorted(missing)}"
    twice = sealed & told.keys()
    assert not twice, f"P6: sealed, and called stranded: {sorted(twice)}"


def both_sites_have_the_same(happened: Happened) -> None:
    """The returned site follows the chains, and comes to what the acting site has."""
    run, acting = happened.run, happened.acting
    other = next(site for site in SITES if site != acting)
    catch_up(run.dsn(other), run.store, plan=run.plan)
    for projection in PROJECTIONS:
        query = f"SELECT t::text FROM {projection.table} t ORDER BY 1".encode()
        found = []
        for site in (acting, other):
            with psycopg.connect(run.dsn(site)) as connection:
                found.append(connection.execute(query).fetchall())
        assert found[0] == found[1], f"{projection.name} differs after the failback"
