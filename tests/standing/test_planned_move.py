"""A site that lets go of its epoch in a planned move, with sends and decisions in flight."""

from __future__ import annotations

import json
from pathlib import Path

import psycopg

from tests.engine.test_sending import plan_channel, plan_of, planned
from tests.servers import epochs
from tests.servers.channel_host import channel_host
from tests.standing.conftest import PLAN, TERMS, Sites, traffic, until
from wayfare_engine.journal.chain import read
from wayfare_engine.journal.segment import Segment
from wayfare_engine.outbox import quiesce
from wayfare_engine.outbox.quiesce import SealedTo

_ACCEPTED = "SELECT count(*) FROM wayfare.outbox WHERE outcome = 'Accepted'"
_DISPATCHED = "SELECT count(*) FROM wayfare.ledger WHERE kind = 'dispatch'"
_RATE = {"count": 20, "per": "1s"}


def test_a_site_lets_go_and_takes_it_up_again_and_hands_it_over(
    sites: Sites, tmp_path: Path
) -> None:
    east, west = sites.act_in_east(), sites.west
    effects = tmp_path / "effects"
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"file": str(effects)}))
    with (
        channel_host(tmp_path / "host", "--plugin", "sink", "--config", str(config)) as host,
        psycopg.connect(east.dsn, autocommit=True) as connection,
    ):
        east.publish(plan_of(plan_channel("sms", host.url, limits={"rate": _RATE})))
        keys = planned(east.dsn, "default/sms", 300, "first")
        until(lambda: east.ask(_ACCEPTED)[0][0] > 0, what="sends leave")
        with traffic(east) as answers:
            # No more turns; what is under way ends.
            quiesce.ask(connection, run="move-1")
            until(lambda: quiesce.standing(connection, hand_over=1.0).quiet, what="it is quiet")
            found = quiesce.standing(connection, hand_over=1.0)
            assert (found.senders, found.stopped, found.under_way) == (1, 1, 0)
            assert 0 < east.ask(_ACCEPTED)[0][0] < len(keys), "some are left for the next holder"
            dispatched = east.ask(_DISPATCHED)
            east.is_active(True, reason="Quiescing", sends="held")
            assert east.event(1).status_code == 200, "everything else goes on"
            assert not quiesce.sealed(connection, "east").done

            # Nobody writes any more, and the rest is sealed.
            quiesce.fence(connection, run="move-1")
            rows = east.ask("SELECT count(*) FROM wayfare.ledger")
            east.is_active(True, reason="Quiesced", sends="held")
            assert east.event(2).status_code == 503
            done = _sealed(connection)
            spooled = "SELECT count(*) FROM wayfare.spooled_rows"
            until(lambda: east.ask(spooled)[0][0] > 20, what="answers go on, put aside")
            assert _sealed(connection) == done, "the chain has its end"
            assert east.ask("SELECT count(*) FROM wayfare.ledger") == rows
            assert (done.epoch, done.seq) == (1, _rows_in_the_store(sites))
            assert east.ask(_DISPATCHED) == dispatched, "not one turn after it was quiet"

            # The move is given up: everything goes on, and what was put aside is written.
            assert quiesce.lift(connection)
            east.is_active(True, sends="open")
            assert east.event(3).status_code == 200
            until(lambda: east.ask(spooled) == [(0,)], what="what was put aside is in the ledger")
            until(lambda: east.ask(_DISPATCHED) > dispatched, what="turns are taken again")

            # A move whose target is gone: east goes on under an epoch of its own, without a
            # restart, and what it put aside meanwhile is written under that.
            quiesce.ask(connection, run="move-2")
            until(lambda: quiesce.standing(connection, hand_over=1.0).quiet, what="it is quiet")
            quiesce.fence(connection, run="move-2")
            _sealed(connection)
            until(lambda: east.ask(spooled)[0][0] > 20, what="answers go on, put aside")
            dispatched = east.ask(_DISPATCHED)
            epochs.take(
                *(east.dsn, sites.store),
                plan=PLAN,
                site="east",
                epoch=2,
                terms=TERMS,
                planned=True,
            )
            east.is_active(True, sends="open")
            assert east.activez()[1]["epoch"] == 2
            until(lambda: east.ask(spooled) == [(0,)], what="what was put aside is in the ledger")
            until(lambda: east.ask(_DISPATCHED) > dispatched, what="turns are taken again")

            # And now in earnest.
            west.start().publish()
            until(lambda: west.get("/readyz").status_code == 200, what="west follows")
            keys += planned(east.dsn, "default/sms", 300, "second", epoch=2)
            quiesce.ask(connection, run="move-3")
            until(lambda: quiesce.standing(connection, hand_over=1.0).quiet, what="it is quiet")
            quiesce.fence(connection, run="move-3")
            end = _sealed(connection)
            reached = "SELECT seq FROM wayfare.chain_positions WHERE site = 'east' AND epoch = 2"
            until(lambda: west.ask(reached) == [(end.seq,)], what="west has all of it")
            epochs.take(
                *(west.dsn, sites.store),
                plan=PLAN,
                site="west",
                epoch=3,
                terms=TERMS,
                planned=True,
            )
            west.is_active(True, sends="open")
            quiesce.stand_down(connection, run="move-3")
            told = east.is_active(False, reason="StoodDown")
            assert told["why"] == "this site stood down for move-3"
        assert {status for status, _ in answers} == {200}, "inline answers did not stop"
        decided = {
            row_id
            for (row_id,) in east.ask(
                "SELECT id::text FROM wayfare.ledger UNION ALL "
                "SELECT id::text FROM wayfare.spooled_rows"
            )
        }
        until(
            lambda: (
                {i for _, i in answers}
                <= decided | {i for (i,) in east.ask("SELECT id::text FROM wayfare.spooled_rows")}
            ),
            what="no answer is lost",
        )
        # What east had not dispatched, west sends; nothing leaves twice.
        west.publish(plan_of(plan_channel("sms", host.url)))
        until(lambda: west.ask(_ACCEPTED) == [(len(keys),)], what="west sends the rest")
    lines = [json.loads(line)["what"] for line in effects.read_text().splitlines()]
    assert sorted(line["send_key"] for line in lines) == sorted(keys)
    by_epoch = [line["epoch"] for line in lines]
    assert by_epoch == sorted(by_epoch), "no hand-over of east after one of west"
    assert set(by_epoch) == {1, 2, 3}


def _sealed(connection: psycopg.Connection) -> SealedTo:
    def fact() -> SealedTo | None:
        found = quiesce.sealed(connection, "east")
        return found if found.done else None

    return until(fact, what="everything is sealed")


def _rows_in_the_store(sites: Sites) -> int:
    found = [one for one in read(sites.store, "east", 1, plan=PLAN) if isinstance(one, Segment)]
    return sum(one.rows.num_rows for one in found)
