"""A real Kafka broker on loopback, which tests stop, kill and start again."""
# ruff: noqa: E501 - its settings cannot be folded

from __future__ import annotations

import os
import signal
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from cryptography.hazmat.primitives import serialization

from tests.servers.certificates import Authority
from tests.servers.jars import jars, java
from tests.servers.ports import free_port
from tests.servers.wait import until

USER, PASSWORD = "wayfare", "password-of-the-broker"

_PROPERTIES = """
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},SASL_SSL://127.0.0.1:{tls},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port},SASL_SSL://127.0.0.1:{tls}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL,CONTROLLER:PLAINTEXT
log.dirs={folder}/data
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
auto.create.topics.enable=false
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=500
sasl.enabled.mechanisms=PLAIN
listener.name.sasl_ssl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_{user}="{password}";
ssl.keystore.type=PEM
ssl.keystore.location={folder}/server.pem
"""
_JAVA = ("-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto")


@dataclass
class Kafka:
    """One broker that is its own controller, with a disk of its own."""

    folder: Path
    port: int
    tls_port: int
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, and wait until it leads its partitions."""
        words = [java(), *_JAVA, "-cp", f"{jars()}/*", "kafka.Kafka", self._properties]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder
            )
        until(self._leads, seconds=90, what="Kafka", ignoring=(KafkaException,), every=0.2)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process is not None
        os.kill(self._process.pid, number)

    def kill(self) -> None:
        """End it at once, as a power cut ends a process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def make_topic(
        self, name: str, partitions: int = 1, config: dict[str, str] | None = None
    ) -> None:
        """A new topic, and wait until it has a leader."""
        admin = AdminClient({"bootstrap.servers": self.address})
        topic = NewTopic(name, num_partitions=partitions, replication_factor=1, config=config or {})
        admin.create_topics([topic])[name].result(30)

        def led() -> bool:
            found = admin.list_topics(name, timeout=10).topics[name]
            return found.error is None and all(p.leader == 1 for p in found.partitions.values())

        until(led, what=f"topic {name}")

    def records(self, topic: str) -> list[Message]:
        """Every record of the topic, partition by partition; waits for their leaders."""
        consumer = Consumer(
            {
                "bootstrap.servers": self.address,
                "group.id": uuid.uuid4().hex,
                "enable.auto.commit": False,
                "enable.partition.eof": False,
            }
        )
        try:
            found: list[Message] = []
            for partition in consumer.list_topics(topic, timeout=10).topics[topic].partitions:
                place = TopicPartition(topic, partition, 0)
                # A broker that was stopped is not a leader again at once.
                _, end = until(
                    partial(consumer.get_watermark_offsets, place, timeout=10),
                    what=f"a leader of {topic}/{partition}",
                    ignoring=(KafkaException,),
                )
                consumer.assign([place])
                here: list[Message] = []
                while len(here) < end:
                    message = consumer.poll(10)
                    assert message is not None, f"{len(here)} of {end} records of {topic}"
                    assert message.error() is None, message.error()
                    here.append(message)
                found += here
            return found
        finally:
            consumer.close()

    def keys(self, topic: str) -> list[str]:
        """The send keys of the topic's records."""
        return [header(message, "wayfare-send-key") for message in self.records(topic)]

    @property
    def authority(self) -> Path:
        """Who signed its certificate."""
        return self.folder / "ca.crt"

    @property
    def _properties(self) -> str:
        return str(self.folder / "server.properties")

    def _format(self) -> None:
        text = _PROPERTIES.format(
            folder=self.folder,
            port=self.port,
            tls=self.tls_port,
            controller=free_port(),
            user=USER,
            password=PASSWORD,
        )
        certificate, key = Authority(self.folder).issue("server", user="kafka", server=True)
        read = serialization.load_pem_private_key(key.read_bytes(), None)
        pem = read.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        (self.folder / "server.pem").write_bytes(pem + certificate.read_bytes())
        Path(self._properties).write_text(text)
        main = ["kafka.tools.StorageTool", "format", "-t", "AAAAAAAAAAAAAAAAAAAAAA"]
        words = [java(), *_JAVA, "-cp", f"{jars()}/*", *main, "-c", self._properties]
        done = subprocess.run(words, capture_output=True, text=True, timeout=120, cwd=self.folder)
        assert done.returncode == 0, done.stderr[-3000:]

    def _leads(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise AssertionError((self.folder / "log").read_text()[-3000:])
        found = AdminClient({"bootstrap.servers": self.address, "log_level": 0}).list_topics(
            timeout=2
        )
        leaders = [p.leader for t in found.topics.values() for p in t.partitions.values()]
        return bool(found.brokers) and all(leader == 1 for leader in leaders)


def header(message: Message, name: str) -> str:
    """A header's text."""
    value = dict(message.headers() or [])[name]
    assert isinstance(value, bytes)
    return value.decode()


@contextmanager
def kafka_broker(folder: Path) -> Iterator[Kafka]:
    """A broker without topics."""
    folder.mkdir(parents=True, exist_ok=True)
    broker = Kafka(folder, free_port(), free_port())
    broker._format()
    try:
        broker.start()
        yield broker
    finally:
        broker.kill()
