"""At the clone of a drill: it goes on by itself, and seals into a store of its own."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from tests.checks.making import (
    arm,
    assert_failed,
    assert_passed,
    followed,
    look,
    on_their_way,
    sealed,
    send,
    sent,
    sql,
    stated,
)
from tests.digests.test_checkpoints import sealing_on, taken
from tests.journal.making import seal_all
from wayfare_engine.ledger.fence import raise_epoch
from wayfare_engine.objectstore import ObjectStore, open_store

NAMES = ("ChainUnbroken", "TablesEqual", "NoOrphans", "InstancesWhole", "AssignmentsUnchanged")


@pytest.fixture
def clone(east: str, west: str, store: ObjectStore, tmp_path: Path) -> str:
    """West as a clone that followed east, and then wrote and sealed under an epoch of its own."""
    sent(east, send(), send("bob"))
    on_their_way(east, "anna", "bob")
    stated(east, arm("anna", "a"))
    with sealing_on(east, store):
        taken(east, store)
    sealed(east, store)
    followed(west, store)
    with psycopg.connect(west, autocommit=True) as connection:
        raise_epoch(connection, 1000)
    stated(west, arm("carl", "b"), site="drill")
    on_their_way(west, "anna", node="in the drill", site="drill")
    own = open_store(f"file://{tmp_path}/drill")
    assert seal_all(west, own, site="drill", plan="drill") == 2
    return west


def test_what_the_clone_did_by_itself_is_no_fault_of_its_data(
    clone: str, store: ObjectStore
) -> None:
    for name in NAMES:
        assert_passed(look(name, dsn=clone, store=store, kind="Drill"))


def test_what_is_broken_in_the_clone_is_found_all_the_same(clone: str, store: ObjectStore) -> None:
    sql(clone, "DELETE FROM wayfare.journey_instances WHERE customer_id = 'bob'")
    sql(clone, "UPDATE wayfare.assignments SET arm = 'b' WHERE customer_id = 'anna'")
    assert_failed(look("InstancesWhole", dsn=clone, store=store, kind="Drill"), "1 lost")
    assert_failed(look("AssignmentsUnchanged", dsn=clone, store=store, kind="Drill"), "1 not as")
    result = look("TablesEqual", dsn=clone, store=store, kind="Drill")
    assert_failed(result, "journey_instances (1 keys", "assignments (1 keys")


def test_outside_a_drill_an_own_chain_that_is_gone_is_a_fault(
    clone: str, store: ObjectStore
) -> None:
    assert_failed(look("ChainUnbroken", dsn=clone, store=store), "this database applied")
