"""`GET` and `POST /v1/outbox/{channel}`: systems that cannot be called fetch what is for them, and
say what became of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
import psycopg
import structlog
from psycopg import AsyncConnection

from wayfare_engine.api.events import not_acknowledged
from wayfare_engine.content import Prepared, Renderer, RenderProblem
from wayfare_engine.facts import Ack, CommittedWriter, NotAcknowledged
from wayfare_engine.ledger import StaleEpoch
from wayfare_engine.metrics import PullMetrics
from wayfare_engine.outbox import acknowledging, fetching
from wayfare_engine.outbox.acknowledging import Acknowledgement, Known, Settled, Taken
from wayfare_engine.outbox.fetching import Given, NoSuchChannel, NotActing, RightToAct
from wayfare_engine.resources import parse_duration
from wayfare_engine.store.postgresql import Away, Postgresql
from wayfare_engine.web.decoding import decoded, wrong_field
from wayfare_engine.web.problems import Problem

log = structlog.get_logger(__name__)

PATH = "/v1/outbox/{channel:path}"
#: Sends in one answer, and acknowledgements in one call.
MOST = 500
SHORTEST_LEASE, LONGEST_LEASE = 1.0, 12 * 3600.0
_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
_Object = Annotated[msgspec.Raw, msgspec.Meta(extra_json_schema={"type": "object"})]


class OutboxSend(msgspec.Struct, frozen=True):
    """A send that is the caller's until `until`, under `lease`. `attempt` above 1: it may have been
    given to somebody before, with the same key. `content` is the message that the channel's
    template makes, or what was planned; `test`: no customer asked for it."""

    send_key: str
    lease: str
    until: datetime
    customer: str
    attempt: int
    due: datetime
    expires: datetime | None
    content: _Object
    address: str | None = None
    test: bool = False


class OutboxResponse(msgspec.Struct, frozen=True):
    """Throw the answer away, unread, when it came later than `within` seconds after the request was
    sent: those sends may be another site's by then."""

    within: float
    sends: list[OutboxSend]


class AcknowledgementRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What became of a send: `Accepted`: it took effect. `Rejected`: it did not and never will.
    `NotAccepted`: it did not, and may be tried again."""

    send_key: _Text
    lease: _Text
    result: acknowledging.Said
    provider_id: _Text | None = None
    detail: Annotated[str, msgspec.Meta(max_length=300)] = ""


class AcknowledgementAnswer(msgspec.Struct, frozen=True):
    """What became of an acknowledgement."""

    send_key: str
    taken: Taken


class AcknowledgementsResponse(msgspec.Struct, frozen=True):
    """One answer an acknowledgement, in their order."""

    acknowledgements: list[AcknowledgementAnswer]


_Batch = Annotated[list[AcknowledgementRequest], msgspec.Meta(min_length=1, max_length=MOST)]
_batch = msgspec.json.Decoder(_Batch)


def lease_seconds(text: str) -> float:
    """The seconds of a duration such as `30s`. Raises Problem 422."""
    try:
        seconds = parse_duration(text).total_seconds()
    except (ValueError, OverflowError):
        raise wrong_field("$.lease", "is no duration such as 30s, 5m or 1h30m") from None
    if not SHORTEST_LEASE <= seconds <= LONGEST_LEASE:
        raise wrong_field("$.lease", "is shorter than 1s, or longer than 12h")
    return seconds


async def fetch(
    channel: str,
    *,
    limit: int,
    seconds: float,
    within: float,
    postgresql: Postgresql,
    right: RightToAct,
    renderer: Callable[[str], Renderer | None],
    metrics: PullMetrics,
) -> bytes:
    """Body of the answer. Raises Problem; nothing is in the caller's hands then."""
    try:
        async with postgresql.connection() as connection:
            given = await fetching.give(
                connection, channel, right=right, limit=limit, seconds=seconds
            )
            sends = await _messages(connection, given, renderer(channel))
    except NoSuchChannel:
        raise _no_channel(channel) from None
    except (NotActing, StaleEpoch):
        raise not_active() from None
    except (*Away, psycopg.errors.ReadOnlySqlTransaction):
        raise store_away("PostgreSQL is away") from None
    metrics.fetched.labels(channel).inc(len(sends))
    return msgspec.json.encode(OutboxResponse(within, sends))


async def _messages(
    connection: AsyncConnection[Any], given: Sequence[Given], renderer: Renderer | None
) -> list[OutboxSend]:
    """Their messages, as far as they can be made. What cannot is not given: its offer lapses, and
    when its turn comes again that is known. Raises Problem when none could be made now."""
    if renderer is None:
        if any(one.rendered for one in given):
            await fetching.give_back(connection, given)
            raise _not_ready()
        return [_send(one, Prepared(one.payload)) for one in given]
    try:
        # A look-up may wait for PostgreSQL, and a template may take a moment.
        made = await asyncio.to_thread(_made, renderer, given)
    except Exception as error:
        await fetching.give_back(connection, given)
        log.exception("outbox.prepare")
        raise store_away(f"customers cannot be read now ({type(error).__name__})") from None
    await fetching.give_back(
        connection, [one for one, message in zip(given, made, strict=True) if message is None]
    )
    both = zip(given, made, strict=True)
    return [_send(one, message) for one, message in both if message is not None]


def _made(renderer: Renderer, given: Sequence[Given]) -> list[Prepared | None]:
    found: list[Prepared | None] = []
    for one in given:
        try:
            found.append(renderer.prepare(one))
        except RenderProblem as problem:
            log.info("outbox.not_said", send_key=one.send_key, problem=str(problem))
            found.append(None)
    return found


async def acknowledge(
    raw: bytes,
    channel: str,
    *,
    postgresql: Postgresql,
    writer: CommittedWriter,
    metrics: PullMetrics,
    clock: Callable[[], datetime],
) -> bytes:
    """Body of the answer, once every outcome is committed. Raises Problem."""
    said = decode(raw)
    now = clock()
    keys = [one.send_key for one in said]
    try:
        async with postgresql.connection() as connection:
            found = await acknowledging.known(connection, channel, keys)
            made = [
                acknowledging.settle(one, of, channel, now)
                for one, of in zip(said, found, strict=True)
            ]
            await acknowledging.prepare_turns(connection, made)
    except (*Away, psycopg.errors.ReadOnlySqlTransaction):
        raise store_away("PostgreSQL is away") from None
    repeats = await _write(writer, made, found, now)
    # Said and written; what is left to do here, a worker does as well, a little later.
    with contextlib.suppress(*Away, psycopg.Error):
        async with postgresql.connection() as connection:
            noted = zip(said, found, made, strict=True)
            await acknowledging.end_leases(
                connection,
                [(one, of) for one, of, what in noted if of and what.taken is Taken.NOTED],
            )
            await acknowledging.through(connection, keys)
    answers = []
    for one, what, repeat in zip(said, made, repeats, strict=True):
        taken = Taken.REPEAT if repeat else what.taken
        metrics.acknowledged.labels(channel, taken.value).inc()
        answers.append(AcknowledgementAnswer(one.send_key, taken))
    return msgspec.json.encode(AcknowledgementsResponse(answers))


async def _write(
    writer: CommittedWriter, made: Sequence[Settled], found: Sequence[Known | None], now: datetime
) -> list[bool]:
    """Write the outcomes; of each, whether it was a repeat."""
    facts = [
        acknowledging.fact(what, of, now) if of is not None else None
        for what, of in zip(made, found, strict=True)
    ]
    some = [fact for fact in facts if fact is not None]
    if not some:
        return [False] * len(facts)
    try:
        done = await writer.write(some, ack=Ack.COMMITTED)
    except NotAcknowledged as error:
        raise not_acknowledged(error) from None
    written = iter(done.written)
    return [fact is not None and next(written).repeat for fact in facts]


def decode(raw: bytes) -> list[Acknowledgement]:
    """An array of acknowledgements, each of another send. Raises Problem 400 and 422."""
    requests = decoded(_batch, raw)
    seen: set[str] = set()
    for place, one in enumerate(requests):
        for name in ("send_key", "lease", "provider_id", "detail"):
            if any(char < " " for char in getattr(one, name) or ""):
                raise wrong_field(f"$[{place}].{name}", "a control character cannot be part of it")
        if one.send_key in seen:
            raise wrong_field(f"$[{place}].send_key", "the call speaks of this send before")
        seen.add(one.send_key)
    return [
        Acknowledgement(one.send_key, one.lease, one.result, one.provider_id, one.detail)
        for one in requests
    ]


def _send(one: Given, message: Prepared) -> OutboxSend:
    return OutboxSend(
        send_key=one.send_key,
        lease=one.lease,
        until=one.until.astimezone(UTC),
        customer=one.customer,
        attempt=one.attempt,
        due=one.due.astimezone(UTC),
        expires=one.expires.astimezone(UTC) if one.expires else None,
        content=msgspec.Raw(message.payload_json.encode()),
        address=message.address or one.address,
        test=one.test,
    )


def _no_channel(channel: str) -> Problem:
    return Problem(
        404, "unknown-channel", f"no worker of this site has a channel {channel!r} that is pulled"
    )


def _not_ready() -> Problem:
    again = ((b"retry-after", b"2"),)
    return Problem(503, "not-ready", "no plan with this channel is loaded yet", headers=again)


def not_active() -> Problem:
    """503: this site, or this pod, may not act now."""
    again = ((b"retry-after", b"5"),)
    detail = "the right to act is not held here now; ask the site that acts, or again later"
    return Problem(503, "not-active", detail, headers=again)


def store_away(detail: str) -> Problem:
    """503: PostgreSQL is needed for this."""
    again = ((b"retry-after", b"2"),)
    return Problem(503, "store-away", f"{detail}; send the call again", headers=again)
