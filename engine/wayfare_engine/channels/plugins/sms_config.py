"""What `sms` is told: its config and secrets, checked once."""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

import msgspec

from wayfare_engine.channels.plugin import BadConfig, Settings
from wayfare_engine.channels.plugins.signing import secret
from wayfare_engine.channels.plugins.sms_text import MOST_PARTS

PASSWORD: Final = "password"  # noqa: S105 - the name of a secret
RECEIPTS: Final = "receipts"
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|[0-9A-Fa-f:]{2,45}", re.ASCII)
_FIELD = re.compile(r"[\x21-\x7e]{0,64}", re.ASCII)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._&-]{0,10}", re.ASCII)
NUMBER: Final = re.compile(r"\+[1-9][0-9]{6,14}", re.ASCII)
_SHORT = re.compile(r"[0-9]{3,8}", re.ASCII)
Status = Annotated[int, msgspec.Meta(ge=1, le=0xFFFF_FFFF)]


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`sender` is a number (`+49…`), a short code, or a name of up to 11 characters. `long` is how
    a text that is longer than one message goes out; at most `parts` messages. `timeout`
    and `enquire` are in seconds. `window`: requests without a response at a time. `rejected` and
    `not_accepted` are more statuses of submit_sm_resp, the provider's own. `receipts_url` is the
    engine's address for this channel's receipts; without it none are asked for."""

    host: Annotated[str, msgspec.Meta(min_length=1, max_length=253)]
    system_id: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    sender: str
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] | None = None
    security: Literal["tls", "none"] = "tls"
    system_type: str = ""
    long: Literal["udh", "payload"] = "udh"
    parts: Annotated[int, msgspec.Meta(ge=1, le=MOST_PARTS)] = 6
    timeout: Annotated[float, msgspec.Meta(gt=0, le=60)] = 4.0
    enquire: Annotated[float, msgspec.Meta(gt=0, le=3600)] = 20.0
    window: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 10
    rejected: frozenset[Status] = frozenset()
    not_accepted: frozenset[Status] = frozenset()
    receipts_url: Annotated[str, msgspec.Meta(min_length=1, max_length=4096)] | None = None
    ca_file: str | None = None


@dataclass(frozen=True)
class Opened:
    """A config that can be used. `sender` is address, type of number and plan, as SMPP has them."""

    config: Config
    port: int
    password: str = field(repr=False)
    sender: tuple[str, int, int]
    tls: ssl.SSLContext | None
    receipts_key: bytes | None = field(repr=False)

    @property
    def place(self) -> str:
        """Host and port."""
        return f"{self.config.host}:{self.port}"


def opened(settings: Settings) -> Opened:
    """Check it all. Raises BadConfig, which quotes no secret."""
    config = settings.read(Config)
    password = settings.secret(PASSWORD)
    if not _HOST.fullmatch(config.host):
        raise BadConfig("config: host must be a name or an address, without a port")
    if not _FIELD.fullmatch(config.system_id) or not _FIELD.fullmatch(config.system_type):
        raise BadConfig("config: system_id and system_type are ASCII without spaces")
    if not _FIELD.fullmatch(password):
        raise BadConfig(f"the secret {PASSWORD} is ASCII without spaces, of 64 characters at most")
    both = sorted(config.rejected & config.not_accepted)
    if both:
        raise BadConfig(f"config: status {both[0]} is in rejected and in not_accepted")
    port = config.port or (3550 if config.security == "tls" else 2775)
    tls = _tls(config.ca_file) if config.security == "tls" else None
    key = _receipts_key(config, settings.secrets)
    return Opened(config, port, password, _sender(config.sender), tls, key)


def _sender(text: str) -> tuple[str, int, int]:
    if NUMBER.fullmatch(text):
        return text[1:], 1, 1
    if _SHORT.fullmatch(text):
        return text, 3, 0
    if _NAME.fullmatch(text):
        return text, 5, 0
    raise BadConfig(
        "config: sender is no number (+ and 7 to 15 digits), no short code (3 to 8 digits), and no "
        "name of up to 11 letters and digits"
    )


def _receipts_key(config: Config, secrets: Mapping[str, str]) -> bytes | None:
    found = secrets.get(RECEIPTS)
    if config.receipts_url is None:
        if found:
            raise BadConfig(f"there is a secret {RECEIPTS!r}, and config has no receipts_url")
        return None
    try:
        parts = urlsplit(config.receipts_url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good or parts.username is not None or not config.receipts_url.isascii():
        raise BadConfig("config: receipts_url must be http://… or https://…, without a user")
    if not found:
        raise BadConfig(
            f"there is no secret {RECEIPTS!r} (whsec_…), with which receipts are signed: give it "
            "in the Channel's secretRefs"
        )
    try:
        return secret(found)
    except ValueError as error:
        raise BadConfig(f"the secret {RECEIPTS} {error}") from None


def _tls(ca_file: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError):
        raise BadConfig("config: ca_file holds no certificates that can be read") from None
