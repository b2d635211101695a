"""Taking an epoch: one object, one winner, and a nonce that settles every unknown outcome."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.lease.clocks import AT
from tests.servers.faultstore import Drop, FaultStore, Hold
from tests.servers.objects import ObjectServer
from wayfare_engine.lease import (
    EpochTaken,
    Lease,
    LeaseLost,
    NotNextEpoch,
    Statement,
    highest,
    history,
    take,
)
from wayfare_engine.lease.epochs import put_acting, read
from wayfare_engine.lease.problems import LeaseDamaged
from wayfare_engine.objectstore import ObjectStore, StoreUnavailable, open_store, paths

PLAN = "retail"


def taken(store: ObjectStore, epoch: int, site: str = "east", nonce: str | None = None) -> Lease:
    return take(
        store,
        plan=PLAN,
        site=site,
        epoch=epoch,
        nonce=nonce or f"{site}-{epoch}",
        reason="a test",
        at=AT + timedelta(hours=epoch),
    ).lease


def test_an_epoch_belongs_to_whoever_created_its_object(store: ObjectStore) -> None:
    taken(store, 1)
    with pytest.raises(EpochTaken, match="epoch 1 of plan retail was taken by site east"):
        taken(store, 1, "west")
    assert read(store, PLAN, 1) == highest(store, PLAN)


def test_a_repeat_with_the_same_nonce_is_ours(store: ObjectStore) -> None:
    first = take(store, plan=PLAN, site="east", epoch=1, nonce="n", reason="", at=AT)
    again = take(
        store, plan=PLAN, site="east", epoch=1, nonce="n", reason="other", at=AT + timedelta(1)
    )
    assert (first.created, again.created) == (True, False)
    assert again.lease == first.lease


def test_only_the_next_epoch_can_be_taken(store: ObjectStore) -> None:
    taken(store, 1)
    with pytest.raises(NotNextEpoch, match="epoch 3 of plan retail is not the next one"):
        taken(store, 3, "west")
    assert read(store, PLAN, 3) is None


def test_plans_do_not_meet(store: ObjectStore) -> None:
    taken(store, 1)
    assert take(store, plan="other", site="west", epoch=1, nonce="w", reason="", at=AT).created


def test_history_says_who_held_what_since_when_and_why(store: ObjectStore) -> None:
    put_acting(store, taken(store, 1), at=AT)
    said = Statement(text="the power is off, I stand in front of it", by="ana", read=("a", "b"))
    take(
        store,
        plan=PLAN,
        site="west",
        epoch=2,
        nonce="w",
        reason="fire",
        at=AT + timedelta(hours=9),
        statement=said,
    )
    first, second = history(store, PLAN)
    assert (first.lease.site, first.acting_since, first.until) == ("east", AT, second.lease.at)
    assert (second.lease.reason, second.lease.statement) == ("fire", said)
    assert (second.acting_since, second.until) == (None, None)


def test_a_store_that_knows_less_than_the_ledger_is_refused(store: ObjectStore) -> None:
    assert highest(store, PLAN, seen=1) is None
    for epoch in (1, 2, 3):
        taken(store, epoch)
    assert highest(store, PLAN, seen=3) == read(store, PLAN, 3)
    store.delete(paths.lease(PLAN, 3))
    with pytest.raises(LeaseLost, match=r"epoch 3 of plan retail was taken.*none above 2"):
        highest(store, PLAN, seen=3)
    taken(store, 3)
    store.delete(paths.lease(PLAN, 2))
    with pytest.raises(LeaseLost):
        history(store, PLAN)


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        (b"{}", "not a lease object"),
        (b"\x00", "not a lease object"),
        (
            b'{"plan":"retail","epoch":1,"site":"e","nonce":"n","reason":"",'
            b'"at":"2026-03-01T00:00:00Z","format":2}',
            "format 2",
        ),
        (
            b'{"plan":"other","epoch":1,"site":"e","nonce":"n","reason":"",'
            b'"at":"2026-03-01T00:00:00Z"}',
            "of plan other",
        ),
    ],
)
def test_what_is_no_lease_object_is_named(store: ObjectStore, body: bytes, cause: str) -> None:
    store.put(paths.lease(PLAN, 1), body)
    with pytest.raises(LeaseDamaged, match=cause):
        read(store, PLAN, 1)
    with pytest.raises(LeaseDamaged):
        taken(store, 2)


def lease_client(objects: ObjectServer, faults: FaultStore, site: str, url: str) -> ObjectStore:
    return open_store(url, options=faults.options(site), retries=0, timeout_seconds=1.0)


def test_an_answer_that_is_lost_after_the_write_is_settled_by_the_nonce(
    objects: ObjectServer, faults: FaultStore
) -> None:
    store = lease_client(objects, faults, "a", objects.url())
    dropped = faults.rule("a", Drop(), methods="PUT", times=1)
    assert taken(store, 1).nonce == "east-1"
    assert dropped.used == 1


def test_a_lost_answer_to_a_write_that_another_had_won_is_not_taken_for_ours(
    objects: ObjectServer, faults: FaultStore
) -> None:
    url = objects.url()
    east, west = (lease_client(objects, faults, s, url) for s in ("a", "b"))
    held = faults.rule("a", Hold(), methods="PUT", times=1)
    with pytest.raises(StoreUnavailable, match="whether epoch 1 was taken is not known"):
        taken(east, 1)
    assert held.used == 1
    taken(west, 1, "west")
    faults.release()  # the held put takes effect now, or rather: finds west's object there
    with pytest.raises(EpochTaken, match="site west"):
        taken(east, 1)


def test_a_write_that_takes_effect_late_makes_its_taker_the_holder(
    objects: ObjectServer, faults: FaultStore
) -> None:
    url = objects.url()
    east, west = (lease_client(objects, faults, s, url) for s in ("a", "b"))
    faults.rule("a", Hold(), methods="PUT", times=1)
    with pytest.raises(StoreUnavailable):
        taken(east, 1)
    faults.release()
    with pytest.raises(EpochTaken, match="site east"):
        taken(west, 1, "west")
    assert taken(east, 1).nonce == "east-1"
