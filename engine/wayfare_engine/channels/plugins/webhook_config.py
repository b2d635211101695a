"""What `webhook` is told: its config and secrets, checked once."""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated
from urllib.parse import urlsplit

import msgspec

from wayfare_engine.channels.plugin import BadConfig
from wayfare_engine.channels.plugins.signing import secret

#: Every secret whose name starts so signs: `signing`, `signing-2027`.
SIGNING = "signing"
#: And every one whose name starts so proves calls of the receiver; without one none is believed.
RECEIPTS = "receipts"
_MOST_KEYS = 8
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}", re.ASCII)
_VALUE = re.compile(r"[\x20-\x7e]{0,4096}", re.ASCII)
_OURS = ("webhook-", "content-", "transfer-")
_OUR_NAMES = frozenset({"host", "connection", "user-agent", "expect", "upgrade", "te", "trailer"})
Status = Annotated[int, msgspec.Meta(ge=300, le=599)]


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`timeout` is in seconds, for a whole call. `headers` are not secret. `rejected` are statuses
    that refuse for good, `not_accepted` those that promise that nothing took effect; every other
    one than 2xx leaves a send in doubt. `ca_file`: certificates to trust instead of the system's.
    `connections`: to the receiver, at most.
    """

    url: Annotated[str, msgspec.Meta(min_length=1, max_length=4096)]
    timeout: Annotated[float, msgspec.Meta(gt=0, le=60)] = 4.0
    headers: dict[str, str] = {}
    rejected: frozenset[Status] = frozenset({400, 404, 410, 413, 422})
    not_accepted: frozenset[Status] = frozenset({429, 503})
    unsigned: bool = False
    ca_file: str | None = None
    connections: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 64


@dataclass(frozen=True)
class Opened:
    """A config that can be used. `place` is the host and port, for people: never the whole URL."""

    config: Config
    url: str = field(repr=False)
    host: str
    port: int
    tls: ssl.SSLContext | None
    keys: tuple[bytes, ...] = field(repr=False)
    receipt_keys: tuple[bytes, ...] = field(repr=False)

    @property
    def place(self) -> str:
        """Host and port."""
        return f"{self.host}:{self.port}"


def opened(config: Config, secrets: Mapping[str, str]) -> Opened:
    """Check it all. Raises BadConfig, which quotes neither the URL nor a secret."""
    host, port, https = _target(config.url)
    for name, value in config.headers.items():
        lower = name.lower()
        if not _HEADER.fullmatch(name) or not _VALUE.fullmatch(value):
            raise BadConfig("config: headers: a name or value has characters that HTTP forbids")
        if lower in _OUR_NAMES or lower.startswith(_OURS):
            raise BadConfig(f"config: headers: {name} is set by the plugin itself")
    both = sorted(config.rejected & config.not_accepted)
    if both:
        raise BadConfig(f"config: status {both[0]} is in rejected and in not_accepted")
    keys = _keys(secrets, SIGNING)
    if bool(keys) == config.unsigned:
        raise BadConfig(
            "config: unsigned is true and there is a signing secret: leave one out"
            if keys
            else f"there is no secret {SIGNING!r} (whsec_…); or set unsigned to true in the config"
        )
    tls = _tls(config.ca_file) if https else None
    return Opened(config, config.url, host, port, tls, keys, _keys(secrets, RECEIPTS))


def _target(url: str) -> tuple[str, int, bool]:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise BadConfig("config: url is no URL") from None
    if parts.scheme not in ("http", "https") or not host:
        raise BadConfig("config: url must be http://… or https://… with a host")
    if parts.username is not None or parts.password is not None:
        raise BadConfig("config: url holds a user or password: use a header, or the signature")
    if parts.fragment or not url.isascii() or any(c.isspace() for c in url):
        raise BadConfig("config: url has a fragment, a space or a character that is not ASCII")
    https = parts.scheme == "https"
    return host, port or (443 if https else 80), https


def _keys(secrets: Mapping[str, str], prefix: str) -> tuple[bytes, ...]:
    found: list[bytes] = []
    # The newest name first: receivers may look at the first only.
    for name in sorted((n for n in secrets if n.startswith(prefix)), reverse=True):
        try:
            found.append(secret(secrets[name]))
        except ValueError as error:
            raise BadConfig(f"the secret {name} {error}") from None
    if len(found) > _MOST_KEYS:
        raise BadConfig(f"{len(found)} {prefix} secrets; at most {_MOST_KEYS}")
    return tuple(found)


def _tls(ca_file: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError):
        raise BadConfig("config: ca_file holds no certificates that can be read") from None
