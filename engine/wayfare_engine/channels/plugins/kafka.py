"""`kafka`: each send is one record of one topic, under the customer as its key.

A record leaves this process once or never, so that what is certain rests on one fact: whether it
was still in our queue when its time was over. If so it is taken out, and nothing took effect; if
not, only the broker's answer can say. See docs/decisions/kafka-records-leave-once.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import ClassVar, Self

from confluent_kafka import KafkaError, KafkaException, Message

from wayfare_engine.channels.contract import Answer, Check, HandOver, Key, NoDedupe, Query, Rendered
from wayfare_engine.channels.plugin import (
    ChannelPlugin,
    InDoubt,
    NotAccepted,
    Rejected,
    Settings,
)
from wayfare_engine.channels.plugins.kafka_client import Client
from wayfare_engine.channels.plugins.kafka_config import WAITED, Config, Opened, opened
from wayfare_engine.channels.plugins.kafka_record import headers, value

#: Answers that refuse a record for good.
_FOR_GOOD = frozenset(
    {
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError.RECORD_LIST_TOO_LARGE,
        KafkaError.INVALID_RECORD,
        KafkaError.TOPIC_EXCEPTION,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError._UNKNOWN_TOPIC,
        KafkaError.POLICY_VIOLATION,
    }
)
#: Answers after which it is certain that the record is nowhere, and which may be others later.
_NOT_NOW = frozenset(
    {
        KafkaError._PURGE_QUEUE,
        KafkaError._QUEUE_FULL,
        KafkaError._UNKNOWN_PARTITION,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NOT_ENOUGH_REPLICAS,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.THROTTLING_QUOTA_EXCEEDED,
    }
)


class Kafka(ChannelPlugin):
    """Records of one topic, acknowledged by all replicas that are in sync."""

    name: ClassVar[str] = "kafka"
    #: A broker knows a repeat only of the same producer's same session, which ends with this
    #: process; who reads the topic may know more (`deduplicates`).
    dedupe: ClassVar[Key | Query | NoDedupe] = NoDedupe()
    batch_size: ClassVar[int] = 500
    permanent_errors: ClassVar[tuple[str, ...]] = ("the broker refused the record:",)

    def __init__(self, opened: Opened) -> None:
        self._it = opened
        self._client: Client | None = None

    @classmethod
    def open(cls, settings: Settings) -> Self:
        """See `ChannelPlugin.open`."""
        it = opened(settings.read(Config), settings.secrets)
        if it.config.deduplicates is None:
            return cls(it)
        dedupe = Key(window=it.config.deduplicates.window)
        kind: type[Self] = type(cls.__name__, (cls,), {"dedupe": dedupe})
        return kind(it)

    async def send(self, what: HandOver) -> Answer:
        """Send its record. Raises Rejected, NotAccepted, InDoubt."""
        (came,) = await self.send_batch([what])
        if isinstance(came, Exception):
            raise came
        return came

    async def send_batch(self, sends: Sequence[HandOver]) -> list[Answer | Exception]:
        """Each its record, all under way at once."""
        client, loop = self._running(), asyncio.get_running_loop()
        ends = loop.time() + self._it.config.timeout
        begun = [self._begun(client, what) for what in sends]
        waiting = [one for one in begun if isinstance(one, asyncio.Future)]
        if waiting:
            _, late = await asyncio.wait(waiting, timeout=self._it.config.timeout * WAITED)
            if late:
                client.take_back()
                await asyncio.wait(late, timeout=max(0.0, ends - loop.time()))
        return [one if isinstance(one, Exception) else self._came(client, one) for one in begun]

    async def preview(self, what: HandOver) -> Rendered:
        """The record."""
        return Rendered(parts={"key": what.customer, "value": value(what).decode()})

    async def check(self) -> Check:
        """Whether a broker answers and knows the topic."""
        config = self._it.config
        wrong = await asyncio.to_thread(self._running().look, config.topic, config.timeout)
        return Check(ok=not wrong, problem=wrong)

    async def close(self) -> None:
        """Give up what is under way."""
        if self._client is not None:
            await asyncio.to_thread(self._client.end)

    def _running(self) -> Client:
        """The client, from the first use on: it begins to connect at once."""
        if self._client is None:
            self._client = Client(self._it.client, asyncio.get_running_loop())
        return self._client

    def _begun(self, client: Client, what: HandOver) -> asyncio.Future[Message] | Exception:
        config = self._it.config
        if what.remaining < config.timeout:
            return NotAccepted(f"less than the timeout of {config.timeout:g} s is left")
        try:
            return client.produce(config.topic, what.customer.encode(), value(what), headers(what))
        except BufferError:
            return NotAccepted("the queue to the brokers is full")
        except KafkaException as error:
            # Nothing has begun.
            return _definite(error.args[0], client) or NotAccepted(error.args[0].name())

    def _came(self, client: Client, outcome: asyncio.Future[Message]) -> Answer | Exception:
        if not outcome.done():
            return InDoubt("the record was sent, and no broker answered")
        message = outcome.result()
        error = message.error()
        if error is None:
            place = f"{message.topic()}/{message.partition()}/{message.offset()}"
            return Answer(result="Accepted", provider_id=place)
        return _definite(error, client) or InDoubt(
            f"the record may have been sent, and no broker acknowledged it: {error.name()}"
        )


def _definite(error: KafkaError, client: Client) -> Exception | None:
    """What an error says of a record, when it is certain that the record is nowhere."""
    code = error.code()
    if code in _FOR_GOOD:
        return Rejected(f"the broker refused the record: {error.name()}")
    if code == KafkaError._PURGE_QUEUE:
        seen = f" ({client.last_error})" if client.last_error else ""
        return NotAccepted(f"no broker was there to take the record{seen}")
    if code in _NOT_NOW:
        return NotAccepted(f"the broker takes no record for now: {error.name()}")
    return None
