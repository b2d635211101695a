"""The programs of a site, each run as a process of its own: `writer`, `sealer`, `sender`, `taker`.

They are the engine's own parts with nothing between; what they are told is in `Settings`. What a
writer was told to be committed (or journaled) it notes in a file, so that it can be looked for.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import sys
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import psycopg
import pyarrow  # noqa: F401 - loaded once, in the process that all of them are forked from

from wayfare_engine.clock import new_id
from wayfare_engine.crashpoints import VARIABLE
from wayfare_engine.journal import catch_up
from wayfare_engine.journal.sealer import Sealer
from wayfare_engine.journal.waiting import wait_journaled
from wayfare_engine.lease import Holder, Quiesced, TakeEpoch, Terms, boottime, open_lease_store
from wayfare_engine.lease.take_epoch import next_epoch
from wayfare_engine.ledger import Kind, LedgerRow
from wayfare_engine.ledger.bodies import Event, OptOut
from wayfare_engine.ledger.fence import StaleEpoch
from wayfare_engine.ledger.standing import State, stand
from wayfare_engine.objectstore import StoreUnavailable, open_store
from wayfare_engine.outbox import (
    Channel,
    HttpHost,
    Key,
    NoDedupe,
    Origin,
    PlannedSend,
    Query,
    Retry,
    SendWorker,
    pipeline,
    plan,
    plan_send,
    quiesce,
)
from wayfare_engine.outbox.channel import Answer, Dedupe, HandOver
from wayfare_engine.outbox.checks import ContactCap
from wayfare_engine.outbox.facts import record

PLAN = "harness"
CUSTOMERS = 25
#: What a customer may get in a run; low enough that some sends have to wait for ever.
CAP = ContactCap(limit=6, seconds=3600)
Role = Literal["writer", "sealer", "sender", "taker"]
#: A safeguard that the harness takes out, so that it is seen that its loss is found:
#: `journal`: dispatches count as journaled at once; `window`: a hand-over may start at any time;
#: `dedupe`: what cannot tell a repeat is declared as if it could; `key`: each firing of a node has
#: a send key of its own.
Broken = Literal["", "journal", "window", "dedupe", "key"]


@dataclass(frozen=True)
class Pace:
    """How often the processes of a site do something, in seconds: a writer writes, a sealer seals,
    a sender looks for what is due, and whether it may still send."""

    write: float = 0.02
    seal: float = 0.04
    send: float = 0.03
    obey: float = 0.05


FAST = Pace()


@dataclass(frozen=True)
class Settings:
    """What a process is told. Times in seconds; `hosts` are the receivers' addresses by class;
    `jump` is how wrong a writer's wall clock is."""

    site: str
    dsn: str
    store_url: str
    store_options: dict[str, str]
    hosts: dict[str, str]
    folder: Path
    seed: int
    epoch: int = 0
    ttl: float = 0.6
    hand_over: float = 0.3
    clock_error: float = 0.001
    broken: Broken = ""
    jump: float = 0.0
    plan: str = PLAN
    pace: Pace = FAST

    @property
    def terms(self) -> Terms:
        return Terms(self.ttl, self.clock_error, self.hand_over)

    def origin(self, ids: Callable[[], uuid.UUID] = new_id) -> Origin:
        return Origin(self.site, self.epoch, ids, self.wall)

    def wall(self) -> datetime:
        """The time, as this process has it."""
        return now() + timedelta(seconds=self.jump)


def now() -> datetime:
    return datetime.now(UTC)


def main(role: Role, settings: Settings, crash: str | None, log: Path) -> None:
    """The process: its output goes to a file, `crash` is where it is to die."""
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(out, 1)
    os.dup2(out, 2)
    sys.stdout = os.fdopen(1, "w", buffering=1)
    sys.stderr = os.fdopen(2, "w", buffering=1)
    if crash:
        os.environ[VARIABLE] = crash
    if settings.broken == "journal":
        setattr(pipeline, "wait_journaled", lambda *_, **__: True)  # noqa: B010
    if settings.broken == "key":
        setattr(plan, "send_key", lambda *_: uuid.uuid4().hex)  # noqa: B010
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(StaleEpoch):
        {"writer": writer, "sealer": sealer, "sender": sender, "taker": taker}[role](settings, stop)


def channels(settings: Settings) -> dict[str, Channel]:
    """One of each class, over the receivers."""
    declared: dict[str, Dedupe] = {"Key": Key(3600.0), "Query": Query(), "None": NoDedupe()}
    if settings.broken == "dedupe":
        declared["None"] = declared["Key"]
    host = Unbounded if settings.broken == "window" else HttpHost
    return {
        name: Channel(
            name,
            host(url, boottime=boottime, connect_seconds=settings.hand_over / 2),
            declared[name],
            retry=Retry(pause=0.05, longest_pause=0.3),
            concurrency=4,
        )
        for name, url in settings.hosts.items()
    }


class Unbounded(HttpHost):
    """A host that is told that there is time."""

    def hand_over(self, what: HandOver) -> Answer:
        return super().hand_over(replace(what, remaining=60.0))


def planned(
    place: str, number: int, dice: random.Random, wall: Callable[[], datetime]
) -> PlannedSend:
    """Send number `number` of `place`: the same one whoever plans it. It is due at once."""
    return PlannedSend(
        journey="welcome",
        customer=f"customer-{hash_of(place, number) % CUSTOMERS}",
        entry_key=f"{place}-{number}",
        node="hello",
        visit=1,
        channel=("Key", "Query", "None")[hash_of(number, place) % 3],
        due=now(),
        expires=wall() + timedelta(seconds=0.5) if dice.random() < 0.05 else None,
        payload=json.dumps({"text": f"hello {number}"}),
    )


def hash_of(*parts: object) -> int:
    """A small number that is the same in every process."""
    return uuid.uuid5(uuid.NAMESPACE_OID, repr(parts)).int % 1_000_003


def writer(settings: Settings, stop: threading.Event) -> None:
    """Write events, opt-outs and intents, and note what was acknowledged."""
    dice = random.Random(f"{settings.seed} {settings.site} {settings.epoch}")
    with (settings.folder / f"acknowledged-{settings.site}.jsonl").open("a") as file:
        number = 0
        while not stop.is_set():
            try:
                with psycopg.connect(settings.dsn, autocommit=True) as connection:
                    while not stop.wait(settings.pace.write):
                        number += 1
                        _write_some(settings, connection, dice, number, file)
            except (psycopg.OperationalError, psycopg.InterfaceError):
                stop.wait(0.05)


def _write_some(
    settings: Settings,
    connection: psycopg.Connection[Any],
    dice: random.Random,
    number: int,
    file: Any,
) -> None:
    ids: list[uuid.UUID] = []

    def noted() -> uuid.UUID:
        ids.append(new_id())
        return ids[-1]

    origin = settings.origin(noted)
    at = settings.wall()
    rows: list[LedgerRow] = []
    for _ in range(dice.randrange(1, 4)):
        customer = f"customer-{dice.randrange(CUSTOMERS)}"
        rows.append(origin.row(Kind.EVENT, customer, Event(customer=customer, name="visit"), at))
    if dice.random() < 0.03:
        customer = f"customer-{dice.randrange(CUSTOMERS)}"
        row = origin.row(
            Kind.OPT_OUT, customer, OptOut(customer=customer, channel="None", out=True), at
        )
        rows.append(row._replace(key=f"{customer}/None", version=1 + settings.epoch))
    sends = [
        planned(settings.site, number * 2 + i, dice, settings.wall)
        for i in range(dice.randrange(3))
    ]
    if settings.epoch > 1 and dice.random() < 0.5:
        # A node that the other site fired already, or never came to fire: the same send.
        sends.append(
            planned(dice.choice(("east", "west")), dice.randrange(200), dice, settings.wall)
        )
    with connection.transaction():
        tx = record(connection, rows)
        if sends:
            plan_send(connection, sends, origin)
    ack = "committed"
    if dice.random() < 0.1:
        try:
            if wait_journaled(connection, tx, 0.3, epoch=settings.epoch):
                ack = "journaled"
        except psycopg.Error:
            _note(file, settings, ids, ack)
            raise
    _note(file, settings, ids, ack)


def _note(file: Any, settings: Settings, ids: list[uuid.UUID], ack: str) -> None:
    line = {"site": settings.site, "epoch": settings.epoch, "ack": ack}
    file.write(json.dumps({**line, "ids": [str(i) for i in ids]}) + "\n")
    file.flush()


def sealer(settings: Settings, stop: threading.Event) -> None:
    """Seal the site's rows."""
    store = open_store(
        settings.store_url, options=settings.store_options, timeout_seconds=1.0, retries=0
    )
    Sealer(
        settings.dsn,
        store,
        plan=settings.plan,
        site=settings.site,
        clock=now,
        seconds=settings.pace.seal,
        max_rows=500,
    ).run(stop)


def sender(settings: Settings, stop: threading.Event) -> None:
    """Hold the lease and hand sends over."""
    store = open_lease_store(settings.store_url, ttl=settings.ttl, options=settings.store_options)
    holder = Holder(
        store,
        plan=settings.plan,
        site=settings.site,
        epoch=settings.epoch,
        ttl=settings.ttl,
        clock_error=settings.clock_error,
        hand_over=settings.hand_over,
    )
    threading.Thread(target=holder.run, args=(stop,), daemon=True).start()
    worker = SendWorker(
        settings.dsn,
        settings.origin(),
        channels=channels(settings),
        guard=holder.guard,
        window=settings.terms.carried,
        boottime=boottime,
        checks=[CAP],
        poll_seconds=settings.pace.send,
        balance_seconds=0.2,
    )
    noted, over = threading.Event(), threading.Event()
    threading.Thread(
        target=_obey_standing, args=(settings, worker, noted, over, stop), daemon=True
    ).start()
    while not noted.wait(0.05):
        if stop.is_set():
            return
    worker.run(over)


def _obey_standing(
    settings: Settings,
    worker: SendWorker,
    noted: threading.Event,
    over: threading.Event,
    stop: threading.Event,
) -> None:
    """Note that this process sends, and in a planned move let what is under way end, and say so.
    When the move was given up the process ends: another one begins anew."""
    name, drained = f"{settings.site}-sender", False
    while not stop.wait(settings.pace.obey):
        try:
            with psycopg.connect(settings.dsn, autocommit=True) as connection:
                if not noted.is_set():
                    quiesce.sending(connection, name, settings.epoch)
                    noted.set()
                while not stop.wait(settings.pace.obey):
                    present = stand(connection)
                    if present.held and present.state is State.QUIESCING:
                        worker.drain()
                        if worker.drained:
                            quiesce.stopped(connection, name, present.run)
                            drained = True
                    elif drained and present.state is State.NORMAL:
                        over.set()
                        return
        except (psycopg.OperationalError, psycopg.InterfaceError):
            continue
    over.set()


def taker(settings: Settings, stop: threading.Event) -> None:
    """Take the next epoch, catch up, wait, act; whatever fails is tried again."""
    store = open_store(
        settings.store_url, options=settings.store_options, timeout_seconds=1.0, retries=0
    )
    while not stop.is_set():
        try:
            take(settings, store)
            return
        except (StoreUnavailable, psycopg.OperationalError) as error:
            print("again:", error)
            time.sleep(0.05)


def take(settings: Settings, store: Any) -> int:
    """One attempt; returns the epoch."""
    with psycopg.connect(settings.dsn, autocommit=True) as connection:
        taking = TakeEpoch(
            connection,
            store,
            plan=settings.plan,
            site=settings.site,
            epoch=next_epoch(connection, store, settings.plan),
            reason="the harness says so",
            terms=settings.terms,
            now=now,
            new_nonce=lambda: uuid.uuid4().hex,
            sleep=time.sleep,
            # The wait is what keeps the old holder out; nothing here was quiesced.
            grounds=Quiesced(),
        )
        taking.take()
        if taking.epoch > 1:
            catch_up.catch_up(settings.dsn, store, plan=settings.plan)
        taking.wait()
        taking.act()
        return taking.epoch
