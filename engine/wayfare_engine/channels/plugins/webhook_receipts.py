"""What the receiver of `webhook` tells later: a callback signed after Standard Webhooks, whose body
is one receipt or an array of them.

    {"state": "delivered", "send_key": "9f2c…", "at": "2026-11-20T08:00:00Z"}
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated

import msgspec

from wayfare_engine.channels.contract import Callback, Receipt, SendKey, ShortText, State
from wayfare_engine.channels.plugins.signing import signatures

STATES: tuple[State, ...] = (
    "accepted",
    "sent",
    "delivered",
    "read",
    "clicked",
    "bounced",
    "complained",
    "failed",
    "expired",
)
#: How far a call's time may be from ours, in seconds, either way: the specification's.
_TOLERANCE = 300.0
_MOST = 500


class _Said(msgspec.Struct, frozen=True):
    state: State
    send_key: SendKey | None = None
    provider_id: ShortText | None = None
    at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    detail: ShortText = ""
    opt_out: bool = False


_Batch = Annotated[list[_Said], msgspec.Meta(max_length=_MOST)]
_body = msgspec.json.Decoder(_Said | _Batch)


def receipts(callback: Callback, keys: Sequence[bytes], now: float) -> list[Receipt]:
    """The receipts in a call that one of `keys` signed at about `now` (seconds since 1970); a time
    that is not given is the call's. Raises ValueError, and tells nothing of the keys."""
    at = _signed_at(callback.headers, callback.body.encode(), keys, now)
    found = _body.decode(callback.body)
    some = found if isinstance(found, list) else [found]
    return [_receipt(one, at) for one in some]


def _signed_at(
    headers: Mapping[str, str], body: bytes, keys: Sequence[bytes], now: float
) -> datetime:
    named = {name.lower(): value for name, value in headers.items()}
    call, stamp, given = (
        named.get(f"webhook-{name}", "") for name in ("id", "timestamp", "signature")
    )
    if not (stamp.isascii() and stamp.isdecimal() and len(stamp) <= 12):
        raise ValueError("webhook-timestamp is no number of seconds")
    wanted = signatures(keys, call, int(stamp), body).encode().split()
    # Every one is compared, in constant time.
    fits = [hmac.compare_digest(one, other) for one in wanted for other in given.encode().split()]
    if not call or not any(fits):
        raise ValueError("no signature fits")
    if abs(now - int(stamp)) > _TOLERANCE:
        raise ValueError("the call may be a repeat")
    return datetime.fromtimestamp(int(stamp), UTC)


def _receipt(one: _Said, at: datetime) -> Receipt:
    if one.send_key is None and one.provider_id is None:
        raise ValueError("a receipt names no send")
    return Receipt(
        state=one.state,
        at=one.at or at,
        send_key=one.send_key,
        provider_id=one.provider_id,
        detail=one.detail,
        opt_out=one.opt_out,
    )
