"""Sends to real receivers, one of each class: planned, dispatched, handed over, and in doubt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from typing import Any, ClassVar

import msgspec
import psycopg

from tests.crash.scenario import Scenario, chains_are_whole, equal_to_a_rebuild, flat
from tests.journal.making import PLAN, SITE, chain
from tests.outbox.conftest import DEDUPE, in_thread
from tests.servers.receivers import Dedupe, Fault, Receiver, Record, boottime, records
from tests.servers.wait import until
from wayfare_engine.clock import new_id, now
from wayfare_engine.journal.sealer import Sealer
from wayfare_engine.journal.segment import Segment
from wayfare_engine.journal.status import lag
from wayfare_engine.lease.guard import Guard
from wayfare_engine.objectstore import ObjectStore, open_store, paths
from wayfare_engine.outbox import (
    Channel,
    HttpHost,
    Origin,
    PlannedSend,
    Retry,
    SendWorker,
    plan_send,
)
from wayfare_engine.outbox.in_doubt import unknown_sends

KINDS: tuple[Dedupe, ...] = ("Key", "Query", "None")
#: H of these histories, in seconds.
WINDOW = 0.2
#: Sends of each class in a round.
EACH = 2


class Sending(Scenario):
    """Round after round of sends. A round that was cut off is fired again, as a journey's node is
    when its process died. The answers of the `Query` receiver are always lost, so that each of
    its sends comes to be in doubt. A sealer, which is not killed, seals beside it."""

    points: ClassVar = dict.fromkeys(
        (
            "outbox.plan.writing",
            "outbox.plan.written",
            "outbox.dispatch.writing",
            "outbox.dispatch.written",
            "outbox.hand_over.before",
            "outbox.hand_over.after",
            "outbox.outcome.writing",
            "outbox.outcome.written",
            "outbox.in_doubt.asking",
            "outbox.in_doubt.asked",
        ),
        (1, 2, 1, 3, 1),
    )

    @contextmanager
    def beside(self, receivers: Mapping[Dedupe, Receiver]) -> Iterator[None]:
        receivers["Query"].fail(Fault("lost", times=1_000_000))
        # One of them takes its sends in one call.
        receivers["Key"].batch_size = EACH
        self.store = Stamping(self.place.store_url)
        sealer = Sealer(self.place.live, self.store, plan=PLAN, site=SITE, clock=now, seconds=0.01)
        with in_thread(sealer.run), self.place.connect() as connection:
            yield
            until(lambda: lag(connection, SITE, 1).rows == 0, what="all rows are sealed")

    def run(self, rounds: int) -> None:
        origin = Origin(SITE, 1, new_id, now)
        guard = Guard()
        guard.extend(boottime() + 3600)
        work = worker(self.place.live, self.place.hosts, origin, guard)
        with self.place.connect() as connection, in_thread(work.run):
            # One more: the round that was cut off may have passed the point already.
            for _ in range(rounds + 1):
                number = len(self.said.all("ended"))
                sends = sends_of(number)
                plan_send(connection, sends, origin)
                self.said("planned", [send.key for send in sends])
                until(partial(all_ended, connection), what="all outcomes", every=0.01)
                self.said("ended", number)

    def killed(self) -> None:
        for kind in KINDS:
            twice = {k: n for k, n in Counter(self._effects(kind)).items() if n > 1}
            assert not twice, f"{kind}: took effect twice: {twice}"
        with self.place.connect() as connection:
            found = connection.execute("SELECT send_key FROM wayfare.outbox WHERE due IS NOT NULL")
            assert flat(self.said.all("planned")) <= {key for (key,) in found.fetchall()}

    def check(self) -> None:
        self.killed()
        planned = {
            send.key: send for n in range(len(self.said.all("ended"))) for send in sends_of(n)
        }
        with self.place.connect() as connection:
            outcomes = states(connection)
            listed = {one.send_key for one in unknown_sends(connection)}
        assert outcomes.keys() == planned.keys(), "what was planned is there once, and nothing else"
        unknown = {key for key, (outcome, _, _) in outcomes.items() if outcome == "Unknown"}
        assert listed == unknown
        for key, (outcome, attempt, ended) in outcomes.items():
            kind = planned[key].channel
            effects = self._effects(kind).count(key)
            if outcome == "Unknown":
                assert kind == "None", f"{kind}: {key} is Unknown"
                # Nothing left, or one did; none was dispatched after it.
                assert attempt == ended, f"{key} was repeated"
            else:
                assert (outcome, effects) == ("Accepted", 1), f"{kind}: {key}: {outcome}"
        chains_are_whole(self.place)
        self._left_after_its_dispatch_was_in_the_store()
        equal_to_a_rebuild(self.place)

    def _left_after_its_dispatch_was_in_the_store(self) -> None:
        stored: dict[tuple[str, int], float] = {}
        for part in chain(self.place.store):
            assert isinstance(part, Segment)
            at = self.store.put_at[paths.segment(SITE, 1, part.header.first)]
            for kind, body in zip(
                part.rows["kind"].to_pylist(), part.rows["body"].to_pylist(), strict=True
            ):
                if kind == "dispatch":
                    said = msgspec.json.decode(body)
                    stored[said["send_key"], said["attempt"]] = at
        for kind in KINDS:
            for start in self._records(kind, "start"):
                at = stored[start.send_key, start.attempt]
                assert at <= start.at, f"{kind}: left before its dispatch was in the store: {start}"

    def _effects(self, kind: str) -> list[str]:
        return [record.send_key for record in self._records(kind, "effect")]

    def _records(self, kind: str, what: str) -> list[Record]:
        return [r for r in records(self.place.folder / "receivers", kind) if r.what == what]


class Stamping(ObjectStore):
    """A store that notes when each segment was in it, before anyone else can know."""

    def __init__(self, url: str) -> None:
        super().__init__(url, open_store(url)._client)
        self.put_at: dict[str, float] = {}

    def create(self, path: str, body: bytes) -> bytes | None:
        """See `ObjectStore.create`."""
        present = super().create(path, body)
        self.put_at[path] = boottime()
        return present


def sends_of(number: int) -> list[PlannedSend]:
    """The sends of round `number`, the same whoever plans them, each of a customer of its own."""
    return [
        PlannedSend(
            journey="welcome",
            customer=f"{kind}-{number}-{i}",
            entry_key="",
            node="hello",
            visit=1,
            channel=kind,
            due=now() - timedelta(seconds=1),
        )
        for kind in KINDS
        for i in range(EACH)
    ]


def worker(dsn: str, hosts: Mapping[Dedupe, str], origin: Origin, guard: Guard) -> SendWorker:
    """Over the receivers, each declared as what it is."""
    channels: dict[str, Channel] = {
        name: Channel(
            name,
            HttpHost(url, boottime=boottime, connect_seconds=WINDOW / 2),
            DEDUPE[name],
            retry=Retry(pause=0.02, longest_pause=0.1),
        )
        for name, url in hosts.items()
    }
    return SendWorker(
        dsn,
        origin,
        channels=channels,
        guard=guard,
        window=WINDOW,
        boottime=boottime,
        poll_seconds=0.01,
        balance_seconds=0.05,
    )


def all_ended(connection: psycopg.Connection[Any]) -> bool:
    """Whether every send that is planned has an outcome that stays."""
    return not any(
        outcome in (None, "NotAccepted", "Held") or attempt > ended
        for outcome, attempt, ended in states(connection).values()
    )


def states(connection: psycopg.Connection[Any]) -> dict[str, tuple[str | None, int, int]]:
    """(outcome, attempt, the attempt that the outcome is of) of every send."""
    found = connection.execute(
        "SELECT send_key, outcome, attempt, outcome_attempt FROM wayfare.outbox"
    )
    return {key: (outcome, attempt, ended) for key, outcome, attempt, ended in found.fetchall()}
