"""`/v1/tasks`: work items for people, and what they do with them."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, TypeVar

import msgspec
import psycopg

from wayfare_engine.ledger import StaleEpoch
from wayfare_engine.ledger.bodies import TaskState
from wayfare_engine.metrics import TaskMetrics
from wayfare_engine.store.postgresql import Away, Postgresql
from wayfare_engine.tasks import rules, storage
from wayfare_engine.tasks.rules import Conflict, NoSuchOutcome, Standing
from wayfare_engine.tasks.storage import NoSuchTask, Wanted
from wayfare_engine.web.decoding import decoded, wrong_field
from wayfare_engine.web.problems import Problem

PATH = "/v1/tasks"
#: Tasks in one answer.
MOST = 500
State = Literal["Open", "Taken", "Expired", "Closed"]
_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
_Note = Annotated[str, msgspec.Meta(max_length=4000)]
_Json = Annotated[msgspec.Raw, msgspec.Meta(extra_json_schema={})]


class TakeRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who takes it."""

    by: _Name


class ReturnRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who gives it back, and what others should know."""

    by: _Name
    note: _Note | None = None


class CloseRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who closes it, and how it ended: one of its `outcomes`."""

    by: _Name
    outcome: _Name
    note: _Note | None = None


class TaskAnswer(msgspec.Struct, frozen=True):
    """A task. `script` is what is to be done, `note` what was said of it last."""

    id: str
    customer: str
    channel: str
    assignee: str
    state: str
    script: _Json
    outcomes: tuple[str, ...]
    made_at: datetime
    changed_at: datetime
    due: datetime | None
    expires: datetime | None
    holder: str | None
    outcome: str | None
    note: _Json


class TasksResponse(msgspec.Struct, frozen=True):
    """Tasks in the order in which they are due. `next`: give it as `after` for those that follow;
    null: there were no more."""

    tasks: list[TaskAnswer]
    next: str | None


_take = msgspec.json.Decoder(TakeRequest)
_return = msgspec.json.Decoder(ReturnRequest)
_close = msgspec.json.Decoder(CloseRequest)
_T = TypeVar("_T")
Change = Callable[[Standing], TaskState | None]


def taking(raw: bytes) -> Change:
    """The change that a body of `/take` asks for. Raises Problem 400 and 422."""
    said = _decoded(_take, raw)
    return lambda task: rules.take(task, said.by)


def returning(raw: bytes) -> Change:
    """The same of `/return`."""
    said = _decoded(_return, raw)
    return lambda task: rules.give_back(task, said.by, _json(said.note))


def closing(raw: bytes) -> Change:
    """The same of `/close`."""
    said = _decoded(_close, raw)
    return lambda task: rules.close(task, said.by, said.outcome, _json(said.note))


async def listed(postgresql: Postgresql, wanted: Wanted) -> bytes:
    """Body of the answer. Raises Problem."""
    for name in ("assignee", "customer", "after"):
        if "\0" in (getattr(wanted, name) or ""):
            raise wrong_field(f"$.{name}", "a control character cannot be part of it")
    try:
        async with postgresql.connection() as connection:
            found = await storage.page(connection, wanted)
    except NoSuchTask:
        raise wrong_field("$.after", "is no task: give the `next` of an answer") from None
    except Away:
        raise _away() from None
    more = found[-1].send_key if len(found) == wanted.limit else None
    return msgspec.json.encode(TasksResponse([shown(task) for task in found], more))


async def read(postgresql: Postgresql, task_id: str) -> bytes:
    """Body of the answer. Raises Problem."""
    try:
        async with postgresql.connection() as connection:
            return msgspec.json.encode(shown(await storage.one(connection, task_id)))
    except NoSuchTask:
        raise _unknown() from None
    except Away:
        raise _away() from None


async def change(
    postgresql: Postgresql,
    task_id: str,
    to: Change,
    *,
    action: str,
    site: str,
    ids: Callable[[], uuid.UUID],
    clock: Callable[[], datetime],
    metrics: TaskMetrics,
) -> bytes:
    """Body of the answer, once it is committed. Raises Problem."""
    try:
        async with postgresql.connection() as connection:
            task, written = await storage.change(
                connection, task_id, to, site=site, ids=ids, now=clock()
            )
    except NoSuchTask:
        raise _unknown() from None
    except Conflict as error:
        metrics.changes.labels(action, "conflict").inc()
        raise Problem(409, error.kind, str(error)) from None
    except NoSuchOutcome as error:
        raise wrong_field("$.outcome", str(error)) from None
    except StaleEpoch:
        again = ((b"retry-after", b"5"),)
        detail = "the right to act is not held here now; ask the site that acts, or again later"
        raise Problem(503, "not-active", detail, headers=again) from None
    except (*Away, psycopg.errors.ReadOnlySqlTransaction):
        raise _away() from None
    metrics.changes.labels(action, "written" if written else "repeat").inc()
    return msgspec.json.encode(shown(task))


def _decoded(decoder: msgspec.json.Decoder[_T], raw: bytes) -> _T:
    said = decoded(decoder, raw)
    for name, most in (("by", " "), ("outcome", " "), ("note", "\x01")):
        text: Any = getattr(said, name, None)
        if any(char < most for char in text or ""):
            raise wrong_field(f"$.{name}", "a control character cannot be part of it")
    return said


def _json(note: str | None) -> str:
    return msgspec.json.encode(note).decode()


def shown(task: Standing) -> TaskAnswer:
    """A task as it is answered."""
    return TaskAnswer(
        id=task.send_key,
        customer=task.customer,
        channel=task.channel,
        assignee=task.assignee,
        state=task.state,
        script=msgspec.Raw(task.script.encode()),
        outcomes=task.ends,
        made_at=task.made_at.astimezone(UTC),
        changed_at=task.changed_at.astimezone(UTC),
        due=task.due.astimezone(UTC) if task.due else None,
        expires=task.expires.astimezone(UTC) if task.expires else None,
        holder=task.holder,
        outcome=task.outcome,
        note=msgspec.Raw(task.note.encode()),
    )


def _unknown() -> Problem:
    return Problem(404, "unknown-task", "there is no such task here")


def _away() -> Problem:
    again = ((b"retry-after", b"2"),)
    detail = "PostgreSQL is away; send the call again: what was done already is told as it stands"
    return Problem(503, "store-away", detail, headers=again)
