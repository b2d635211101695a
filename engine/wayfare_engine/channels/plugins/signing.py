"""Signatures of Standard Webhooks (standardwebhooks.com, specification 1.0), symmetric ones.

Written here and not taken from the package `standardwebhooks`: it is one HMAC, and the package
signs with one secret, where a rotation needs several at a time.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Sequence

_PREFIX = "whsec_"
_SHORTEST, _LONGEST = 24, 64


def secret(text: str) -> bytes:
    """The key in `whsec_<base64>`. Raises ValueError, whose text does not quote it."""
    encoded = text.strip()
    if not encoded.startswith(_PREFIX):
        raise ValueError(f"does not start with {_PREFIX}")
    try:
        key = base64.b64decode(encoded.removeprefix(_PREFIX), validate=True)
    except binascii.Error:
        raise ValueError(f"is not base64 after {_PREFIX}") from None
    if not _SHORTEST <= len(key) <= _LONGEST:
        raise ValueError(f"has {len(key)} bytes; {_SHORTEST} to {_LONGEST} are safe")
    return key


def signatures(keys: Sequence[bytes], message_id: str, timestamp: int, body: bytes) -> str:
    """The header `webhook-signature`: one signature a key, so that a receiver that knows the old
    or the new one is served. `timestamp` is in whole seconds since 1970."""
    content = f"{message_id}.{timestamp}.".encode() + body
    made = (hmac.digest(key, content, "sha256") for key in keys)
    return " ".join(f"v1,{base64.b64encode(one).decode()}" for one in made)
