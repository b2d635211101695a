"""Business: arms of experiments and journey instances, compared with the chains."""

from __future__ import annotations

import psycopg
import pytest

from tests.checks.making import (
    arm,
    assert_failed,
    assert_passed,
    assert_unknown,
    facts,
    followed,
    kept,
    look,
    looking,
    on_their_way,
    sealed,
    sql,
    stated,
)
from tests.journal.making import SITE
from wayfare_engine.clock import now
from wayfare_engine.ledger import Kind
from wayfare_engine.ledger.bodies import Erasure
from wayfare_engine.ledger.fence import raise_epoch
from wayfare_engine.objectstore import ObjectStore
from wayfare_engine.recovery.checks import CATALOGUE, Objectives, from_chains


def test_what_follows_the_chains_is_whole(east: str, west: str, store: ObjectStore) -> None:
    stated(east, arm("anna", "a"), arm("bob", "b"))
    on_their_way(east, "anna", "bob")
    on_their_way(east, "anna", node="later")
    facts(east, (Kind.ERASURE, "bob", Erasure(customer="bob"), now()))
    sealed(east, store)
    followed(west, store)
    on_their_way(east, "carl")  # committed and in no segment yet
    for dsn, name, unsealed in (
        (west, "InstancesWhole", 0),
        (west, "AssignmentsUnchanged", 0),
        (east, "InstancesWhole", 1),
        (east, "AssignmentsUnchanged", 0),
    ):
        result = look(name, dsn=dsn, store=store)
        assert_passed(result)
        assert (result.figures["rows"], result.figures["unsealed"]) == (1 + unsealed, unsealed)


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        ("DELETE FROM wayfare.journey_instances WHERE customer_id = 'anna'", "1 lost"),
        (
            "UPDATE wayfare.journey_instances SET version = version - 1, node = 'hello' "
            "WHERE customer_id = 'anna'",
            "1 older than the chains say",
        ),
        ("UPDATE wayfare.journey_instances SET node = 'nowhere'", "2 not as the chains say"),
        (
            "INSERT INTO wayfare.journey_instances SELECT 'other', version, epoch, "
            "gen_random_uuid(), 'dora', journey, node, visit, state, entry_key, due "
            "FROM wayfare.journey_instances LIMIT 1",
            "1 in no chain",
        ),
        (
            "INSERT INTO wayfare.journey_instances SELECT 'other', version, epoch, row_id, "
            "customer_id, journey, node, visit, state, entry_key, due "
            "FROM wayfare.journey_instances LIMIT 1",
            "1 entries as several instances",
        ),
    ],
)
def test_an_instance_that_is_lost_old_changed_made_up_or_doubled_is_found(
    east: str, west: str, store: ObjectStore, broken: str, words: str
) -> None:
    on_their_way(east, "anna", "bob")
    on_their_way(east, "anna", node="later")
    sealed(east, store)
    followed(west, store)
    assert sql(west, broken) > 0
    result = look("InstancesWhole", dsn=west, store=store)
    assert_failed(result, words)
    assert "anna" not in str(kept(store, result)), "evidence names no customer"


def test_of_a_long_chain_the_newest_segments_are_judged(
    east: str, west: str, store: ObjectStore
) -> None:
    on_their_way(east, "anna", "bob", "carl")
    facts(east, (Kind.ERASURE, "carl", Erasure(customer="carl"), now()))
    sealed(east, store)
    on_their_way(east, "bob", node="later")
    on_their_way(east, "carl", node="never")
    sealed(east, store)
    followed(west, store)
    newest = Objectives(chain_objects=1)
    result = look("InstancesWhole", dsn=west, store=store, objectives=newest)
    assert_passed(result)
    assert (result.figures["rows"], result.figures["notJudged"]) == (2, 1)
    sql(west, "DELETE FROM wayfare.journey_instances")
    result = look("InstancesWhole", dsn=west, store=store, objectives=newest)
    assert_failed(result, "1 lost")  # bob; of anna nobody looked, and carl was erased
    assert_failed(look("InstancesWhole", dsn=west, store=store), "2 lost")


def test_an_arm_that_is_lost_or_changed_is_found(east: str, west: str, store: ObjectStore) -> None:
    stated(east, arm("anna", "a"), arm("bob", "b"))
    sealed(east, store)
    followed(west, store)
    sql(west, "UPDATE wayfare.assignments SET arm = 'b' WHERE customer_id = 'anna'")
    assert_failed(look("AssignmentsUnchanged", dsn=west, store=store), "1 not as the chains say")
    sql(west, "DELETE FROM wayfare.assignments WHERE customer_id = 'anna'")
    assert_failed(look("AssignmentsUnchanged", dsn=west, store=store), "1 lost")


def test_checks_of_one_looking_read_each_segment_once_though_the_database_goes_on(
    east: str, west: str, store: ObjectStore
) -> None:
    stated(east, arm("anna", "a"))
    on_their_way(east, "anna", "bob")
    sealed(east, store)
    followed(west, store)
    at = looking(dsn=west, store=store)
    assert_passed(CATALOGUE["AssignmentsUnchanged"].look(at))
    (read,) = at.kept.values()
    result = CATALOGUE["InstancesWhole"].look(at)
    assert_passed(result)
    assert result.figures["expected"] == 2
    assert list(at.kept.values()) == [read]
    (first,) = (entry.path for entry in store.list("journal/"))
    on_their_way(east, "carl")
    on_their_way(east, "anna", node="later")
    sealed(east, store)
    followed(west, store)
    store.put(first, b"damaged, and not read again")
    result = CATALOGUE["InstancesWhole"].look(at)
    assert_passed(result)
    assert (result.figures["expected"], result.figures["segments"]) == (3, 2)
    assert_unknown(look("InstancesWhole", dsn=west, store=store), first)


def test_a_reading_goes_on_from_any_row(east: str, store: ObjectStore) -> None:
    on_their_way(east, "anna", "bob", "carl")
    on_their_way(east, "anna", node="later")
    sealed(east, store)
    on_their_way(east, "dora")
    sealed(east, store)
    at, chain = looking(dsn=east, store=store), (SITE, 1)
    whole = from_chains._Read()
    from_chains._read_on(at, whole, {chain: 5})
    for upto in range(1, 5):
        read = from_chains._Read()
        from_chains._read_on(at, read, {chain: upto})
        assert read.goes_on_to({chain: 5})
        from_chains._read_on(at, read, {chain: 5})
        assert read.into.rows == whole.into.rows == 5
        assert (read.segments, read.reached) == (whole.segments, whole.reached)
        for name, folds in whole.into.folds.items():
            assert read.into.folds[name].states == folds.states
    assert not whole.goes_on_to({chain: 4}), "a database that was restored begins anew"


def test_another_arm_after_a_move_between_sites_is_found(east: str, store: ObjectStore) -> None:
    stated(east, arm("anna", "a"), arm("bob", "b"))
    stated(east, arm("bob", "a"))  # within the epoch: somebody meant it
    sealed(east, store)
    with psycopg.connect(east, autocommit=True) as connection:
        raise_epoch(connection, 2)
    stated(east, arm("bob", "a"))
    sealed(east, store)
    result = look("AssignmentsUnchanged", dsn=east, store=store)
    assert_passed(result)
    assert result.figures["reassigned"] == 1
    stated(east, arm("anna", "b"))
    sealed(east, store)
    result = look("AssignmentsUnchanged", dsn=east, store=store)
    assert_failed(result, "1 with another arm after a move")
    assert kept(store, result)["findings"][0]["epochs"] == [1, 2]


def test_a_damaged_chain_and_no_chain_are_unknown(east: str, west: str, store: ObjectStore) -> None:
    for name in ("InstancesWhole", "AssignmentsUnchanged"):
        assert_unknown(look(name, dsn=west, store=store), "applied no chain")
    on_their_way(east, "anna")
    sealed(east, store)
    followed(west, store)
    (path,) = (entry.path for entry in store.list("journal/"))
    data = store.get(path)
    assert data is not None
    store.put(path, data[:-20])
    assert_unknown(look("InstancesWhole", dsn=west, store=store), path)
