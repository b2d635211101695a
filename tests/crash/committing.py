"""Writers of facts that are killed: events that are sent again are one row, keys go on with their
versions, and of what was answered before it was written only the newest may be missing."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import ClassVar

import psycopg
from prometheus_client import CollectorRegistry

from tests.crash.scenario import (
    Scenario,
    chains_are_whole,
    equal_to_a_rebuild,
    flat,
    in_ledger,
)
from tests.facts.making import NOW, decision
from tests.journal.making import SITE, seal_all
from wayfare_engine.clock import new_id
from wayfare_engine.facts import CommittedWriter, Fact, JournalWatch, LedgerWriter
from wayfare_engine.ledger.bodies import AttributeChange, Event, Raw
from wayfare_engine.metrics import FactMetrics, LedgerMetrics
from wayfare_engine.store.postgresql import Postgresql


class Committing(Scenario):
    """A sender numbers its events, and begins again with those that were not acknowledged."""

    points: ClassVar[Mapping[str, Sequence[int]]] = {
        "facts.committed.writing": (1, 3, 4),
        "facts.committed.written": (1, 3, 4),
    }

    def run(self, rounds: int) -> None:
        asyncio.run(self._send(rounds))

    async def _send(self, rounds: int) -> None:
        watch = JournalWatch(Postgresql(self.place.live, application="crash"))
        writer = CommittedWriter(
            self.place.live,
            site=SITE,
            ids=new_id,
            watch=watch,
            metrics=FactMetrics(CollectorRegistry()),
        )
        writer.start()
        first = len(self.said.all("sent"))
        for number in range(first, first + rounds):
            value = AttributeChange(customer="anna", name="n", value=Raw(str(number).encode()))
            event = Event(customer="anna", name="buy", client_id=f"e{number}")
            answer = await writer.write([Fact(event, NOW), Fact(value, NOW)])
            self.said("sent", [str(one.id) for one in answer.written])
        await writer.stop()

    def check(self) -> None:
        seal_all(self.place.live, self.place.store)
        acknowledged = flat(self.said.all("sent"))
        assert acknowledged <= set(chains_are_whole(self.place))
        equal_to_a_rebuild(self.place)
        with psycopg.connect(self.place.live) as connection:
            sent = connection.execute(
                "SELECT body->>'client_id' FROM wayfare.ledger WHERE kind = 'event'"
            ).fetchall()
            versions = connection.execute(
                "SELECT version FROM wayfare.ledger WHERE kind = 'attribute' ORDER BY version"
            ).fetchall()
        numbers = len(self.said.all("sent"))
        assert Counter(one for (one,) in sent) == Counter(f"e{n}" for n in range(numbers))
        # One that was committed and not answered for was sent again: an attribute has no sender's
        # id, so it is written again, with the next version.
        assert [one for (one,) in versions] == list(range(1, len(versions) + 1))
        assert len(versions) >= numbers


class Buffering(Scenario):
    """Decisions that are answered for before they are written."""

    points: ClassVar[Mapping[str, Sequence[int]]] = {
        "facts.async.writing": (1, 2, 3),
        "facts.async.written": (1, 2, 3),
    }

    def run(self, rounds: int) -> None:
        asyncio.run(self._decide(rounds))

    async def _decide(self, rounds: int) -> None:
        writer = LedgerWriter(
            self.place.live,
            metrics=LedgerMetrics(CollectorRegistry()),
            flush_seconds=0.001,
            capacity=100,
        )
        writer.start()
        for _ in range(rounds):
            made = [decision(f"c{i}") for i in range(5)]
            for one in made:
                writer.put(one)
            self.said("answered", [str(one.id) for one in made])
            assert await writer.committed(made[-1].id, 30)
            self.said("written", [str(one.id) for one in made])
        assert await writer.stop() == 0

    def check(self) -> None:
        seal_all(self.place.live, self.place.store)
        chained = chains_are_whole(self.place)
        assert sorted(in_ledger(self.place.live)) == sorted(chained)
        answered, written = flat(self.said.all("answered")), flat(self.said.all("written"))
        # At each kill, at most the one batch that was on its way.
        kills = len(self.said.all("answered")) - len(self.said.all("written"))
        assert written <= set(chained) <= answered
        assert len(answered - set(chained)) <= 5 * kills
        equal_to_a_rebuild(self.place)
