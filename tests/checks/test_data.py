"""Data: the chain, the lag, the tables, and what follows from nothing."""

from __future__ import annotations

import pytest

from tests.checks.making import (
    assert_failed,
    assert_passed,
    assert_unknown,
    facts,
    followed,
    kept,
    look,
    looking,
    receipt,
    sealed,
    send,
    sent,
    sql,
    stated,
)
from tests.digests.test_checkpoints import sealing_on, taken
from tests.journal.making import PLAN, SITE, seal_all
from tests.servers.epochs import take
from wayfare_engine.clock import now
from wayfare_engine.journal.catch_up import catch_up
from wayfare_engine.lease import Terms
from wayfare_engine.ledger import Kind
from wayfare_engine.ledger.bodies import Assignment, Erasure, Event, OptOut
from wayfare_engine.objectstore import ObjectStore, paths
from wayfare_engine.recovery.checks import CATALOGUE, Objectives


@pytest.fixture
def chain(east: str, store: ObjectStore) -> list[str]:
    """A chain of three segments; their paths."""
    for number in range(3):
        sent(east, send(f"customer-{number}"))
        sealed(east, store)
    return [entry.path for entry in store.list(paths.chain(SITE, 1))]


def flipped(data: bytes | None) -> bytes:
    """One bit is another."""
    assert data is not None
    at = len(data) // 2
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


# --- ChainUnbroken


def test_a_whole_chain_passes(east: str, west: str, store: ObjectStore, chain: list[str]) -> None:
    followed(west, store)
    result = look("ChainUnbroken", store=store, dsn=west)
    assert_passed(result)
    assert result.figures["objects"] == len(chain)
    assert kept(store, result)["saw"]["chains"][0]["site"] == SITE


def test_one_flipped_bit_is_found_and_named(store: ObjectStore, chain: list[str]) -> None:
    store.put(chain[1], flipped(store.get(chain[1])))
    result = look("ChainUnbroken", store=store)
    assert_failed(result, chain[1])
    assert kept(store, result)["findings"][0]["path"] == chain[1]


def test_of_a_long_chain_the_newest_objects_are_read(store: ObjectStore, chain: list[str]) -> None:
    two = Objectives(chain_objects=2)
    store.put(chain[0], flipped(store.get(chain[0])))
    result = look("ChainUnbroken", store=store, objectives=two)
    assert_passed(result)
    assert (result.figures["objects"], result.figures["objectsNotRead"]) == (2, 1)
    store.put(chain[1], flipped(store.get(chain[1])))
    assert_failed(look("ChainUnbroken", store=store, objectives=two), chain[1])


def test_a_missing_segment_is_found(store: ObjectStore, chain: list[str]) -> None:
    store.delete(chain[1])
    assert_failed(look("ChainUnbroken", store=store), chain[2], "in no object")


def test_a_chain_that_lost_its_end_is_behind_what_was_applied(
    west: str, store: ObjectStore, chain: list[str]
) -> None:
    followed(west, store)
    store.delete(chain[-1])
    assert_passed(look("ChainUnbroken", store=store))  # nothing in the store tells
    assert_failed(look("ChainUnbroken", store=store, dsn=west), "this database applied")


def test_a_database_that_follows_meanwhile_is_not_ahead(
    east: str, west: str, store: ObjectStore, chain: list[str]
) -> None:
    followed(west, store)
    went_on: list[str] = []

    def goes_on(text: str) -> None:
        """The objects are listed, and are being read."""
        if not went_on:
            went_on.append(text)
            sent(east, send("somebody else"))
            sealed(east, store)
            followed(west, store)

    assert_passed(look("ChainUnbroken", store=store, dsn=west, say=goes_on))
    assert went_on


def test_no_chain_and_another_plans_store_are_unknown(
    store: ObjectStore, chain: list[str], tmp_path: object
) -> None:
    assert_unknown(look("ChainUnbroken"), "the object store was not given")
    other = CATALOGUE["ChainUnbroken"].look(looking(plan="another", store=store))
    assert_unknown(other, PLAN)


# --- Lag


def test_a_database_that_followed_has_no_lag(
    west: str, store: ObjectStore, chain: list[str]
) -> None:
    followed(west, store)
    result = look("Lag", store=store, dsn=west)
    assert_passed(result)
    assert result.figures["rows"] == 0


def test_rows_that_were_not_applied_are_counted(
    west: str, store: ObjectStore, chain: list[str]
) -> None:
    first_of_last = int(chain[-1].rpartition("/")[2])
    catch_up(west, store, plan=PLAN, upto={(SITE, 1): first_of_last - 1}, from_snapshot=False)
    strict = Objectives(lag_seconds=-1.0)
    result = look("Lag", store=store, dsn=west, objectives=strict)
    assert_failed(result, "rows behind")
    assert result.figures["rows"] == 3  # intent, dispatch, outcome
    # Within the objective the same lag is told, and passes.
    assert_passed(look("Lag", store=store, dsn=west))


def test_at_the_acting_site_what_is_not_sealed_is_lag(
    east: str, store: ObjectStore, chain: list[str]
) -> None:
    sent(east, send("late"))
    sql(east, "SELECT pg_sleep(0.05)")
    result = look("Lag", site=SITE, store=store, dsn=east, objectives=Objectives(lag_seconds=0.01))
    assert_failed(result, "not sealed")
    assert result.figures["unsealed"] == 3


def test_without_a_chain_the_lag_is_unknown(west: str, store: ObjectStore) -> None:
    sql(west, "UPDATE wayfare.site_epoch SET held = false")
    assert_unknown(look("Lag", store=store, dsn=west), "no chain yet")


# --- TablesEqual


def checkpointed(east: str, store: ObjectStore) -> None:
    """Rows of several tables, sealed, with a checkpoint at their end."""
    sent(east, *(send(f"customer-{n}") for n in range(20)))
    stated(east, OptOut(customer="customer-1", channel="*", out=True))
    with sealing_on(east, store):
        taken(east, store)


def at_checkpoint(west: str, store: ObjectStore) -> None:
    """`west` stands where the checkpoint does, which is before the row that tells of it."""
    from wayfare_engine.journal.checking import newest

    found = newest(store)
    assert found is not None
    upto = {
        (site, int(epoch)): seq
        for name, seq in found[0].watermark.items()
        for site, _, epoch in [name.rpartition("/")]
    }
    catch_up(west, store, plan=PLAN, upto=upto, from_snapshot=False)


def test_equal_tables_pass(east: str, west: str, store: ObjectStore) -> None:
    checkpointed(east, store)
    at_checkpoint(west, store)
    result = look("TablesEqual", store=store, dsn=west)
    assert_passed(result)
    assert result.figures["rows"] >= 41  # 20 sends, their contacts, an opt-out


@pytest.mark.parametrize(
    ("broken", "table"),
    [
        ("DELETE FROM wayfare.opt_outs", "opt_outs"),
        ("UPDATE wayfare.contacts SET at = at + interval '1 microsecond'", "contacts"),
        (
            "INSERT INTO wayfare.counters VALUES ('nobody', 'default/welcome', '2026-11-23', 1)",
            "counters",
        ),
    ],
)
def test_a_row_that_is_missing_changed_or_more_is_found(
    east: str, west: str, store: ObjectStore, broken: str, table: str
) -> None:
    checkpointed(east, store)
    at_checkpoint(west, store)
    assert sql(west, broken) > 0
    result = look("TablesEqual", store=store, dsn=west)
    assert_failed(result, table)
    finding = kept(store, result)["findings"][0]
    assert finding["table"] == table
    assert finding["keyHashes"]


def test_without_a_checkpoint_or_before_it_nobody_can_tell(
    east: str, west: str, store: ObjectStore
) -> None:
    assert_unknown(look("TablesEqual", store=store, dsn=west), "no checkpoint")
    checkpointed(east, store)
    assert_unknown(look("TablesEqual", store=store, dsn=west), "catch up first")


def test_a_database_that_is_behind_the_newest_checkpoint_is_held_against_the_one_before(
    east: str, west: str, store: ObjectStore
) -> None:
    checkpointed(east, store)
    sealed(east, store)
    followed(west, store)
    sent(east, send("later"))
    with sealing_on(east, store):
        taken(east, store)
    first, second = store.list(paths.checkpoints(SITE, 1))
    result = look("TablesEqual", store=store, dsn=west)
    assert_passed(result)
    assert kept(store, result)["saw"]["checkpoint"]["path"] == first.path
    sql(west, "DELETE FROM wayfare.contacts WHERE customer_id = 'customer-7'")
    assert_failed(look("TablesEqual", store=store, dsn=west), "contacts")
    result = look("TablesEqual", store=store, dsn=east)
    assert_passed(result)
    assert kept(store, result)["saw"]["checkpoint"]["path"] == second.path


def moved_on(east: str, west: str, store: ObjectStore) -> None:
    """After the checkpoint some keys change: of every way in which a projection is settled."""
    checkpointed(east, store)
    sent(east, send("customer-3"), send("new"))  # nothing new of the one
    receipt(east, send("customer-4"), "delivered")
    stated(east, OptOut(customer="customer-1", channel="*", out=False))
    event = Event(customer="customer-5", name="login")
    facts(east, (Kind.EVENT, "customer-5", event, now()))
    sealed(east, store)
    followed(west, store)


def test_further_on_only_what_changed_since_may_differ(
    east: str, west: str, store: ObjectStore
) -> None:
    moved_on(east, west, store)
    for dsn in (west, east):
        result = look("TablesEqual", store=store, dsn=dsn)
        assert_passed(result)
        assert result.figures["keysChangedSince"] >= 5
    sent(east, send("and one that is in no segment yet"))
    assert_passed(look("TablesEqual", store=store, dsn=east))


@pytest.mark.parametrize(
    ("broken", "table"),
    [
        ("DELETE FROM wayfare.contacts WHERE customer_id = 'customer-7'", "contacts (1 keys"),
        (
            "UPDATE wayfare.outbox SET outcome = 'Unknown' WHERE customer_id = 'customer-8'",
            "outbox",
        ),
        (
            "INSERT INTO wayfare.counters VALUES ('nobody', 'default/welcome', '2026-11-23', 1)",
            "counters",
        ),
    ],
)
def test_further_on_what_did_not_change_since_must_not_differ(
    east: str, west: str, store: ObjectStore, broken: str, table: str
) -> None:
    moved_on(east, west, store)
    assert sql(west, broken) == 1
    result = look("TablesEqual", store=store, dsn=west)
    assert_failed(result, table)
    assert result.figures["keys"] == 1


def test_a_site_that_has_just_begun_to_act_goes_by_its_predecessors_checkpoint(
    east: str, west: str, store: ObjectStore
) -> None:
    take(east, store, plan=PLAN, site=SITE)
    checkpointed(east, store)
    sealed(east, store)
    followed(west, store)
    soon = Terms(ttl=0.1, clock_error=0.001, hand_over=0.1)
    take(west, store, plan=PLAN, site="west", epoch=2, terms=soon)
    stated(west, OptOut(customer="customer-9", channel="*", out=True), site="west")
    seal_all(west, store, site="west", epoch=2)
    result = look("TablesEqual", store=store, dsn=west)
    assert_passed(result)
    assert result.figures["keysChangedSince"] >= 1
    sql(west, "DELETE FROM wayfare.contacts WHERE customer_id = 'customer-7'")
    assert_failed(look("TablesEqual", store=store, dsn=west), "contacts (1 keys")


def test_rows_that_an_erasure_may_have_taken_are_unknown(
    east: str, west: str, store: ObjectStore
) -> None:
    checkpointed(east, store)
    facts(east, (Kind.ERASURE, "customer-2", Erasure(customer="customer-2"), now()))
    sealed(east, store)
    followed(west, store)
    assert_unknown(look("TablesEqual", store=store, dsn=west), "2 rows are gone")
    sql(west, "UPDATE wayfare.contacts SET channel = 'other' WHERE customer_id = 'customer-7'")
    assert_failed(look("TablesEqual", store=store, dsn=west), "contacts")


def test_a_digest_that_was_exchanged_is_not_believed(
    east: str, west: str, store: ObjectStore
) -> None:
    checkpointed(east, store)
    at_checkpoint(west, store)
    (path,) = (entry.path for entry in store.list(paths.checkpoints(SITE, 1)))
    data = store.get(path)
    assert data is not None
    store.put(path, data.replace(b'"rows":20', b'"rows":21', 1))
    assert_unknown(look("TablesEqual", store=store, dsn=west), "is not the digest")


# --- NoOrphans


def test_what_the_product_writes_has_no_orphans(
    east: str, west: str, store: ObjectStore, chain: list[str]
) -> None:
    receipt(east, send("customer-0"), "delivered")
    stated(east, OptOut(customer="bob", channel="*", out=True))
    facts(east, (Kind.ERASURE, "bob", Erasure(customer="bob"), now()))
    sealed(east, store)
    followed(west, store)
    for dsn in (east, west):
        result = look("NoOrphans", dsn=dsn, store=store)
        assert_passed(result)
        assert result.figures["rows"] >= 7


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        ("DELETE FROM wayfare.contacts WHERE customer_id = 'customer-1'", "without a contact"),
        ("DELETE FROM wayfare.outbox WHERE customer_id = 'customer-1'", "contacts without"),
        ("UPDATE wayfare.outbox SET intent_epoch = 0", "without an intent"),
        ("INSERT INTO wayfare.erased VALUES ('customer-1')", "rows of erased customers in outbox"),
        (
            "INSERT INTO wayfare.retention_cutoffs VALUES ('contacts', '2026-11-24')",
            "past the retention of contacts",
        ),
        ("UPDATE wayfare.contacts SET epoch = 7", "epoch without a chain in contacts"),
        (
            "INSERT INTO wayfare.tasks (send_key, customer_id) VALUES ('k', 'c')",
            "tasks without their send",
        ),
    ],
)
def test_each_sort_of_orphan_is_found(
    east: str, store: ObjectStore, chain: list[str], broken: str, words: str
) -> None:
    assert sql(east, broken) > 0
    result = look("NoOrphans", dsn=east, store=store)
    assert_failed(result, words)
    assert result.figures["orphans"] > 0


def test_a_contact_that_its_retention_removed_is_no_orphan(
    east: str, store: ObjectStore, chain: list[str]
) -> None:
    sql(east, "DELETE FROM wayfare.contacts")
    sql(east, "INSERT INTO wayfare.retention_cutoffs VALUES ('contacts', '2026-11-24')")
    assert_passed(look("NoOrphans", dsn=east))


def test_while_projections_are_rebuilt_nobody_can_tell(east: str, chain: list[str]) -> None:
    stated(east, Assignment(experiment="e", customer="anna", arm="a"))
    sql(
        east,
        "INSERT INTO wayfare.rebuild (began_at, epoch, held, discarded) VALUES (now(), 1, true, 0)",
    )
    assert_unknown(look("NoOrphans", dsn=east), "being rebuilt")
