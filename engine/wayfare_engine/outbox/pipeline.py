"""From dispatch to answer: wait until the dispatch is in the store, then hand over, in a lane a
channel, so that a channel that hangs holds up no other."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

import psycopg
import structlog
from psycopg import Connection

from wayfare_engine.journal.waiting import wait_journaled
from wayfare_engine.outbox.breakers import CallBreaker
from wayfare_engine.outbox.calls import Calls
from wayfare_engine.outbox.channel import Channel, Send
from wayfare_engine.outbox.dispatch import Turn
from wayfare_engine.outbox.hand_over import MaySend
from wayfare_engine.outbox.lane import Lane
from wayfare_engine.outbox.outcome import Ended
from wayfare_engine.outbox.resolve import Question
from wayfare_engine.outbox.retries import Retries
from wayfare_engine.outbox.under_way import UnderWay
from wayfare_engine.store.postgresql import Away, patient

log = structlog.get_logger(__name__)

_STEP_SECONDS = 0.25


class Pipeline:
    """The threads of one worker. What comes out goes to `under_way`.

    `window` is H in seconds. `session_alive_at` is when the claiming session was last seen alive,
    `generation` changes with each new session: what an older one dispatched is not handed over.
    """

    def __init__(
        self,
        dsn: str,
        *,
        site: str,
        epoch: int,
        channels: Mapping[str, Channel],
        guard: MaySend,
        window: float,
        under_way: UnderWay,
        boottime: Callable[[], float],
        clock: Callable[[], datetime],
        session_alive_at: Callable[[], float],
        generation: Callable[[], int],
        breakers: Mapping[str, CallBreaker],
        retries: Retries,
    ) -> None:
        self._dsn = dsn
        self._epoch = epoch
        self._channels = channels
        self._guard = guard
        self._under_way = under_way
        self._generation = generation
        self._dispatched: queue.SimpleQueue[tuple[Turn, int] | None] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._calls = Calls(
            channels,
            site=site,
            epoch=epoch,
            guard=guard,
            window=window,
            under_way=under_way,
            boottime=boottime,
            clock=clock,
            session_alive_at=session_alive_at,
            objection=self._objection,
            breakers=breakers,
            retries=retries,
        )
        self._lanes = {
            name: Lane(
                channel,
                call=self._calls.make,
                hold=self._calls.hold,
                patience=window,
                boottime=boottime,
            )
            for name, channel in channels.items()
        }
        self._waiter = threading.Thread(target=self._wait_for_store, name="journaled", daemon=True)
        self._waiter.start()

    def put(self, turn: Turn, generation: int) -> None:
        """Take over what was dispatched."""
        self._submit(
            [s for s in turn.sends if self._channels[s.channel].guard == "Local"], generation
        )
        journaled = tuple(s for s in turn.sends if self._channels[s.channel].guard != "Local")
        if journaled:
            self._dispatched.put((Turn(journaled, turn.tx), generation))

    def ask(self, question: Question) -> None:
        """Put a question to the channel's provider; what it says, or its silence, comes out."""
        self._lanes[question.send.channel].ask(partial(self._calls.ask, question))

    def room(self) -> dict[str, int]:
        """How many more sends of each channel may be dispatched."""
        return {name: lane.room(self._under_way.of(name)) for name, lane in self._lanes.items()}

    def share(self, part: float) -> None:
        """This worker's part of all channels' rates: above 0, at most 1."""
        for lane in self._lanes.values():
            lane.share(part)

    def stop(self) -> None:
        """Start nothing more; returns when what was started has ended."""
        self._stopping.set()
        self._dispatched.put(None)
        self._waiter.join()
        for lane in self._lanes.values():
            lane.stop()

    def _wait_for_store(self) -> None:
        connection: Connection[Any] | None = None
        while (item := self._dispatched.get()) is not None:
            turn, generation = item
            in_store = False
            while not in_store and (objection := self._objection(generation)) is None:
                try:
                    connection = connection or self._connect()
                    in_store = wait_journaled(connection, turn.tx, _STEP_SECONDS, epoch=self._epoch)
                except Away as error:
                    log.info("outbox.waiting", error=type(error).__name__)
                    connection = None
                    self._stopping.wait(_STEP_SECONDS)
            if in_store:
                self._submit(turn.sends, generation)
                continue
            self._calls.end(*(Ended(send, "Held", objection or "") for send in turn.sends))
        if connection is not None:
            connection.close()

    def _connect(self) -> Connection[Any]:
        return psycopg.connect(patient(self._dsn, "wayfare-journaled"), autocommit=True)

    def _objection(self, generation: int) -> str | None:
        """Why nothing of this generation may start now, if there is a reason."""
        if self._stopping.is_set():
            return "the worker stops"
        if generation != self._generation():
            return "its database session was lost before it left"
        if self._guard.may_send() <= 0:
            return "the right to act is not held"
        return None

    def _submit(self, sends: Sequence[Send], generation: int) -> None:
        of: dict[str, list[Send]] = {}
        for send in sends:
            of.setdefault(send.channel, []).append(send)
        for name, those in of.items():
            self._lanes[name].put(those, generation)
