"""What each kind of row says to which projection. One function a kind, over many rows at once.

Bodies are decoded into structs that have only what is needed here; the rest is skipped unread.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

import msgspec

from wayfare_engine.ledger import bodies
from wayfare_engine.ledger.row import Kind
from wayfare_engine.projections.blobs import BlobRow
from wayfare_engine.projections.prepared import Chunk, InnerRow, Prepared, microseconds
from wayfare_engine.projections.ranks import RECEIPTS, TASKS, outcome_rank

HOUR: Final = 3_600_000_000
DAY: Final = 86_400_000_000
#: The resolution of a merged row that is applied as its own kind; all others are only kept.
APPLIED: Final = "applied"


class _Winner(msgspec.Struct):
    journey: str


class _Decision(msgspec.Struct):
    customer: str
    winner: _Winner | None
    v: int = 1


class _Event(msgspec.Struct):
    customer: str
    name: str
    client_id: str | None = None
    v: int = 1


_decision = msgspec.json.Decoder(_Decision).decode
_event = msgspec.json.Decoder(_Event).decode
_DECISION: Final = bodies.BODIES.newest(Kind.DECISION)
_EVENT: Final = bodies.BODIES.newest(Kind.EVENT)


def _clean(text: str) -> str:
    """PostgreSQL has no text with a zero byte, and JSON has."""
    return text if "\x00" not in text else text.replace("\x00", "\ufffd")


def _moment(value: datetime | None) -> int | None:
    return None if value is None else microseconds(value)


def decisions(into: Prepared, chunk: Chunk) -> None:
    """A decision with a winner adds one to the customer's, journey's and day's counter."""
    counts = into.folds["counters"].states
    for customer, at, body in zip(chunk.customers, chunk.ats, chunk.bodies, strict=True):
        decision = _decision(body)
        if decision.v != _DECISION:
            decision = bodies.decode(Kind.DECISION, body)
        if decision.winner is not None:
            key = (customer or decision.customer, decision.winner.journey, at // DAY)
            counts[key] = counts.get(key, 0) + 1


def events(into: Prepared, chunk: Chunk) -> None:
    """An event adds one to its window, and stretches it; its sender's id is noted."""
    windows = into.folds["event_windows"].states
    sent = into.sent
    for row, customer, at, body in zip(
        chunk.ids, chunk.customers, chunk.ats, chunk.bodies, strict=True
    ):
        event = _event(body)
        if event.v != _EVENT:
            event = bodies.decode(Kind.EVENT, body)
        if event.client_id is not None:
            sent.append((event.client_id, row))
        key = (customer or event.customer, _clean(event.name), at - at % HOUR)
        window = windows.get(key)
        if window is None:
            windows[key] = [1, (at,), (at,)]
        else:
            window[0] += 1
            if at < window[1][0]:
                window[1] = (at,)
            elif at > window[2][0]:
                window[2] = (at,)


def intents(into: Prepared, chunk: Chunk) -> None:
    """The intent of the highest epoch stands."""
    add, epoch = into.folds["outbox"].add, chunk.epoch
    for row, customer, at, body in _attributed(into, chunk):
        said = bodies.decode(Kind.INTENT, body)
        part = (
            epoch,
            row,
            at,
            said.instance,
            said.journey,
            said.node,
            said.visit,
            said.channel,
            microseconds(said.due),
            _moment(said.expires),
            said.guard,
            bytes(said.payload).decode(),
            said.test or None,
            _plain(said.address),
        )
        add((said.send_key,), [(customer,), part, None, None, None, None])


def dispatches(into: Prepared, chunk: Chunk) -> None:
    """A dispatch makes a contact, and the one of the highest attempt stands in the outbox."""
    add, contact = into.folds["outbox"].add, into.folds["contacts"].add
    epoch, site = chunk.epoch, chunk.site
    for row, customer, at, body in _attributed(into, chunk):
        said = bodies.decode(Kind.DISPATCH, body)
        key = (said.send_key,)
        part = (said.attempt, epoch, row, at, site, said.channel, said.guard)
        add(key, [(customer,), None, part, None, None, (at,)])
        contact(key, (at, epoch, row, site, customer, said.channel))


def outcomes(into: Prepared, chunk: Chunk) -> None:
    """The outcome of the highest rank stands."""
    add, epoch = into.folds["outbox"].add, chunk.epoch
    for row, customer, at, body in _attributed(into, chunk):
        said = bodies.decode(Kind.OUTCOME, body)
        part = (
            outcome_rank(said.result, said.attempt),
            epoch,
            row,
            said.result,
            said.attempt,
            at,
            _clean(said.detail),
            _plain(said.provider_id),
            _plain(said.fallback),
            said.cause,
        )
        add((said.send_key,), [(customer,), None, None, part, None, None])


def rulings(into: Prepared, chunk: Chunk) -> None:
    """The last ruling stands; one that changes the send's outcome is among its outcomes, too."""
    add, ruled, epoch = into.folds["outbox"].add, into.folds["rulings"].add, chunk.epoch
    for row, customer, at, body in _attributed(into, chunk):
        said = bodies.decode(Kind.RULING, body)
        detail = _clean(said.detail)
        ruled(
            (said.send_key,),
            (
                epoch,
                said.number,
                row,
                customer,
                said.action,
                said.attempt,
                at,
                _clean(said.by),
                _clean(said.reason),
                _plain(said.statement),
                _moment(said.expires),
                said.outcome,
                said.ended,
                detail,
                said.cause,
            ),
        )
        if said.outcome is None:
            continue
        back = said.outcome == said.ended
        part = (
            outcome_rank(said.outcome, said.attempt),
            epoch,
            row,
            said.outcome,
            said.attempt,
            at,
            detail if back else "a person had it replayed",
            None,
            None,
            said.cause if back else None,
        )
        add((said.send_key,), [(customer,), None, None, part, None, None])


def receipts(into: Prepared, chunk: Chunk) -> None:
    """The receipt of the highest rank stands."""
    add = into.folds["outbox"].add
    for _, customer, at, body in _attributed(into, chunk):
        said = bodies.decode(Kind.RECEIPT, body)
        add(
            (said.send_key,),
            [(customer,), None, None, None, (RECEIPTS[said.state], at, said.state), None],
        )


def tasks(into: Prepared, chunk: Chunk) -> None:
    """The task of the highest epoch stands: a hand-over that was repeated makes the same again."""
    add, epoch = into.folds["tasks"].add, chunk.epoch
    for row, customer, at, body in _attributed(into, chunk):
        said = bodies.decode(Kind.TASK, body)
        part = (
            epoch,
            row,
            at,
            _clean(said.channel),
            bytes(said.script).decode(),
            msgspec.json.encode(said.outcomes).decode(),
            said.on_due,
            _plain(said.hand_back_to),
            _moment(said.expires),
        )
        add((said.send_key,), [(customer,), part, None])


def task_states(into: Prepared, chunk: Chunk) -> None:
    """The state of the highest rank, and then of the highest version, stands."""
    add, epoch = into.folds["tasks"].add, chunk.epoch
    versions = dict(zip(chunk.ids, chunk.versions, strict=True))
    for row, customer, at, body in _attributed(into, chunk):
        said = bodies.decode(Kind.TASK_STATE, body)
        part = (
            TASKS[said.state],
            versions[row] or 0,
            epoch,
            row,
            at,
            said.state,
            _clean(said.assignee),
            _moment(said.due),
            _plain(said.holder),
            _clean(said.by),
            _plain(said.outcome),
            bytes(said.note).decode(),
        )
        add((said.send_key,), [(customer,), None, part])


def transitions(into: Prepared, chunk: Chunk) -> None:
    """The highest version of an instance stands."""
    add, epoch = into.folds["journey_instances"].add, chunk.epoch
    versions = dict(zip(chunk.ids, chunk.versions, strict=True))
    for row, customer, _, body in _attributed(into, chunk):
        said = bodies.decode(Kind.TRANSITION, body)
        add(
            (said.instance,),
            (
                versions[row] or 0,
                epoch,
                row,
                customer,
                said.journey,
                said.node,
                said.visit,
                said.state,
                said.entry_key,
                _moment(said.due),
            ),
        )


def _versioned(
    name: str, kind: Kind, key: Callable[[Any, str], Any], *columns: str
) -> Callable[[Prepared, Chunk], None]:
    """A feed of a kind whose body gives the key, and some fields as they are."""

    def feed(into: Prepared, chunk: Chunk) -> None:
        add, epoch = into.folds[name].add, chunk.epoch
        for row, version, customer, body in zip(
            chunk.ids, chunk.versions, chunk.customers, chunk.bodies, strict=True
        ):
            said = bodies.decode(kind, body)
            whose = str(customer or getattr(said, "customer", ""))
            values = (_plain(getattr(said, column)) for column in columns)
            add(key(said, whose), (version or 0, epoch, row, *values))

    return feed


def _plain(value: Any) -> Any:
    if isinstance(value, msgspec.Raw):
        return bytes(value).decode()
    return _clean(value) if isinstance(value, str) else value


def id_blocks(into: Prepared, chunk: Chunk) -> None:
    """Who has which dense ids."""
    for body in chunk.bodies:
        block = bodies.decode(Kind.ID_BLOCK, body)
        into.id_blocks.append((block.first, block.size, chunk.site, chunk.epoch))


def blobs(into: Prepared, chunk: Chunk) -> None:
    """Applied by who knows the blob's content."""
    for row, body in zip(chunk.ids, chunk.bodies, strict=True):
        into.blobs.append(BlobRow(chunk.site, chunk.epoch, row, Kind(chunk.kind), body))


def erasures(into: Prepared, chunk: Chunk) -> None:
    """The customer's rows go, whenever they come."""
    into.exclusive = True
    for customer, body in zip(chunk.customers, chunk.bodies, strict=True):
        into.folds["erased"].states[(customer or bodies.decode(Kind.ERASURE, body).customer,)] = ()


def retentions(into: Prepared, chunk: Chunk) -> None:
    """The latest cutoff of a projection stands."""
    into.exclusive = True
    for body in chunk.bodies:
        said = bodies.decode(Kind.RETENTION, body)
        into.folds["retention_cutoffs"].add((said.projection,), (microseconds(said.before),))


def merged(into: Prepared, chunk: Chunk) -> None:
    """A row of another chain: noted once, and applied as its own kind where the merge says so."""
    for row, body in zip(chunk.ids, chunk.bodies, strict=True):
        said = bodies.decode(Kind.MERGED, body)
        origin = bytes.fromhex(said.origin_id.replace("-", ""))
        into.folds["merged_rows"].add(
            (origin,),
            (
                chunk.epoch,
                row,
                said.origin_site,
                said.origin_epoch,
                said.kind,
                said.resolution,
                said.rule,
            ),
        )
        if said.resolution != APPLIED:
            into.kept += 1
            continue
        into.exclusive = into.exclusive or said.kind in (Kind.ERASURE, Kind.RETENTION)
        into.inner[origin] = InnerRow(
            origin,
            said.kind,
            said.origin_site,
            said.origin_epoch,
            said.version if said.as_version is None else said.as_version,
            said.customer,
            microseconds(said.at),
            bytes(said.body),
        )


def merges(into: Prepared, chunk: Chunk) -> None:
    """A tail is merged once; the first row that says so stands."""
    for row, body in zip(chunk.ids, chunk.bodies, strict=True):
        said = bodies.decode(Kind.MERGE, body)
        into.folds["merges"].add(
            (said.digest,),
            (chunk.epoch, row, said.origin_site, said.origin_epoch, said.rows),
        )


def nothing(into: Prepared, chunk: Chunk) -> None:
    """Rows that are kept in the chain and change no table."""
    into.without_effect += len(chunk.ids)


def _attributed(into: Prepared, chunk: Chunk) -> Any:
    """(id, customer, at, body) of rows that name their customer; the others are counted.

    Without it nobody could tell, once the customer is erased, that the row was theirs.
    """
    rows = zip(chunk.ids, chunk.customers, chunk.ats, chunk.bodies, strict=True)
    if None not in chunk.customers:
        return rows
    named = [row for row in rows if row[1] is not None]
    into.unattributed += len(chunk.ids) - len(named)
    return named


FEEDS: dict[str, Callable[[Prepared, Chunk], None]] = {
    Kind.DECISION: decisions,
    Kind.EVENT: events,
    Kind.INTENT: intents,
    Kind.DISPATCH: dispatches,
    Kind.OUTCOME: outcomes,
    Kind.RECEIPT: receipts,
    Kind.RULING: rulings,
    Kind.TASK: tasks,
    Kind.TASK_STATE: task_states,
    Kind.TRANSITION: transitions,
    Kind.ATTRIBUTE: _versioned(
        "profile_changes", Kind.ATTRIBUTE, lambda said, whose: (whose, _clean(said.name)), "value"
    ),
    Kind.IDENTITY: _versioned(
        "identities",
        Kind.IDENTITY,
        lambda said, whose: (_clean(said.kind), _clean(said.value), whose),
    ),
    Kind.LIST_MEMBER: _versioned(
        "list_members", Kind.LIST_MEMBER, lambda said, whose: (_clean(said.list), whose), "member"
    ),
    Kind.OPT_OUT: _versioned(
        "opt_outs", Kind.OPT_OUT, lambda said, whose: (whose, _clean(said.channel)), "out"
    ),
    Kind.ASSIGNMENT: _versioned(
        "assignments", Kind.ASSIGNMENT, lambda said, whose: (_clean(said.experiment), whose), "arm"
    ),
    Kind.APPROVAL: _versioned(
        "approvals",
        Kind.APPROVAL,
        lambda said, _: (_clean(said.subject),),
        "decision",
        "by",
        "comment",
    ),
    Kind.LOAD: blobs,
    Kind.SEGMENT_REFRESH: blobs,
    Kind.ID_BLOCK: id_blocks,
    Kind.ERASURE: erasures,
    Kind.RETENTION: retentions,
    Kind.CHECKPOINT: nothing,
    Kind.MERGED: merged,
    Kind.MERGE: merges,
}
