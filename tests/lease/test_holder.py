"""Who may act, until when: a check that proves it, the clock that ends it, and never again."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from tests.lease.clocks import AT, Boottime
from tests.servers.faultstore import Answer, Cut, Delay, FaultStore
from tests.servers.objects import ObjectServer
from tests.servers.wait import until
from wayfare_engine.lease import Holder, Standing, Takeover, open_lease_store, take
from wayfare_engine.lease.epochs import put_acting
from wayfare_engine.objectstore import ObjectStore, open_store, paths
from wayfare_engine.objectstore.marker import claim

PLAN, TTL = "retail", 30.0


def hold(store: ObjectStore, epoch: int = 1, site: str = "east", *, acting: bool = True) -> None:
    """Take an epoch, and say that the wait is over."""
    claim(store, PLAN)
    lease = take(
        store, plan=PLAN, site=site, epoch=epoch, nonce=f"{site}-{epoch}", reason="", at=AT
    ).lease
    if acting:
        put_acting(store, lease, at=AT)


def holder(store: ObjectStore, clock: Boottime, **other: Any) -> Holder:
    """East's hold on epoch 1."""
    given: dict[str, Any] = {"plan": PLAN, "site": "east", "epoch": 1, "ttl": TTL}
    return Holder(store, **(given | {"boottime": clock} | other))


def test_nobody_may_act_before_a_check(store: ObjectStore) -> None:
    hold(store)
    found = holder(store, Boottime())
    assert found.guard.may_send() == 0.0
    assert found.check()
    assert found.guard.may_send() == TTL


def test_the_right_ends_by_the_clock_and_comes_back_with_a_check(store: ObjectStore) -> None:
    hold(store)
    clock = Boottime()
    found = holder(store, clock)
    found.check()
    clock.now += TTL - 0.5
    assert found.guard.may_send() == pytest.approx(0.5)
    clock.now += 0.5
    assert found.guard.may_send() == 0.0
    assert found.check()
    assert found.guard.may_send() == TTL


class Slow:
    """A store whose reads take seconds of a clock."""

    def __init__(self, store: ObjectStore, clock: Boottime, seconds: float) -> None:
        self._store, self._clock, self._seconds = store, clock, seconds
        self.url = store.url

    def get(self, path: str) -> bytes | None:
        self._clock.now += self._seconds
        return self._store.get(path)


@pytest.mark.parametrize(("each", "left"), [(5.0, TTL - 15.0), (11.0, 0.0)])
def test_the_right_counts_from_the_start_of_the_check(
    store: ObjectStore, each: float, left: float
) -> None:
    hold(store)
    clock = Boottime()
    found = holder(Slow(store, clock, each), clock)  # type: ignore[arg-type]
    assert found.check()
    assert found.guard.may_send() == left


def test_after_a_higher_epoch_was_seen_never_again(store: ObjectStore) -> None:
    hold(store)
    found = holder(store, Boottime())
    found.check()
    hold(store, 2, "west", acting=False)
    assert not found.check()
    assert found.guard.may_send() == 0.0
    assert found.last.standing is Standing.OVER
    assert found.successor is not None
    assert found.successor.site == "west"
    # Even if somebody deletes what must never be deleted.
    store.delete(paths.lease(PLAN, 2))
    assert not found.check()
    found.guard.extend(1e9)
    assert found.guard.may_send() == 0.0


def test_another_site_and_a_taker_that_waits_may_not_act(store: ObjectStore) -> None:
    clock = Boottime()
    nobody = holder(store, clock)
    assert not nobody.check()
    assert nobody.last.standing is Standing.NOT_OURS
    hold(store, acting=False)
    waiting = holder(store, clock)
    assert not waiting.check()
    assert waiting.last.standing is Standing.WAITING
    other = holder(store, clock, site="west")
    assert not other.check()
    assert other.last.standing is Standing.NOT_OURS


def test_not_found_in_a_store_that_lost_our_own_lease_proves_nothing(store: ObjectStore) -> None:
    """A folder that is not mounted, another bucket: everything is "not found" there."""
    hold(store)
    clock = Boottime()
    found = holder(store, clock)
    found.check()
    store.delete(paths.lease(PLAN, 1))
    clock.now += 1
    assert not found.check()
    assert found.last.standing is Standing.UNKNOWN
    assert found.guard.may_send() == TTL - 1


def test_a_successor_that_cannot_be_read_extends_nothing(store: ObjectStore) -> None:
    hold(store)
    clock = Boottime()
    found = holder(store, clock)
    found.check()
    store.put(paths.lease(PLAN, 2), b"half a wr")
    clock.now += 1
    assert not found.check()
    assert found.guard.may_send() == TTL - 1


@pytest.mark.parametrize(
    "fault", [Cut(), Cut(middle=True), Answer(503), Answer(403, "AccessDenied"), Delay(60)]
)
def test_a_check_without_an_answer_proves_nothing(
    objects: ObjectServer, faults: FaultStore, fault: Any
) -> None:
    url = objects.url()
    hold(open_store(url, options=objects.options))
    clock = Boottime()
    found = holder(open_lease_store(url, ttl=2.0, options=faults.options("a")), clock)
    assert found.check()
    rule = faults.rule("a", fault)
    clock.now += 10
    assert not found.check()
    assert rule.used == 1, "the lease's client asks once and does not retry"
    assert found.last.standing is Standing.UNKNOWN
    assert found.guard.may_send() == TTL - 10
    clock.now += TTL
    assert found.guard.may_send() == 0.0
    faults.heal()
    assert found.check()
    assert found.guard.may_send() == TTL


def test_under_a_statement_a_lost_store_does_not_lapse_the_holder(
    objects: ObjectServer, faults: FaultStore
) -> None:
    url = objects.url()
    direct = open_store(url, options=objects.options)
    hold(direct)
    client = open_lease_store(url, ttl=2.0, options=faults.options("a"))
    clock = Boottime()
    found = holder(client, clock, takeover=Takeover.STATEMENT)
    fresh = holder(client, clock, takeover=Takeover.STATEMENT)
    known = holder(client, clock, takeover=Takeover.STATEMENT, remembered=True)
    found.check()
    faults.partition("a", how="refused")
    clock.now += 10 * TTL
    # Asleep all that time, it has no right until it has at least tried to ask.
    assert found.guard.may_send() == 0.0
    assert not found.check()
    assert found.guard.may_send() == TTL
    # A process that starts meanwhile goes by what its site's database remembers.
    fresh.check()
    known.check()
    assert (fresh.guard.may_send(), known.guard.may_send()) == (0.0, TTL)
    # A higher epoch ends it all the same.
    hold(direct, 2, "west")
    faults.heal()
    found.check()
    known.check()
    assert (found.guard.may_send(), known.guard.may_send()) == (0.0, 0.0)


def test_the_thread_keeps_the_right_and_ends_with_it(store: ObjectStore) -> None:
    hold(store)
    found = Holder(store, plan=PLAN, site="east", epoch=1, ttl=0.4)
    stop = threading.Event()
    thread = threading.Thread(target=found.run, args=(stop,))
    thread.start()
    try:
        until(lambda: found.guard.may_send() > 0, every=0.005)
        first = found.last.began
        until(lambda: found.last.began > first + 1.0, every=0.01, what="checks go on past the TTL")
        assert found.guard.may_send() > 0 or found.check()
        hold(store, 2, "west")
        thread.join(20)
        assert not thread.is_alive(), "a holder whose epoch is over has nothing to check"
        assert found.guard.may_send() == 0.0
    finally:
        stop.set()
        thread.join()


def test_checks_of_many_processes_do_not_come_together(store: ObjectStore) -> None:
    pauses: list[float] = []

    class Stop(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            assert timeout is not None
            pauses.append(timeout)
            return len(pauses) >= 200

    hold(store)
    holder(store, Boottime()).run(Stop())
    assert TTL / 4 <= min(pauses) < max(pauses) <= TTL / 3
    assert len(set(pauses)) > 190
