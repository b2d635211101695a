"""`POST /v1/receipts/{channel}`: what a provider says later of sends, signed with the channel's
secret."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import msgspec
import structlog

from wayfare_engine.channels.contract import State
from wayfare_engine.facts import Ack, CommittedWriter, NotAcknowledged
from wayfare_engine.metrics import ReceiptMetrics
from wayfare_engine.receipts import matching, signatures
from wayfare_engine.receipts.matching import Said
from wayfare_engine.store.postgresql import Away, Postgresql
from wayfare_engine.web.decoding import decoded, wrong_field
from wayfare_engine.web.problems import Problem

log = structlog.get_logger(__name__)

PATH = "/v1/receipts/{channel:path}"
#: Receipts in one call.
MOST = 500
_AHEAD = timedelta(days=1)
_FIRST = datetime(1970, 1, 1, tzinfo=UTC)
_Id = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]


class ReceiptRequest(msgspec.Struct, frozen=True):
    """What became of a send. It is named by our key, which the hand-over carried, or by the
    provider's own name for it, which the answer to the hand-over carried."""

    state: State
    send_key: _Id | None = None
    provider_id: _Id | None = None
    at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    detail: Annotated[str, msgspec.Meta(max_length=1024)] = ""
    opt_out: bool = False


class ReceiptAnswer(msgspec.Struct, frozen=True):
    """`matched`: the send is known here. `repeat`: it had come to this state before."""

    matched: bool
    repeat: bool


class ReceiptsResponse(msgspec.Struct, frozen=True):
    """One answer a receipt, in their order. All are kept, those that match nothing yet as well."""

    receipts: list[ReceiptAnswer]


_Batch = Annotated[list[ReceiptRequest], msgspec.Meta(min_length=1, max_length=MOST)]
_request = msgspec.json.Decoder(ReceiptRequest | _Batch)


def require_signed(
    folder: Path | None, channel: str, headers: Mapping[str, str], body: bytes, now: datetime
) -> None:
    """Let a call of the channel's provider go on. Raises Problem 401; the same for a channel that
    takes no receipts or does not exist. `headers` have names in lower case."""
    try:
        keys = signatures.secrets(folder, channel) if folder is not None else []
        signatures.require(signatures.signed(headers), body, keys, now)
    except signatures.Refused as refused:
        raise Problem(401, "not-authenticated", str(refused)) from None
    except (signatures.BadSecret, OSError) as error:
        log.error("receipts.secret", channel=channel, error=str(error))
        raise Problem(503, "misconfigured", "the channel's secrets cannot be read") from None


async def write_receipts(
    raw: bytes,
    channel: str,
    *,
    postgresql: Postgresql,
    writer: CommittedWriter,
    metrics: ReceiptMetrics,
    clock: Callable[[], datetime],
) -> bytes:
    """Body of the answer, once everything is committed. Raises Problem."""
    answers = await write_said(
        decode(raw, channel, clock()),
        channel,
        postgresql=postgresql,
        writer=writer,
        metrics=metrics,
    )
    return receipts_answer(answers)


def receipts_answer(answers: list[ReceiptAnswer]) -> bytes:
    """Body of the answer."""
    return msgspec.json.encode(ReceiptsResponse(answers))


async def write_said(
    some: list[Said],
    channel: str,
    *,
    postgresql: Postgresql,
    writer: CommittedWriter,
    metrics: ReceiptMetrics,
) -> list[ReceiptAnswer]:
    """Match, keep and write at most MOST receipts; an answer each, once everything is committed.
    Raises Problem."""
    try:
        async with postgresql.connection() as connection:
            found = await matching.match(connection, some)
            await matching.keep(
                connection,
                [one for one, of in zip(some, found, strict=True) if of is None],
            )
            made = await matching.facts(connection, some, found)
    except Away:
        raise _away("PostgreSQL is away") from None
    facts = [fact for its in made for fact in its]
    try:
        done = await writer.write(facts, ack=Ack.COMMITTED) if facts else None
    except NotAcknowledged as error:
        raise _away(str(error)) from None
    written = iter(done.written if done is not None else ())
    answers = []
    for its in made:
        mine = [next(written) for _ in its]
        answer = ReceiptAnswer(bool(its), bool(mine) and mine[0].repeat)
        metrics.receipts.labels(channel, _counted(answer)).inc()
        answers.append(answer)
    return answers


def decode(raw: bytes, channel: str, now: datetime) -> list[Said]:
    """One receipt or an array of them; raises Problem 400 for what is no JSON and 422 for what is
    of another shape. Fields that are not known are ignored."""
    request = decoded(_request, raw)
    if isinstance(request, ReceiptRequest):
        return [said(request, channel, "$", now)]
    return [said(one, channel, f"$[{place}]", now) for place, one in enumerate(request)]


def said(one: ReceiptRequest, channel: str, path: str, now: datetime) -> Said:
    """A receipt that can be written. Raises Problem 422."""
    if one.send_key is None and one.provider_id is None:
        raise wrong_field(path, "name the send: send_key, or provider_id")
    for name in ("send_key", "provider_id", "detail"):
        if any(char < " " for char in getattr(one, name) or ""):
            raise wrong_field(f"{path}.{name}", "a control character cannot be part of it")
    if one.at is not None and not _FIRST <= one.at <= now + _AHEAD:
        raise wrong_field(f"{path}.at", "is before 1970, or more than a day in the future")
    return Said(
        channel, one.state, one.at or now, one.send_key, one.provider_id, one.detail, one.opt_out
    )


def _away(detail: str) -> Problem:
    again = ((b"retry-after", b"2"),)
    return Problem(503, "store-away", f"{detail}; send the call again", headers=again)


def _counted(answer: ReceiptAnswer) -> str:
    if not answer.matched:
        return "unmatched"
    return "repeat" if answer.repeat else "written"
