"""What must be true after any schedule of recovery runs, beside what tests/chaos asks.

Each function raises AssertionError with what it found.
"""

from __future__ import annotations

import itertools
from collections import Counter

import psycopg

from tests.chaos.failback import both_sites_have_the_same, every_row_is_accounted_for
from tests.chaos.invariants import INVARIANTS, Happened, look
from tests.chaos_recovery.play import Player
from tests.harness.sites import SITES
from tests.operator.recovery.place import KEY
from wayfare_engine import runs
from wayfare_engine.lease.epochs import history, read_acting
from wayfare_engine.ledger.standing import stand
from wayfare_engine.reconcile import entries, tails
from wayfare_engine.runs import Keys, procedure


def check(player: Player) -> dict[str, int]:
    """All of them, of a player whose sites are at rest; figures."""
    happened = look(player.run, player.acting, set())
    for invariant in INVARIANTS:
        invariant(happened)
    told = what_became_of_stranded_rows(player)
    every_row_is_accounted_for(happened, told)
    both_sites_have_the_same(happened)
    one_site_acts(player)
    each_epoch_is_taken_once(player)
    no_effect_came_twice(player)
    nothing_is_left_of_drills(player)
    return {
        **_figures(happened),
        "epochs": player.run.epoch,
        "stranded": len(told),
        **player.happened,
    }


def what_became_of_stranded_rows(player: Player) -> dict[str, str]:
    """By id; each has one decision."""
    told: dict[str, str] = {}
    with psycopg.connect(player.run.dsn(player.acting), autocommit=True) as connection:
        for tail in tails(player.run.store):
            found = {
                str(entry.id): str(entry.resolution)
                for entry in entries(connection, player.run.store, tail)
            }
            assert not told.keys() & found.keys(), f"P6: in two tails: {told.keys() & found.keys()}"
            told |= found
    assert "None" not in told.values(), "P6: a stranded row has no decision"
    return told


def one_site_acts(player: Player) -> None:
    """The site that the last move led to, by its database, the other's, and the store."""
    acting = []
    for site in SITES:
        with psycopg.connect(player.run.dsn(site), autocommit=True) as connection:
            at = stand(connection)
        assert at.highest_seen == player.run.epoch or site != player.acting, f"{site}: {at}"
        acting += [site] if at.sends else []
    assert acting == [player.acting], f"{acting} act, and {player.acting} should"
    assert player.run.acting == player.acting


def each_epoch_is_taken_once(player: Player) -> None:
    """One epoch a move, and each was waited for before anybody acted under it."""
    store, plan = player.run.store, player.run.plan
    held = [(each.lease.epoch, each.lease.site) for each in history(store, plan)]
    assert len(held) == player.moves + 1, f"{player.moves} moves took {held}"
    for (_, before), (epoch, site) in itertools.pairwise(held):
        assert before != site, f"{site} took epoch {epoch} from itself: {held}"
    for epoch, _ in held:
        assert read_acting(store, plan, epoch) is not None, f"epoch {epoch} never came to act"


def no_effect_came_twice(player: Player) -> None:
    """One number and one end a run; a result for each step of one that succeeded; one pod for each
    attempt of a step; one request for each thing that an attempt asked."""
    store, plan, keys = player.run.store, player.run.plan, Keys.of(KEY)
    for number, (name, (act, state)) in enumerate(player.made.items(), 1):
        run, end = runs.read_run(store, plan, number), runs.read_end(store, plan, number)
        assert run is not None, f"{name} has not number {number}"
        assert run.name == name, f"number {number} is {run.name}, and not {name}"
        assert end is not None, f"{name} has no end in the store"
        assert end.state == state, f"{name} is {state}, and in the store {end.state}"
        steps = [step.name for step in procedure(act.kind).steps]
        results = [s for s in steps if runs.read_result(store, plan, number, s) is not None]
        assert state == "Abandoned" or results == steps, f"{name} has results of {results} only"
        asked = Counter(
            (each.request.step, each.request.attempt, each.request.what)
            for each in runs.requests(store, keys, run)
        )
        assert set(asked.values()) <= {1}, f"{name} asked twice: {asked}"
    last = len(player.made) + 1
    assert runs.read_run(store, plan, last) is None, f"there is a run {last}, and nobody made it"
    for place in player.places.values():
        ran = Counter(each.job for each in place.jobs.ran)
        twice = {job: times for job, times in ran.items() if times > 1}
        assert not twice, f"more than one pod for an attempt: {twice}"


def nothing_is_left_of_drills(player: Player) -> None:
    """Neither of one that succeeded nor of one that was given up."""
    for name, (act, _) in player.made.items():
        left = player.places[act.target].left_of_drill(name)
        assert not left, f"left of {name}: {left}"


def _figures(happened: Happened) -> dict[str, int]:
    counted = Counter(record.what for found in happened.records.values() for record in found)
    return {
        "rows": sum(len(rows) for rows in happened.journal.values()),
        "hand-overs": counted["start"],
        "effects": counted["effect"],
    }
