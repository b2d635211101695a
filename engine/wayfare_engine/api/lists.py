"""`POST /v1/lists/{list}`: who is put on a list or taken off it. An Engine's governance names lists
of whom nobody contacts, and of those alone who are contacted."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated

import msgspec

from wayfare_engine.api.events import acknowledged
from wayfare_engine.facts import Ack, CommittedWriter, Fact
from wayfare_engine.ledger.bodies import ListMember
from wayfare_engine.web.decoding import decoded, wrong_field
from wayfare_engine.web.problems import FieldError, Problem

PATH = "/v1/lists/{name}"
#: Members in one request.
MOST = 500
_Id = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
_Name = Annotated[str, msgspec.Meta(pattern="^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]


class MemberRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`member` true: put on the list; false: taken off it."""

    customer: _Id
    member: bool


class MemberAnswer(msgspec.Struct, frozen=True):
    """The row, and the version of (list, customer) that it is."""

    id: str
    version: int | None


class MembersResponse(msgspec.Struct, frozen=True):
    """One answer a member, in their order. All are committed."""

    members: list[MemberAnswer]


_Batch = Annotated[list[MemberRequest], msgspec.Meta(min_length=1, max_length=MOST)]
_request = msgspec.json.Decoder(MemberRequest | _Batch)


async def write_members(
    raw: bytes, name: str, writer: CommittedWriter, clock: Callable[[], datetime]
) -> bytes:
    """Body of the answer, once all are committed: from then on each send's turn goes by it. Raises
    Problem; nothing is acknowledged then."""
    facts = decode(raw, name, clock())
    done = await acknowledged(writer, facts, ack=Ack.COMMITTED, wait_seconds=0.0)
    answers = [MemberAnswer(str(one.id), one.version) for one in done.written]
    return msgspec.json.encode(MembersResponse(answers))


def decode(raw: bytes, name: str, now: datetime) -> list[Fact]:
    """One member or an array of them, strictly; raises Problem 400 for what is no JSON, 404 for a
    name that no list can have, and 422 for what is of another shape."""
    try:
        msgspec.convert(name, _Name)
    except msgspec.ValidationError:
        detail = f"a list's name has small letters, digits and dashes, and {name!r} has not"
        raise Problem(404, "unknown-list", detail, (FieldError("name", "wrong"),)) from None
    request = decoded(_request, raw)
    if isinstance(request, MemberRequest):
        return [_fact(request, name, "$", now)]
    return [_fact(one, name, f"$[{place}]", now) for place, one in enumerate(request)]


def _fact(one: MemberRequest, name: str, path: str, now: datetime) -> Fact:
    if any(char < " " for char in one.customer):
        raise wrong_field(f"{path}.customer", "a control character cannot be part of it")
    return Fact(ListMember(list=name, customer=one.customer, member=one.member), now)
