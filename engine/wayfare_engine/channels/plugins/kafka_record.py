"""A record from a send."""

from __future__ import annotations

from typing import Any

import msgspec

from wayfare_engine.channels.contract import HandOver


class Value(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a record's value says, as JSON."""

    send_key: str
    customer: str
    channel: str
    site: str
    epoch: int
    attempt: int
    payload: dict[str, Any]
    address: str | None = None
    test: bool = False


def value(what: HandOver) -> bytes:
    """The record's value."""
    return msgspec.json.encode(
        Value(**{name: getattr(what, name) for name in Value.__struct_fields__})
    )


def headers(what: HandOver) -> list[tuple[str, str | bytes | None]]:
    """What readers need to know a repeat and an older epoch without reading the value."""
    return [
        ("wayfare-send-key", what.send_key.encode()),
        ("wayfare-epoch", str(what.epoch).encode()),
        ("wayfare-attempt", str(what.attempt).encode()),
        ("content-type", b"application/json"),
    ]
