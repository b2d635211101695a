"""Who may tell receipts of a channel: whoever signs with one of its secrets (Standard Webhooks).

The signed content is `<id>.<timestamp>.<body>`; a secret is `whsec_` and Base64. A channel may have
several secrets at a time, one a line, so that a new one is in use before the old one is taken away.
(https://github.com/standard-webhooks/standard-webhooks, spec version 1.0.0.)
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from wayfare_engine.errors import MISSING, SaidToPeople

#: How far a call's time may be from ours, in seconds, either way: the specification's.
TOLERANCE = 300.0
_PREFIX = "whsec_"
_LEAST, _MOST = 24, 64
_CHANNEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,62})(/[a-z0-9]([a-z0-9-]{0,62}))?")
_MOST_SIGNATURES = 16
_MOST_HEADER = 4096


class Refused(Exception):
    """The call is not one of the channel's provider, or not one of now. The text tells no secret,
    and the same of every wrong signature."""


@dataclass(eq=False)
class BadSecret(SaidToPeople):
    """A secret of a channel cannot be used."""

    exit_code = MISSING

    path: Path
    line: int
    problem: str

    def __str__(self) -> str:
        return (
            f"{self.path}, line {self.line}: {self.problem}; a secret is {_PREFIX} and then "
            f"{_LEAST} to {_MOST} random bytes in Base64"
        )


@dataclass(frozen=True)
class Signed:
    """What a call says of itself."""

    id: str
    timestamp: str
    signatures: tuple[str, ...]


def secrets(folder: Path, channel: str) -> list[bytes]:
    """The channel's secrets now, from the file of its name (`.` for `/`); none when it has none.

    Raises BadSecret, OSError.
    """
    if _CHANNEL.fullmatch(channel) is None:
        return []
    path = folder / channel.replace("/", ".")
    try:
        lines = path.read_text("ascii").splitlines()
    except FileNotFoundError:
        return []
    except UnicodeDecodeError:
        raise BadSecret(path, 1, "it has characters that no Base64 has") from None
    return [_secret(path, n, line.strip()) for n, line in enumerate(lines, 1) if line.strip()]


def signed(headers: Mapping[str, str]) -> Signed:
    """What the headers say (names in lower case). Raises Refused."""
    found = [headers.get(f"webhook-{name}", "") for name in ("id", "timestamp", "signature")]
    if not all(found):
        raise Refused("send the headers webhook-id, webhook-timestamp and webhook-signature")
    if any(len(value) > _MOST_HEADER for value in found):
        raise Refused("the webhook headers are too long")
    marks = [mark.partition(",") for mark in found[2].split(" ")[:_MOST_SIGNATURES]]
    return Signed(found[0], found[1], tuple(value for name, _, value in marks if name == "v1"))


def require(call: Signed, body: bytes, keys: Sequence[bytes], now: datetime) -> None:
    """Let the call go on, or raise Refused. Every key is tried, and compared in constant time."""
    wanted = [signature(key, call.id, call.timestamp, body).encode() for key in keys]
    given = [one.encode("utf-8", "replace") for one in call.signatures]
    matching = [hmac.compare_digest(one, other) for one in wanted for other in given]
    if not any(matching):
        raise Refused("no signature fits a secret of this channel")
    if not call.timestamp.isdecimal() or len(call.timestamp) > 12:
        raise Refused("webhook-timestamp is no number of seconds since 1970")
    if abs(now.timestamp() - int(call.timestamp)) > TOLERANCE:
        raise Refused(f"the call is more than {TOLERANCE:g} s from now, and may be a repeat")


def signature(key: bytes, call_id: str, timestamp: str, body: bytes) -> str:
    """The signature of a call, without its version, in Base64."""
    content = f"{call_id}.{timestamp}.".encode() + body
    return base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()


def _secret(path: Path, line: int, text: str) -> bytes:
    try:
        key = base64.b64decode(text.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise BadSecret(path, line, "it is no Base64") from None
    if not text.startswith(_PREFIX) or not _LEAST <= len(key) <= _MOST:
        raise BadSecret(path, line, f"it has another form, or {len(key)} bytes")
    return key
