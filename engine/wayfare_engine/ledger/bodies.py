"""The bodies of rows, a kind each: what is written today, and every shape that was ever written.

How versions work is in `ledger.versions`. Fields that may hold what is sensitive are `Raw`: JSON as
it came, or an envelope `{kid, nonce, ciphertext}` (see `privacy`).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec

from wayfare_engine.channels.contract import State
from wayfare_engine.ledger.row import Kind
from wayfare_engine.ledger.versions import Bodies, Body, NewerBody, WrongBody, encode

__all__ = ["BODIES", "Body", "NewerBody", "WrongBody", "decode", "encode"]

Raw = msgspec.Raw


class Winner(msgspec.Struct, frozen=True):
    """Who won a slot."""

    journey: str
    node: str


class Decision(Body, kw_only=True, frozen=True):
    """All that it takes to decide again and to explain. `row` is the membership row in hex,
    `open_channels` those of the slot's channels through which nothing left then."""

    customer: str
    slot: str
    context: Raw
    at: datetime
    plan: str
    customers_version: int
    winner: Winner | None
    reason: str
    degraded: tuple[str, ...]
    row: str
    open_channels: tuple[str, ...] = ()


class Event(Body, kw_only=True, frozen=True):
    """What a customer did. `client_id` is the sender's own id, for its repeats."""

    customer: str
    name: str
    properties: Raw = Raw(b"{}")
    client_id: str | None = None


Guard = Literal["Journaled", "Local"]


class Intent(Body, kw_only=True, frozen=True):
    """A planned send; `send_key` is unique for (instance, node, visit), wherever it fires.

    `test` marks what no customer asked for; only a test has its own `address`.
    """

    send_key: str
    instance: str
    journey: str
    node: str
    visit: int
    channel: str
    due: datetime
    expires: datetime | None = None
    guard: Guard = "Journaled"
    payload: Raw = Raw(b"{}")
    test: bool = False
    address: str | None = None


class Dispatch(Body, kw_only=True, frozen=True):
    """The turn of a send has come. With guard `Journaled` it is in the store before it leaves."""

    send_key: str
    attempt: int
    channel: str
    guard: Guard = "Journaled"


#: Why a send ended without effect. `Channel`: its channel refused it for good. `GivenUp`: it was
#: not accepted for too long. `Waited`: it expired, and no rule had held it back. `Rule`: what was
#: asked when its turn came forbids it (an opt-out, a list, a cap or quiet hours until it expired).
Cause = Literal["Channel", "GivenUp", "Waited", "Rule"]


class Outcome(Body, kw_only=True, frozen=True):
    """How a hand-over ended. `Unknown` is final for what cannot be deduplicated or asked.

    `fallback` is the channel that the send goes on through, when it is not the planned one.
    `cause` goes with Rejected and Expired.
    """

    send_key: str
    attempt: int
    result: Literal["Accepted", "Rejected", "NotAccepted", "Unknown", "Expired", "Held"]
    detail: str = ""
    provider_id: str | None = None
    fallback: str | None = None
    cause: Cause | None = None


class Ruling(Body, kw_only=True, frozen=True):
    """A person's word on a send that ended without effect, or of which nobody knows.

    `Replay`: it has its turn again, under its own key; `statement` says of an `Unknown` one why it
    is certain that it took no effect. `Drop`: nothing more is to be done about it. `Undo` takes the
    ruling before it back. `number` counts the rulings on a send, and is given under its row's lock.

    `attempt` is the outcome's that stands after it: for `Drop`, of the end that is meant. `outcome`
    is what the send's outcome is from then on, None where it stays. `ended`, `detail` and `cause`
    are how the send had ended. With `expires` it expires then.
    """

    send_key: str
    number: int
    action: Literal["Replay", "Drop", "Undo"]
    attempt: int
    by: str
    reason: str
    statement: str | None = None
    expires: datetime | None = None
    outcome: Literal["NotAccepted", "Rejected", "Expired", "Unknown"] | None = None
    ended: Literal["Rejected", "Expired", "Unknown"]
    detail: str = ""
    cause: Cause | None = None


class Receipt(Body, kw_only=True, frozen=True):
    """What a provider told of a send later."""

    send_key: str
    state: State
    provider_id: str | None = None


class Task(Body, kw_only=True, frozen=True):
    """A work item for a person: the send that it is, what is to be done, and how it may end.

    `on_due` says what becomes of it when nobody closed it in time; `hand_back_to` who has it then.
    """

    send_key: str
    channel: str
    outcomes: tuple[str, ...]
    script: Raw = Raw(b"{}")
    on_due: Literal["Expire", "HandBack"] = "Expire"
    hand_back_to: str | None = None
    expires: datetime | None = None


class TaskState(Body, kw_only=True, frozen=True):
    """Where a task stands, and who brought it there (`by`, empty when time did). Key: the send."""

    send_key: str
    state: Literal["Open", "Taken", "Expired", "Closed"]
    assignee: str
    due: datetime | None = None
    holder: str | None = None
    by: str = ""
    outcome: str | None = None
    note: Raw = Raw(b"null")


class Transition(Body, kw_only=True, frozen=True):
    """A journey instance came to a node. Row key: the instance."""

    instance: str
    journey: str
    node: str
    visit: int
    state: Literal["Active", "Waiting", "Completed", "Exited"]
    entry_key: str = ""
    due: datetime | None = None


class AttributeChange(Body, kw_only=True, frozen=True):
    """One attribute of one customer. Row key: `<customer>/<name>`."""

    customer: str
    name: str
    value: Raw


class Identity(Body, kw_only=True, frozen=True):
    """An identifier that leads to a customer. Row key: `<kind>:<value>`."""

    kind: str
    value: str
    customer: str


class ListMember(Body, kw_only=True, frozen=True):
    """Put on or taken off a list. Row key: `<list>/<customer>`."""

    list: str
    customer: str
    member: bool


class OptOut(Body, kw_only=True, frozen=True):
    """What a customer wants no more (channel `*`: nothing at all). Key: `<customer>/<channel>`.

    `by` and `reason` are a person's word, where a person wrote it.
    """

    customer: str
    channel: str
    out: bool
    by: str = ""
    reason: str = ""


class Assignment(Body, kw_only=True, frozen=True):
    """The arm of an experiment that a customer has. Row key: `<experiment>/<customer>`."""

    experiment: str
    customer: str
    arm: str


class Approval(Body, kw_only=True, frozen=True):
    """Somebody's word on something. Row key: `subject`."""

    subject: str
    decision: Literal["Approved", "Rejected", "Withdrawn"]
    by: str
    comment: str = ""


class Load(Body, kw_only=True, frozen=True):
    """A bulk load of customers: what it holds is the blob. `as_of` is when the source was read.

    mapping: the file's columns and their types. columns: those of all customers after it, and
    sensitive those of them that are sealed. capacity: one more than the largest dense id.
    """

    file: str
    digest: str
    rows: int
    bad_rows: int
    id: str | None
    mapping: dict[str, str]
    added: int
    changed: int
    as_of: datetime
    customers_version: int
    blob: str | None = None
    customers: int | None = None
    capacity: int | None = None
    columns: dict[str, str] | None = None
    sensitive: tuple[str, ...] = ()


class SegmentRefresh(Body, kw_only=True, frozen=True):
    """Who is in a segment now: `blob` holds the serialized roaring bitmap."""

    name: str
    key: str
    size: int
    digest: str
    as_of: datetime
    customers_version: int
    blob: str | None = None


class IdBlock(Body, kw_only=True, frozen=True):
    """Dense ids `first .. first + size - 1` belong to this site and epoch."""

    first: int
    size: int


class Erasure(Body, kw_only=True, frozen=True):
    """A customer was erased and the keys `kids` were destroyed; `reason` is a person's word."""

    customer: str
    kids: tuple[str, ...] = ()
    reason: str = ""


class Retention(Body, kw_only=True, frozen=True):
    """What is older than `before` no longer counts in `projection`."""

    projection: str
    before: datetime


class Checkpoint(Body, kw_only=True, frozen=True):
    """Counts and range digests of what was sealed up to `watermark` (`site/epoch` to seq)."""

    watermark: dict[str, int]
    tables: dict[str, Any]


class Merged(Body, kw_only=True, frozen=True):
    """A stranded row put back: `body` as it was, and what the written rules made of it.

    `rule` names the rule; with `as_version` the row is applied as if it had that version, because
    it stands although a lower one was written for it.
    """

    origin_site: str
    origin_epoch: int
    origin_id: str
    kind: str
    key: str | None
    version: int | None
    customer: str | None
    at: datetime
    body: Raw
    resolution: str
    rule: str = ""
    as_version: int | None = None


class Merge(Body, kw_only=True, frozen=True):
    """A stranded tail was merged whole: its digest, and how many rows got which resolution."""

    origin_site: str
    origin_epoch: int
    digest: str
    rows: int
    resolutions: dict[str, int]


#: Every shape of every kind, the oldest first.
BODIES = Bodies(
    {
        Kind.DECISION: (Decision,),
        Kind.EVENT: (Event,),
        Kind.INTENT: (Intent,),
        Kind.DISPATCH: (Dispatch,),
        Kind.OUTCOME: (Outcome,),
        Kind.RECEIPT: (Receipt,),
        Kind.RULING: (Ruling,),
        Kind.TASK: (Task,),
        Kind.TASK_STATE: (TaskState,),
        Kind.TRANSITION: (Transition,),
        Kind.ATTRIBUTE: (AttributeChange,),
        Kind.IDENTITY: (Identity,),
        Kind.LIST_MEMBER: (ListMember,),
        Kind.OPT_OUT: (OptOut,),
        Kind.ASSIGNMENT: (Assignment,),
        Kind.APPROVAL: (Approval,),
        Kind.LOAD: (Load,),
        Kind.SEGMENT_REFRESH: (SegmentRefresh,),
        Kind.ID_BLOCK: (IdBlock,),
        Kind.ERASURE: (Erasure,),
        Kind.RETENTION: (Retention,),
        Kind.CHECKPOINT: (Checkpoint,),
        Kind.MERGED: (Merged,),
        Kind.MERGE: (Merge,),
    }
)


def decode(kind: str, text: str | bytes) -> Any:
    """The body of a row as the newest shape of its kind. Raises NewerBody and WrongBody."""
    return BODIES.decode(kind, text)
