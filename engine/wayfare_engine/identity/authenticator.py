"""Checking keys in memory: no request waits for PostgreSQL, and an outage locks nobody out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

from wayfare_engine.errors import Denied
from wayfare_engine.identity.keys import ApiKey, KeyFormatError, Scope, parse


class Authenticator:
    """The keys as last read. `replace` is called on each notice and every few seconds."""

    def __init__(self, *, enabled: bool, clock: Callable[[], datetime]) -> None:
        self._enabled = enabled
        self._clock = clock
        self._keys: dict[str, ApiKey] = {}

    def replace(self, keys: Iterable[ApiKey]) -> None:
        """Take the keys as they are now."""
        self._keys = {key.id: key for key in keys if key.revoked_at is None}

    def require(self, text: str | None, scope: Scope) -> None:
        """Let the request go on, or raise Denied. The same words for every wrong key."""
        if not self._enabled:
            return
        if not text:
            raise Denied(401, "send an API key: Authorization: Bearer wf_…, or X-API-Key")
        try:
            key_id, secret = parse(text)
        except KeyFormatError as error:
            raise Denied(401, str(error)) from None
        key = self._keys.get(key_id)
        if key is None or not key.matches(secret) or not key.valid_at(self._clock()):
            raise Denied(401, "the API key is unknown, expired or revoked")
        if not key.allows(scope):
            raise Denied(403, f"the API key lacks the scope {scope.value}")
