"""A channel that hangs, and has a long backlog, takes nothing from another one of its worker."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.outbox.conftest import Outbox, now
from tests.servers.receivers import Fault
from tests.servers.wait import until

SENDS, BATCH, PLACES, QUEUE = 300, 30, 2, 3


def turns(outbox: Outbox) -> int:
    """Transactions that dispatched sends of the healthy channel."""
    found = outbox.ask(
        "SELECT count(DISTINCT tx)::int FROM wayfare.ledger "
        "WHERE kind = 'dispatch' AND body->>'channel' = 'Query'"
    )
    return int(found[0][0])


@pytest.mark.parametrize("backlog", [0, 5 * SENDS])
def test_it_has_all_turns_but_those_that_fill_the_other(outbox: Outbox, backlog: int) -> None:
    """Counted: each turn of the healthy channel is full, whatever is due earlier of the other."""
    sick, healthy = outbox.receivers["Key"], outbox.receivers["Query"]
    sick.fail(Fault("hang", times=1_000_000, seconds=30.0))
    early = now() - timedelta(hours=1)
    outbox.plan(*[outbox.send("Key", due=early) for _ in range(backlog)])
    sends = [outbox.send("Query") for _ in range(SENDS)]
    outbox.plan(*sends)
    channels = outbox.channels(queue=QUEUE, concurrency=PLACES)
    channels["Query"] = outbox.channels(concurrency=8)["Query"]
    with outbox.sealing(), outbox.sending(channels=channels, batch=BATCH):
        until(lambda: outbox.count("Accepted") == SENDS, what="all healthy sends are accepted")
    assert len(healthy.effects()) == SENDS
    assert sick.effects() == {}
    # One more, and no second one: the sick channel's places and queue, once.
    assert SENDS // BATCH <= turns(outbox) <= SENDS // BATCH + (1 if backlog else 0)


def test_the_ones_of_a_customer_still_wait_for_each_other(outbox: Outbox) -> None:
    """What is due earlier and does not fit holds up that customer's later sends, and no other's."""
    outbox.receivers["Key"].fail(Fault("hang", times=1_000_000, seconds=30.0))
    early = now() - timedelta(hours=1)
    stuck = [outbox.send("Key", customer=f"c{n}", due=early) for n in range(10)]
    behind = [outbox.send("Query", customer=f"c{n}", node="later") for n in range(10)]
    others = [outbox.send("Query") for _ in range(10)]
    outbox.plan(*stuck, *behind, *others)
    channels = outbox.channels(concurrency=1, queue=0)
    with outbox.sealing(), outbox.sending(channels=channels):
        until(
            lambda: all(outbox.outcome(send) == "Accepted" for send in others),
            what="the others leave",
        )
        left = outbox.receivers["Query"].effects()
        # What is in doubt is no longer in the way, so only those that had no turn yet.
        waiting = [
            later for first, later in zip(stuck, behind, strict=True) if outbox.state(first)[1] == 0
        ]
    assert waiting
    assert not left.keys() & {send.key for send in waiting}
