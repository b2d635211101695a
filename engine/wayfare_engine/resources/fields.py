"""The small types that fields are made of. Every string has a longest length."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field, StringConstraints

MAX_RULE_LENGTH = 4096
"""Characters of one CEL rule."""

MAX_CONTENT_BYTES = 16 * 1024
"""Bytes of one node's content as compact JSON."""

_DURATION_PART = re.compile(r"([0-9]+)(ms|s|m|h|d)")
_UNIT_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def parse_duration(text: str) -> timedelta:
    """`1h30m`, `7d`, `250ms` as a timedelta. A day is 24 hours."""
    parts = _DURATION_PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{text!r} is not a duration such as 30s, 1h30m or 7d")
    return timedelta(seconds=sum(int(number) * _UNIT_SECONDS[unit] for number, unit in parts))


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"{name!r} is no time zone of the IANA database") from error
    return name


def _bounded_content(content: dict[str, Any]) -> dict[str, Any]:
    size = len(json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode())
    if size > MAX_CONTENT_BYTES:
        raise ValueError(f"is {size} bytes as JSON, and may have at most {MAX_CONTENT_BYTES}")
    return content


def _as_text(value: object) -> object:
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _clock_time(value: object) -> object:
    # YAML 1.1 readers, PyYAML among them, take an unquoted 21:00 for the number 21 * 60.
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 24 * 60:
        return f"{value // 60:02}:{value % 60:02}"
    return value


Label = Annotated[
    str,
    StringConstraints(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"),
]
"""A lower-case name: letters, digits and dashes, at most 63."""

ObjectName = Annotated[
    str,
    StringConstraints(min_length=1, max_length=253, pattern=r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$"),
]
"""The name of a Kubernetes object."""

Identifier = Annotated[
    str, StringConstraints(min_length=1, max_length=63, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
]
"""A word that CEL takes after a dot, as in `customer.age`."""

EventName = Annotated[
    str, StringConstraints(min_length=1, max_length=128, pattern=r"^[A-Za-z_][-A-Za-z0-9_.]*$")
]
CelRule = Annotated[str, StringConstraints(min_length=1, max_length=MAX_RULE_LENGTH)]
Description = Annotated[str, StringConstraints(max_length=2048)]
ShortText = Annotated[str, StringConstraints(min_length=1, max_length=256)]
CustomerId = Annotated[str, StringConstraints(min_length=1, max_length=128)]
Duration = Annotated[
    str,
    StringConstraints(min_length=2, max_length=32, pattern=r"^([0-9]{1,9}(ms|s|m|h|d))+$"),
]
ClockDuration = Annotated[
    str,
    StringConstraints(min_length=2, max_length=32, pattern=r"^([1-9][0-9]{0,5}(h|m|s|ms))+$"),
]
"""A duration above 0 that CEL reads as well: `12s`, `1h30m`. Days are written as hours."""

TimeOfDay = Annotated[
    str,
    StringConstraints(max_length=5, pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$"),
    BeforeValidator(_clock_time),
]
TimeZone = Annotated[
    str,
    StringConstraints(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_+/-]+$"),
    AfterValidator(_known_zone),
]
CronSchedule = Annotated[
    str,
    StringConstraints(
        min_length=6, max_length=128, pattern=r"^(@(hourly|daily|weekly|monthly)|(\S+\s+){4}\S+)$"
    ),
]
Quantity = Annotated[
    str,
    StringConstraints(
        min_length=1,
        max_length=32,
        pattern=r"^[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+|[numkMGTPE]|[KMGTPE]i)?$",
    ),
    BeforeValidator(_as_text),
    Field(
        json_schema_extra={
            "x-kubernetes-int-or-string": True,
            # The API server tries no pattern on what may be a number.
            "x-kubernetes-validations": [
                {
                    "rule": "type(self) == int ? self >= 0 : isQuantity(self) && "
                    "!quantity(self).isLessThan(quantity('0'))",
                    "message": "must be a quantity that is not negative, such as 500m or 2Gi",
                }
            ],
        }
    ),
]
"""A Kubernetes quantity such as `500m` or `2Gi`; always text here."""

StorageSize = Annotated[
    str,
    StringConstraints(min_length=2, max_length=32, pattern=r"^[1-9][0-9]*(Mi|Gi|Ti|M|G|T)$"),
]
Digest = Annotated[str, StringConstraints(max_length=71, pattern=r"^sha256:[0-9a-f]{64}$")]
Instant = Annotated[AwareDatetime, Field(json_schema_extra={"maxLength": 64})]
"""A moment in RFC 3339 with its offset."""

FreeObject = Annotated[
    dict[str, Any],
    Field(json_schema_extra={"x-kubernetes-preserve-unknown-fields": True}),
]
"""Any JSON object."""

Content = Annotated[FreeObject, AfterValidator(_bounded_content), Field(max_length=64)]
"""Any JSON object of at most 16 KiB."""


def list_map(*keys: str) -> dict[str, Any]:
    """A list whose entries are told apart, and merged by server-side apply, by `keys`."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)}


def atomic_list() -> dict[str, Any]:
    """A list that has one owner; none of its entries is tracked by itself."""
    return {"x-kubernetes-list-type": "atomic"}
