"""What an API key is: `wf_<id>_<secret>`.

The secret has 256 random bits, so its SHA-256 cannot be searched and needs no slow hash, which
would be paid with every decision.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

_KEY = re.compile(r"wf_([0-9a-f]{16})_([0-9A-Za-z_-]{43})\Z")


class Scope(StrEnum):
    """What a key allows; `admin` allows everything."""

    DECIDE = "decide"
    DECISIONS_READ = "decisions:read"
    EVENTS_WRITE = "events:write"
    OPT_OUTS_WRITE = "opt-outs:write"
    LISTS_WRITE = "lists:write"
    SENDS_WRITE = "sends:write"
    SENDS_READ = "sends:read"
    SENDS_PREVIEW = "sends:preview"
    OUTBOX_PULL = "outbox:pull"
    TASKS = "tasks"
    ADMIN = "admin"


class KeyFormatError(Exception):
    """Not the form of an API key."""


@dataclass(frozen=True)
class ApiKey:
    """A key as it is stored: never its secret."""

    id: str
    hash: bytes
    scopes: frozenset[str]
    name: str
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None

    def allows(self, scope: Scope) -> bool:
        """Whether the key was given this scope."""
        return scope in self.scopes or Scope.ADMIN in self.scopes

    def valid_at(self, now: datetime) -> bool:
        """Whether it is neither expired nor revoked."""
        if self.revoked_at is not None and self.revoked_at <= now:
            return False
        return self.expires_at is None or now < self.expires_at

    def matches(self, secret: str) -> bool:
        """Compare in constant time."""
        return hmac.compare_digest(self.hash, hashlib.sha256(secret.encode()).digest())


@dataclass(frozen=True)
class NewKey:
    """A key at the one moment when its text is known."""

    key: ApiKey
    text: str


def new_key(
    *,
    name: str,
    scopes: Iterable[Scope],
    now: datetime,
    expires_at: datetime | None,
    random_id: Callable[[], str],
    random_secret: Callable[[], str],
) -> NewKey:
    """Make a key; `random_id` gives 16 hexadecimal digits, `random_secret` 43 URL-safe characters
    (`secrets.token_hex(8)`, `secrets.token_urlsafe(32)`)."""
    key_id, secret = random_id(), random_secret()
    text = f"wf_{key_id}_{secret}"
    if parse(text) != (key_id, secret):
        raise KeyFormatError("the random source gave something else")
    return NewKey(
        ApiKey(
            id=key_id,
            hash=hashlib.sha256(secret.encode()).digest(),
            scopes=frozenset(str(s) for s in scopes),
            name=name,
            created_at=now,
            expires_at=expires_at,
        ),
        text,
    )


def parse(text: str) -> tuple[str, str]:
    """(id, secret) of a key's text; raises KeyFormatError."""
    found = _KEY.match(text)
    if found is None:
        raise KeyFormatError("an API key looks like wf_<id>_<secret>")
    return found.group(1), found.group(2)
