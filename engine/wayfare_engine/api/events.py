"""`POST /v1/events`: what customers did, acknowledged once it is committed, or in the journal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import msgspec

from wayfare_engine.facts import Ack, Acknowledged, CommittedWriter, Fact, NotAcknowledged, Why
from wayfare_engine.ledger.bodies import Event
from wayfare_engine.web.decoding import MALFORMED, decoded, malformed, wrong_field, wrong_types
from wayfare_engine.web.problems import Problem

PATH = "/v1/events"
#: Events in one request.
MOST = 500
#: How far in the future an event's time may be: a sender's clock, not a plan.
_AHEAD = timedelta(days=1)
_FIRST = datetime(1970, 1, 1, tzinfo=UTC)

#: Kept as the bytes that came.
_Object = Annotated[msgspec.Raw, msgspec.Meta(extra_json_schema={"type": "object"})]
_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]


class EventRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a customer did. `at` is when (now, when it is not given); `client_id` is the sender's
    own id, by which a repeat is known."""

    customer: _Name
    name: _Name
    properties: _Object = msgspec.field(default_factory=lambda: msgspec.Raw(b"{}"))
    at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    client_id: _Name | None = None


class EventAnswer(msgspec.Struct, frozen=True):
    """The event's row; an earlier one when it is a repeat, and then nothing was written."""

    id: str
    repeat: bool


class EventsResponse(msgspec.Struct, frozen=True):
    """One answer an event, in their order; `ack` is how far they are known to have come."""

    ack: Ack
    events: list[EventAnswer]


_Batch = Annotated[list[EventRequest], msgspec.Meta(min_length=1, max_length=MOST)]
_request = msgspec.json.Decoder(EventRequest | _Batch)
_properties = msgspec.json.Decoder(dict[str, Any])
_PROBLEMS = {
    Why.BUSY: (503, "busy", b"1"),
    Why.AWAY: (503, "store-away", b"2"),
    Why.TIME: (503, "store-away", b"2"),
    Why.EPOCH: (503, "not-active", b"5"),
    Why.FAILED: (503, "store-away", b"5"),
    Why.REFUSED: (422, "refused", None),
}


async def write_events(
    raw: bytes,
    writer: CommittedWriter,
    *,
    ack: Ack,
    wait_seconds: float,
    clock: Callable[[], datetime],
) -> tuple[int, bytes]:
    """Status and body of the answer. 202 when the events are committed, and the journal did not
    have them within `wait_seconds`. Raises Problem; nothing is acknowledged then."""
    done = await acknowledged(writer, decode(raw, clock()), ack=ack, wait_seconds=wait_seconds)
    return (200 if done.ack is ack else 202), _answer(done)


async def acknowledged(
    writer: CommittedWriter, facts: Sequence[Fact], *, ack: Ack, wait_seconds: float
) -> Acknowledged:
    """Write them. Raises Problem; nothing is acknowledged then."""
    try:
        return await writer.write(facts, ack=ack, journal_seconds=wait_seconds)
    except NotAcknowledged as error:
        raise not_acknowledged(error) from None


def not_acknowledged(error: NotAcknowledged) -> Problem:
    """The problem of facts that are not known to be committed."""
    status, kind, again = _PROBLEMS[error.why]
    headers = ((b"retry-after", again),) if again else ()
    return Problem(status, kind, str(error), headers=headers)


def decode(raw: bytes, now: datetime) -> Sequence[Fact]:
    """One event or an array of them, strictly; raises Problem 400 for what is no JSON and 422 for
    what is of another shape."""
    request = decoded(_request, raw)
    if isinstance(request, EventRequest):
        return [_fact(request, "$", now)]
    return [_fact(event, f"$[{place}]", now) for place, event in enumerate(request)]


def _fact(event: EventRequest, path: str, now: datetime) -> Fact:
    try:
        _properties.decode(event.properties)
    except msgspec.ValidationError as error:
        raise wrong_types(error, f"{path}.properties") from None
    except MALFORMED as error:
        raise malformed(error) from None
    for name in ("customer", "name", "client_id"):
        if any(char < " " for char in getattr(event, name) or ""):
            raise wrong_field(f"{path}.{name}", "a control character cannot be part of it")
    if event.at is not None and not _FIRST <= event.at <= now + _AHEAD:
        raise wrong_field(f"{path}.at", "is before 1970, or more than a day in the future")
    return Fact(
        Event(
            customer=event.customer,
            name=event.name,
            properties=event.properties,
            client_id=event.client_id,
        ),
        event.at or now,
    )


def _answer(done: Acknowledged) -> bytes:
    answers = [EventAnswer(str(one.id), one.repeat) for one in done.written]
    return msgspec.json.encode(EventsResponse(done.ack, answers))
