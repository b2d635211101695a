"""`POST /v1/sends`: messages that a caller asks for, planned once by the caller's own key."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import msgspec
import psycopg
import structlog

from wayfare_engine.ledger import StaleEpoch
from wayfare_engine.outbox.plan import PlannedSend
from wayfare_engine.outbox.plan_async import plan_send_async
from wayfare_engine.resources import parse_duration
from wayfare_engine.store.postgresql import Away, Postgresql
from wayfare_engine.web.decoding import MALFORMED, decoded, malformed, wrong_field, wrong_types
from wayfare_engine.web.problems import Problem

log = structlog.get_logger(__name__)

PATH = "/v1/sends"
#: Sends in one request, and bytes of one send's content.
MOST, MOST_CONTENT = 1000, 16 * 1024
NODE = "send"
_AHEAD = timedelta(days=366)
_FIRST = datetime(1970, 1, 1, tzinfo=UTC)

_Object = Annotated[msgspec.Raw, msgspec.Meta(extra_json_schema={"type": "object"})]
_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
_Time = Annotated[datetime, msgspec.Meta(tz=True)]


class SendRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A message to one customer. `key` is the caller's own: with the same journey, customer and key
    it is the same send, however often it is asked for. `due` is when (now, when it is not given);
    it is not sent any more after `expires`, or so long after it is due (`expires_after`: 30m, 2h).

    `test`: no customer asked for it; only a test may have its own `address`.
    """

    channel: Annotated[str, msgspec.Meta(min_length=1, max_length=253)]
    customer_id: _Name
    key: Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
    content: _Object = msgspec.field(default_factory=lambda: msgspec.Raw(b"{}"))
    due: _Time | None = None
    expires: _Time | None = None
    expires_after: Annotated[str, msgspec.Meta(max_length=32)] | None = None
    test: bool = False
    address: Annotated[str, msgspec.Meta(min_length=1, max_length=1024)] | None = None
    journey: _Name = "api"


class SendAnswer(msgspec.Struct, frozen=True):
    """The send's key, by which it can be asked for. `new` false: it was planned before, and what
    was said then stands."""

    send_key: str
    new: bool


class SendsResponse(msgspec.Struct, frozen=True):
    """One answer a send, in their order. All are committed."""

    sends: list[SendAnswer]


_Batch = Annotated[list[SendRequest], msgspec.Meta(min_length=1, max_length=MOST)]
_request = msgspec.json.Decoder(SendRequest | _Batch)
_content = msgspec.json.Decoder(dict[str, Any])


async def write_sends(
    raw: bytes,
    *,
    postgresql: Postgresql,
    channels: Collection[str],
    site: str,
    ids: Callable[[], uuid.UUID],
    clock: Callable[[], datetime],
) -> bytes:
    """Body of the answer, once all are committed. Raises Problem; a caller who sends the same again
    then plans nothing twice."""
    sends = decode(raw, channels, clock())
    try:
        async with postgresql.connection() as connection:
            new = await plan_send_async(connection, sends, site=site, ids=ids, clock=clock)
    except Away:
        raise _again("store-away", "PostgreSQL is away", b"2") from None
    except StaleEpoch:
        told = "this site does not hold the right to act"
        raise _again("not-active", told, b"5") from None
    except psycopg.Error as error:  # read-only, not migrated yet, a value that it does not take
        log.error("sends.failed", error=str(error).partition("\n")[0])
        raise _again("store-away", "PostgreSQL cannot write now", b"5") from None
    answers = []
    for send in sends:
        answers.append(SendAnswer(send.key, send.key in new))
        new = new - {send.key}
    return msgspec.json.encode(SendsResponse(answers))


def decode(raw: bytes, channels: Collection[str], now: datetime) -> Sequence[PlannedSend]:
    """One send or an array of them, strictly; raises Problem 400 for what is no JSON and 422 for
    what is of another shape, or names a channel that there is not."""
    request = decoded(_request, raw)
    if isinstance(request, SendRequest):
        return [_planned(request, "$", channels, now)]
    return [_planned(one, f"$[{place}]", channels, now) for place, one in enumerate(request)]


def known_channel(name: str, path: str, channels: Collection[str]) -> None:
    """Raises Problem 422 with the names that there are."""
    if name not in channels:
        there = ", ".join(sorted(channels)[:100]) or "none"
        raise wrong_field(path, f"there is no channel {name!r}; there are: {there}")


def checked_content(content: msgspec.Raw, path: str) -> str:
    """The content as JSON text; raises Problem."""
    try:
        _content.decode(content)
    except msgspec.ValidationError as error:
        raise wrong_types(error, path) from None
    except MALFORMED as error:
        raise malformed(error) from None
    if len(content) > MOST_CONTENT:
        raise wrong_field(path, f"is longer than {MOST_CONTENT} bytes")
    return bytes(content).decode()


def _planned(one: SendRequest, path: str, channels: Collection[str], now: datetime) -> PlannedSend:
    known_channel(one.channel, f"{path}.channel", channels)
    for name in ("customer_id", "key", "journey", "address"):
        if any(char < " " for char in getattr(one, name) or ""):
            raise wrong_field(f"{path}.{name}", "a control character cannot be part of it")
    if one.address is not None and not one.test:
        raise wrong_field(
            f"{path}.address", "only a test has an address of its own: others go to the customer's"
        )
    due = one.due or now
    if not _FIRST <= due <= now + _AHEAD:
        raise wrong_field(f"{path}.due", "is before 1970, or more than a year in the future")
    return PlannedSend(
        journey=one.journey,
        customer=one.customer_id,
        entry_key=one.key,
        node=NODE,
        visit=1,
        channel=one.channel,
        due=due,
        expires=_expires(one, path, due, now),
        payload=checked_content(one.content, f"{path}.content"),
        test=one.test,
        address=one.address,
    )


def _expires(one: SendRequest, path: str, due: datetime, now: datetime) -> datetime | None:
    if one.expires is not None and one.expires_after is not None:
        raise wrong_field(f"{path}.expires_after", "give expires or expires_after, not both")
    end = one.expires
    if one.expires_after is not None:
        try:
            end = due + parse_duration(one.expires_after)
        except (ValueError, OverflowError):
            told = f"{one.expires_after!r} is not a duration such as 30s, 1h30m or 7d"
            raise wrong_field(f"{path}.expires_after", told) from None
    if end is not None and (end <= due or end <= now):
        raise wrong_field(f"{path}.expires", "is over before it can be sent")
    return end


def _again(kind: str, detail: str, seconds: bytes) -> Problem:
    told = f"{detail}; send the call again, with the same keys"
    return Problem(503, kind, told, headers=((b"retry-after", seconds),))
