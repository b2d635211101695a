"""From dispatch to answer: wait until the dispatch is in the store, then hand over, a pool of
threads a channel, so that a channel that hangs holds up no other."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import psycopg
import structlog
from psycopg import Connection

from wayfare_engine.crashpoints import crash_point
from wayfare_engine.guards import Refused as NotNow
from wayfare_engine.journal.waiting import wait_journaled
from wayfare_engine.outbox.breakers import CallBreaker, report
from wayfare_engine.outbox.channel import Answer, Channel, HostUnreachable, Result, Send
from wayfare_engine.outbox.dispatch import Turn
from wayfare_engine.outbox.hand_over import Held, MaySend, hand_over
from wayfare_engine.outbox.outcome import Doubt, Ended, Ending
from wayfare_engine.outbox.resolve import Question
from wayfare_engine.outbox.under_way import UnderWay
from wayfare_engine.store.postgresql import Away, patient

log = structlog.get_logger(__name__)

_asking = crash_point("outbox.in_doubt.asking", "a send is in doubt; nobody was asked yet")
_asked = crash_point("outbox.in_doubt.asked", "the provider answered; no outcome is written")
_STEP_SECONDS = 0.25
_ENDINGS: dict[Result, Ending] = {
    Result.ACCEPTED: "Accepted",
    Result.REJECTED: "Rejected",
    Result.NOT_ACCEPTED: "NotAccepted",
}


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
    ) -> None:
        self._dsn = dsn
        self._site = site
        self._epoch = epoch
        self._channels = channels
        self._guard = guard
        self._window = window
        self._under_way = under_way
        self._boottime = boottime
        self._clock = clock
        self._session_alive_at = session_alive_at
        self._generation = generation
        self._breakers = breakers
        self._dispatched: queue.SimpleQueue[tuple[Turn, int] | None] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._pools = {
            name: ThreadPoolExecutor(channel.concurrency, thread_name_prefix=f"send-{name}")
            for name, channel in channels.items()
        }
        self._waiter = threading.Thread(target=self._wait_for_store, name="journaled", daemon=True)
        self._waiter.start()

    def put(self, turn: Turn, generation: int) -> None:
        """Take over what was dispatched."""
        local = [s for s in turn.sends if self._channels[s.channel].guard == "Local"]
        for send in local:
            self._submit(send, generation)
        journaled = tuple(s for s in turn.sends if self._channels[s.channel].guard != "Local")
        if journaled:
            self._dispatched.put((Turn(journaled, turn.tx), generation))

    def ask(self, question: Question) -> None:
        """Put a question to the channel's provider; what it says, or its silence, comes out."""
        self._pools[question.send.channel].submit(self._ask, question)

    def stop(self) -> None:
        """Start nothing more; returns when what was started has ended."""
        self._stopping.set()
        self._dispatched.put(None)
        self._waiter.join()
        for pool in self._pools.values():
            pool.shutdown(wait=True)

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
            for send in turn.sends:
                if in_store:
                    self._submit(send, generation)
                else:
                    self._end(Ended(send, "Held", objection or ""))
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

    def _submit(self, send: Send, generation: int) -> None:
        self._pools[send.channel].submit(self._hand_over, send, generation)

    def _hand_over(self, send: Send, generation: int) -> None:
        try:
            if (objection := self._objection(generation)) is not None:
                raise Held(objection)
            answer = self._guarded(send)
        except Held as held:
            self._end(Ended(send, "Held", str(held)))
        except Exception as error:  # a defect of a host's client must not lose the send
            log.exception("outbox.hand_over", send_key=send.send_key)
            self._under_way.doubt(Doubt(send, type(error).__name__), self._window)
        else:
            ending = _ENDINGS.get(answer.result)
            if answer.result is Result.OFFERED:
                self._under_way.leave([send.send_key])
            elif ending is None:
                self._under_way.doubt(Doubt(send, answer.detail), self._window)
            else:
                self._end(Ended(send, ending, answer.detail, answer.provider_id))

    def _guarded(self, send: Send) -> Answer:
        """The hand-over, if the channel's breaker lets it through, which is told of it."""
        breaker = self._breakers.get(send.channel)
        if breaker is None:
            return self._call(send)
        permit = breaker.allow()
        if isinstance(permit, NotNow):
            raise Held(f"breaker {permit.state.value}")
        began = self._boottime()
        try:
            answer = self._call(send)
        except Held:
            breaker.give_back(permit)
            raise
        except BaseException:
            breaker.failed(permit)
            raise
        report(breaker, permit, answer, self._boottime() - began)
        return answer

    def _call(self, send: Send) -> Answer:
        return hand_over(
            self._channels[send.channel],
            send,
            site=self._site,
            epoch=self._epoch,
            guard=self._guard,
            window=self._window,
            session_alive_at=self._session_alive_at,
            boottime=self._boottime,
            clock=self._clock,
        )

    def _end(self, ended: Ended) -> None:
        if ended.send.in_doubt and ended.result in ("NotAccepted", "Held"):
            # Certain of this attempt, and it says nothing of the earlier one: still in doubt.
            self._under_way.doubt(Doubt(ended.send, ended.detail), 0.0)
        else:
            self._under_way.end(ended)

    def _ask(self, question: Question) -> None:
        send = question.send
        _asking()
        try:
            took_effect = self._channels[send.channel].host.took_effect(send.send_key, self._window)
        except HostUnreachable as error:
            if question.last:
                self._under_way.end(Ended(send, "Unknown", f"nobody answered: {error}"))
            else:
                self._under_way.doubt(Doubt(send, str(error)), 0.0)
        else:
            self._under_way.end(
                Ended(send, "Accepted", "known by asking")
                if took_effect
                else Ended(send, "NotAccepted", "known by asking")
            )
        _asked()
