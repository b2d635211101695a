"""What `kafka` is told: its config and secrets, checked once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec

from wayfare_engine.channels.plugin import BadConfig

USERNAME: Final = "username"
PASSWORD: Final = "password"  # noqa: S105 - the name of a secret
_BROKER = re.compile(r"([A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]):[0-9]{1,5}", re.ASCII)
_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}", re.ASCII)
#: Of `timeout`: what is in the queue then is taken out of it, while librdkafka would still send it.
WAITED: Final = 0.9


class Deduplicates(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who reads the topic drops a send key that they had in the last `window` seconds."""

    window: Annotated[float, msgspec.Meta(gt=0)]


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`timeout` is in seconds, for a send; one with less time than that is not started. `largest`
    is a record's size in bytes. `sasl` is how `username` and `password` are used. `ca_file`:
    certificates to trust instead of the system's."""

    brokers: Annotated[list[str], msgspec.Meta(min_length=1, max_length=100)]
    topic: str
    security: Literal["tls", "none"] = "tls"
    sasl: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    timeout: Annotated[float, msgspec.Meta(ge=0.1, le=60)] = 2.0
    largest: Annotated[int, msgspec.Meta(ge=1000, le=100_000_000)] = 1_000_000
    deduplicates: Deduplicates | None = None
    ca_file: str | None = None


@dataclass(frozen=True)
class Opened:
    """A config that can be used. `client` is librdkafka's own, with the password in it."""

    config: Config
    client: dict[str, Any] = field(repr=False)


def opened(config: Config, secrets: Mapping[str, str]) -> Opened:
    """Check it all. Raises BadConfig, which quotes no secret."""
    for broker in config.brokers:
        if not _BROKER.fullmatch(broker):
            raise BadConfig("config: brokers: each is host:port")
    if not _TOPIC.fullmatch(config.topic) or config.topic in (".", ".."):
        raise BadConfig("config: topic is no name that a topic can have")
    return Opened(config, _client(config) | _login(config, secrets) | _tls(config))


def _client(config: Config) -> dict[str, Any]:
    milliseconds = int(config.timeout * 1000)
    return {
        "bootstrap.servers": ",".join(config.brokers),
        "client.id": "wayfare",
        # A record leaves us once or never: what is still in the queue was never sent.
        "enable.idempotence": False,
        "message.send.max.retries": 0,
        # One record a request: what a broker says of a request, it says of this record.
        "batch.num.messages": 1,
        "linger.ms": 0,
        "acks": "all",
        "delivery.timeout.ms": milliseconds,
        "request.timeout.ms": milliseconds,
        "socket.timeout.ms": max(1000, milliseconds),
        "socket.nagle.disable": True,
        "message.max.bytes": config.largest,
        # A name that is not there yet may be new, and not told to every broker.
        "topic.metadata.propagation.max.ms": min(1000, milliseconds // 2),
        "reconnect.backoff.ms": 50,
        "reconnect.backoff.max.ms": 500,
        # As Kafka's own clients do: a customer's records stay in one partition, in their order.
        "partitioner": "murmur2",
        "log_level": 0,
    }


def _login(config: Config, secrets: Mapping[str, str]) -> dict[str, Any]:
    name, password = secrets.get(USERNAME), secrets.get(PASSWORD)
    if config.sasl is None:
        if name or password:
            raise BadConfig(
                f"config: there is a secret {USERNAME!r} or {PASSWORD!r}, and sasl does not say "
                "how they are used: PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512"
            )
        return {}
    for secret, found in ((USERNAME, name), (PASSWORD, password)):
        if not found:
            raise BadConfig(f"there is no secret {secret!r}: give it in the Channel's secretRefs")
    if config.sasl == "PLAIN" and config.security == "none":
        raise BadConfig("config: sasl PLAIN with security none sends the password in the clear")
    return {"sasl.mechanism": config.sasl, "sasl.username": name, "sasl.password": password}


def _tls(config: Config) -> dict[str, Any]:
    how = ("SASL_" if config.sasl else "") + ("SSL" if config.security == "tls" else "PLAINTEXT")
    found: dict[str, Any] = {"security.protocol": how}
    if config.security == "none":
        return found
    if config.ca_file is None:
        return found | {"ssl.ca.location": "probe"}
    try:
        if "BEGIN CERTIFICATE" in Path(config.ca_file).read_text("ascii"):
            return found | {"ssl.ca.location": config.ca_file}
    except (OSError, ValueError):
        pass
    raise BadConfig("config: ca_file holds no certificates that can be read")
