"""Envelopes: `{kid, nonce, ciphertext}` in place of a value, by AES-256-GCM.

The customer's id and the field's name are bound to it, so an envelope moved elsewhere does not
open. In JSON the parts are base64; in columns they are bytes.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from wayfare_engine.errors import SaidToPeople


@dataclass(frozen=True)
class Erased:
    """In place of a value: the key is gone, and the value with it."""

    kid: str


@dataclass(eq=False)
class EnvelopeDamaged(SaidToPeople):
    """The key is there and the envelope does not open: other bytes, customer or field."""

    customer: str
    field: str

    def __str__(self) -> str:
        return (
            f"the sealed value of {self.field!r} of customer {self.customer!r} was changed, or "
            "belongs to another customer or field"
        )


class Envelope(NamedTuple):
    """16, 12 and 16 + n bytes."""

    kid: bytes
    nonce: bytes
    ciphertext: bytes

    def as_json(self) -> dict[str, str]:
        """As it stands in bodies."""
        return {part: base64.b64encode(getattr(self, part)).decode() for part in self._fields}


def seal(
    value: bytes, customer: str, field: str, *, kid: bytes, key: bytes, nonce: bytes
) -> Envelope:
    """Seal a value, given as JSON text. `nonce`: 12 random bytes, never the same twice."""
    return Envelope(kid, nonce, AESGCM(key).encrypt(nonce, value, _bound(customer, field)))


def open_envelope(
    envelope: Envelope, customer: str, field: str, key_of: Callable[[bytes], bytes | None]
) -> bytes | Erased:
    """The value as JSON text, or Erased when `key_of` has its key no more.

    Raises EnvelopeDamaged, and what `key_of` raises.
    """
    key = key_of(envelope.kid)
    if key is None:
        return Erased(envelope.kid.hex())
    try:
        return AESGCM(key).decrypt(envelope.nonce, envelope.ciphertext, _bound(customer, field))
    except InvalidTag:
        raise EnvelopeDamaged(customer, field) from None


def read_envelope(json: bytes) -> Envelope | None:
    """The envelope that a JSON value is, or None when it is none."""
    if not json.startswith(b"{"):
        return None
    try:
        found: Mapping[str, str] = msgspec.json.decode(json, type=dict[str, str])
        if found.keys() != set(Envelope._fields):
            return None
        parts = Envelope(*(base64.b64decode(found[p], validate=True) for p in Envelope._fields))
    except ValueError:  # msgspec's and base64's errors are
        return None
    return parts if len(parts.kid) == 16 and len(parts.nonce) == 12 else None


def _bound(customer: str, field: str) -> bytes:
    return msgspec.json.encode([customer, field])
