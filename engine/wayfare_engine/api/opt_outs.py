"""`POST /v1/opt-outs`: what a customer wants no more, or wants again, as a person or a preference
centre says it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated

import msgspec

from wayfare_engine.api.events import acknowledged
from wayfare_engine.facts import Ack, CommittedWriter, Fact
from wayfare_engine.ledger.bodies import OptOut
from wayfare_engine.web.decoding import decoded, wrong_field

PATH = "/v1/opt-outs"
#: Opt-outs in one request.
MOST = 500
_AHEAD = timedelta(days=1)
_FIRST = datetime(1970, 1, 1, tzinfo=UTC)
_NAME = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_Id = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
_Text = Annotated[str, msgspec.Meta(max_length=256)]
_Channel = Annotated[
    str,
    msgspec.Meta(
        pattern=rf"^(\*|{_NAME}/{_NAME})$", description="NAMESPACE/NAME, or * for nothing at all"
    ),
]


class OptOutRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`out` true: nothing more through this channel; false: the customer wants it again. An opt-out
    of `*` is another one than that of a channel: each is taken back by itself. `by` says who said
    so, `reason` why. `at` is when (now, when it is not given)."""

    customer: _Id
    channel: _Channel
    out: bool
    by: _Text = ""
    reason: _Text = ""
    at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None


class OptOutAnswer(msgspec.Struct, frozen=True):
    """The row, and the version of (customer, channel) that it is."""

    id: str
    version: int | None


class OptOutsResponse(msgspec.Struct, frozen=True):
    """One answer an opt-out, in their order. All are committed."""

    opt_outs: list[OptOutAnswer]


_Batch = Annotated[list[OptOutRequest], msgspec.Meta(min_length=1, max_length=MOST)]
_request = msgspec.json.Decoder(OptOutRequest | _Batch)


async def write_opt_outs(
    raw: bytes, writer: CommittedWriter, clock: Callable[[], datetime]
) -> bytes:
    """Body of the answer, once all are committed: from then on no send's turn passes them. Raises
    Problem; nothing is acknowledged then."""
    done = await acknowledged(writer, decode(raw, clock()), ack=Ack.COMMITTED, wait_seconds=0.0)
    answers = [OptOutAnswer(str(one.id), one.version) for one in done.written]
    return msgspec.json.encode(OptOutsResponse(answers))


def decode(raw: bytes, now: datetime) -> list[Fact]:
    """One opt-out or an array of them, strictly; raises Problem 400 for what is no JSON and 422 for
    what is of another shape."""
    request = decoded(_request, raw)
    if isinstance(request, OptOutRequest):
        return [_fact(request, "$", now)]
    return [_fact(one, f"$[{place}]", now) for place, one in enumerate(request)]


def _fact(one: OptOutRequest, path: str, now: datetime) -> Fact:
    for name in ("customer", "by", "reason"):
        if any(char < " " for char in getattr(one, name)):
            raise wrong_field(f"{path}.{name}", "a control character cannot be part of it")
    if one.at is not None and not _FIRST <= one.at <= now + _AHEAD:
        raise wrong_field(f"{path}.at", "is before 1970, or more than a day in the future")
    body = OptOut(
        customer=one.customer, channel=one.channel, out=one.out, by=one.by, reason=one.reason
    )
    return Fact(body, one.at or now)
