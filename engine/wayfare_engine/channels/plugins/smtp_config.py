"""What `smtp` is told: its config and secrets, checked once."""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Final, Literal

import msgspec

from wayfare_engine.channels.plugin import BadConfig
from wayfare_engine.channels.plugins.mail_address import BadAddress, ascii_address

USERNAME: Final = "username"
PASSWORD: Final = "password"  # noqa: S105 - the name of a secret
Security = Literal["starttls", "tls", "none"]
_PORTS: Final[dict[Security, int]] = {"starttls": 587, "tls": 465, "none": 25}
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|[0-9A-Fa-f:]{2,45}", re.ASCII)


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"sender": "from"}):
    """`timeout` is in seconds, for a whole send. `connections` are kept, at most so many at a time,
    each for `idle` seconds after its last mail. `port` is that of `security` unless it is given.
    `one_click`: who is at a `list_unsubscribe` address takes POSTs after RFC 8058. `ca_file`:
    certificates to trust instead of the system's. `hello` is what we call ourselves."""

    host: Annotated[str, msgspec.Meta(min_length=1, max_length=253)]
    sender: Annotated[str, msgspec.Meta(min_length=3, max_length=254)]
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] | None = None
    security: Security = "starttls"
    timeout: Annotated[float, msgspec.Meta(gt=0, le=60)] = 4.0
    connections: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 8
    idle: Annotated[float, msgspec.Meta(ge=0, le=3600)] = 60.0
    one_click: bool = False
    hello: str | None = None
    ca_file: str | None = None


@dataclass(frozen=True)
class Opened:
    """A config that can be used. `sender` is an address in ASCII; `login` a name and a password."""

    config: Config
    port: int
    sender: str
    hello: str
    tls: ssl.SSLContext | None
    login: tuple[str, str] | None = field(repr=False)

    @property
    def place(self) -> str:
        """Host and port."""
        return f"{self.config.host}:{self.port}"

    @property
    def domain(self) -> str:
        """The sender's, under which mails get their names."""
        return self.sender.rpartition("@")[2]


def opened(config: Config, secrets: Mapping[str, str]) -> Opened:
    """Check it all. Raises BadConfig, which quotes no secret."""
    if not _HOST.fullmatch(config.host):
        raise BadConfig("config: host must be a name or an address, without a port")
    try:
        sender = ascii_address(config.sender)
    except BadAddress as error:
        raise BadConfig(f"config: from is no address: {error}") from None
    hello = config.hello if config.hello is not None else sender.rpartition("@")[2]
    if not _HOST.fullmatch(hello):
        raise BadConfig("config: hello must be a host's name")
    login = _login(secrets)
    if login is not None and config.security == "none":
        raise BadConfig(
            "config: security is none, and there is a login: it would be sent in the clear; "
            f"set security to starttls or tls, or take the secrets {USERNAME} and {PASSWORD} away"
        )
    port = config.port or _PORTS[config.security]
    tls = None if config.security == "none" else _tls(config.ca_file)
    return Opened(config, port, sender, hello, tls, login)


def _login(secrets: Mapping[str, str]) -> tuple[str, str] | None:
    name, password = secrets.get(USERNAME), secrets.get(PASSWORD)
    if not name and not password:
        return None
    if not name or not password:
        missing, there = (USERNAME, PASSWORD) if not name else (PASSWORD, USERNAME)
        raise BadConfig(f"there is a secret {there!r} and no secret {missing!r}: give both or none")
    return name, password


def _tls(ca_file: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError):
        raise BadConfig("config: ca_file holds no certificates that can be read") from None
