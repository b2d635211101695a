"""Checking the operator's service-account token without asking anybody.

The keys (JWKS) are a mounted file that the operator keeps current; it is read again when it
changed, so a rotation of the cluster's signing keys needs no restart.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from wayfare_engine.errors import Denied

AUDIENCE = "wayfare-engine"
_ALGORITHMS = ["RS256", "ES256"]
_LEEWAY_SECONDS = 10


class TokenVerifier:
    """Accepts tokens of one issuer, for our audience, of the named subjects."""

    def __init__(
        self,
        jwks: Path,
        *,
        issuer: str,
        subjects: frozenset[str],
        clock: Callable[[], datetime],
    ) -> None:
        self._path = jwks
        self._issuer = issuer
        self._subjects = subjects
        self._clock = clock
        self._read: tuple[float, int, int] | None = None
        self._keys: KeySet | None = None

    def require(self, authorization: str | None) -> str:
        """The token's subject; raises Denied with what is wrong, never with the token."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Denied(401, "send the service account's token: Authorization: Bearer …")
        keys = self._current_keys()
        if keys is None:
            raise Denied(401, "the keys to check tokens with are not there yet")
        try:
            decoded = jwt.decode(token.strip(), keys, algorithms=_ALGORITHMS)
        except (JoseError, ValueError, TypeError, KeyError):
            raise Denied(401, "the token's signature is not of a known key") from None
        claims = decoded.claims
        now = self._clock().timestamp()
        audience = claims.get("aud")
        if claims.get("iss") != self._issuer:
            raise Denied(401, "the token is of another issuer")
        if AUDIENCE not in (audience if isinstance(audience, list) else [audience]):
            raise Denied(401, f"the token is not for {AUDIENCE}")
        expiry, start = claims.get("exp"), claims.get("nbf", 0)
        if not isinstance(expiry, int | float) or now > expiry + _LEEWAY_SECONDS:
            raise Denied(401, "the token is expired")
        if not isinstance(start, int | float) or now < start - _LEEWAY_SECONDS:
            raise Denied(401, "the token is not valid yet")
        subject = claims.get("sub")
        if subject not in self._subjects:
            raise Denied(403, f"{subject} may not use the control API")
        return str(subject)

    def _current_keys(self) -> KeySet | None:
        try:
            found = os.stat(self._path)
            stamp = (found.st_mtime, found.st_ino, found.st_size)
            if stamp != self._read:
                self._keys = KeySet.import_key_set(json.loads(self._path.read_text()))
                self._read = stamp
        except (OSError, ValueError, JoseError, KeyError):
            pass  # a file that is being replaced: the keys that we have stay good
        return self._keys
