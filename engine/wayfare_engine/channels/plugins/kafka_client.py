"""librdkafka's producer on an event loop: what became of each record, when it is known."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Mapping
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer

_POLL_SECONDS: Final = 0.1
#: Errors that follow another, and say less than it: a refused handshake ends as a lost connection.
_CONSEQUENCES: Final = frozenset({KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT})
_CAUSE_SECONDS: Final = 30.0


class Client:
    """Sends records, each at most once. A thread of its own carries the outcomes to the loop."""

    def __init__(self, config: Mapping[str, Any], loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._ending = threading.Event()
        self.last_error = ""
        self._cause_until = 0.0
        self._producer = Producer(dict(config) | {"error_cb": self._failed})
        self._thread = threading.Thread(target=self._poll, name="kafka outcomes", daemon=True)
        self._thread.start()

    def produce(
        self, topic: str, key: bytes, value: bytes, headers: list[tuple[str, str | bytes | None]]
    ) -> asyncio.Future[Message]:
        """Begin to send one; its outcome, of which the error says whether it is one. Raises
        KafkaException and BufferError for what was not begun."""
        outcome: asyncio.Future[Message] = self._loop.create_future()

        def known(error: KafkaError | None, message: Message) -> None:
            if error is None:
                self.last_error = ""
            self._loop.call_soon_threadsafe(_tell, outcome, message)

        self._producer.produce(topic, value=value, key=key, headers=headers, on_delivery=known)
        return outcome

    def take_back(self) -> None:
        """Everything that was not sent yet will not be; the outcomes say so."""
        self._producer.purge(in_queue=True, in_flight=False, blocking=False)

    def look(self, topic: str, seconds: float) -> str:
        """What is wrong with the topic, or nothing. Blocks for so long at most."""
        try:
            found = self._producer.list_topics(topic, timeout=seconds).topics[topic]
        except KafkaException as error:
            return f"no broker answers: {self.last_error or error.args[0].name()}"
        return "" if found.error is None else f"the topic cannot be used: {found.error.name()}"

    def end(self) -> None:
        """Give up what is under way, and end the thread. Blocks for a moment."""
        self._producer.purge(in_queue=True, in_flight=True, blocking=False)
        self._ending.set()
        self._thread.join(5 * _POLL_SECONDS)

    def _poll(self) -> None:
        while not self._ending.is_set():
            self._producer.poll(_POLL_SECONDS)
        self._producer.poll(0)

    def _failed(self, error: KafkaError) -> None:
        # Its name only: its text has addresses. What went before is the cause, for a while; that
        # all are down never says more than it.
        code = error.code()
        if code not in _CONSEQUENCES:
            self._cause_until = time.monotonic() + _CAUSE_SECONDS
        elif self.last_error and (
            code == KafkaError._ALL_BROKERS_DOWN or time.monotonic() < self._cause_until
        ):
            return
        self.last_error = error.name()


def _tell(outcome: asyncio.Future[Message], message: Message) -> None:
    if not outcome.done():
        outcome.set_result(message)
