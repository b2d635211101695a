"""The written rules: what becomes of a stranded row. Pure, one row at a time.

Rows of a key that has a state are compared by (epoch, version): the change of the later epoch
stands, and within an epoch the later version. So the values do not depend on the order in which
several tails are merged. Two things are never the other way round: what a customer does not want
is never sent, and what perhaps left is never sent again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from wayfare_engine.ledger import Kind
from wayfare_engine.projections.feeds import APPLIED
from wayfare_engine.reconcile.keys import StateKey
from wayfare_engine.reconcile.tail import StrandedRow


class Resolution(StrEnum):
    """What becomes of a row. Only `applied` rows change a projection; the others are kept."""

    APPLIED = APPLIED
    SUPERSEDED = "superseded"
    REPEATED = "repeated"
    NOT_SENT = "not-sent"
    RELOAD = "load-again"
    RECORD = "record"
    ERASED = "erased"


#: Each rule: its resolution, and what it says. The docs' table is made from this.
RULES: Mapping[str, tuple[Resolution, str]] = {
    "customer-erased": (
        Resolution.ERASED,
        "The customer is erased here: nothing of theirs is put back.",
    ),
    "fact": (
        Resolution.APPLIED,
        "Decisions, events and receipts happened, whoever acted then: they are added.",
    ),
    "event-repeated": (
        Resolution.REPEATED,
        "The sender gave the same event to the acting site: it counts once.",
    ),
    "send-planned": (
        Resolution.APPLIED,
        "A planned send that the acting site does not know: its turn comes here, and everything "
        "that could forbid it is asked again then.",
    ),
    "send-known": (
        Resolution.SUPERSEDED,
        "The node fired at the acting site too: it is the same send, by its key.",
    ),
    "path-changed": (
        Resolution.SUPERSEDED,
        "The journey instance went on at the acting site: what it planned there counts.",
    ),
    "dispatch-never-left": (
        Resolution.NOT_SENT,
        "A dispatch of a Journaled channel was not in the store, so it did not leave: no contact, "
        "and the send keeps its turn.",
    ),
    "dispatch-perhaps-left": (
        Resolution.APPLIED,
        "A dispatch of a Local channel may have left: it is a contact, and in doubt until its "
        "outcome is known.",
    ),
    "dispatched-at-both-sites": (
        Resolution.APPLIED,
        "The same, and the acting site dispatched the send too: look at it.",
    ),
    "accepted": (
        Resolution.APPLIED,
        "An accepted send took effect: nothing may follow it.",
    ),
    "outcome-final": (
        Resolution.APPLIED,
        "Rejected, Expired or Unknown, and the acting site did not dispatch the send: it ended.",
    ),
    "outcome-overtaken": (
        Resolution.SUPERSEDED,
        "The acting site dispatched the send since: its own outcome counts.",
    ),
    "outcome-open": (
        Resolution.RECORD,
        "NotAccepted and Held end nothing: the send's turn is the acting site's to take.",
    ),
    "ruling-set-aside": (
        Resolution.APPLIED,
        "What a person set aside stays so, as long as nothing has been said or done about the send "
        "here since.",
    ),
    "ruling-replayed": (
        Resolution.RECORD,
        "A person's word that a send may go again is not carried over: it was said of what the "
        "lost site knew. Look at the send, and say it again here if it still holds.",
    ),
    "task-made": (
        Resolution.APPLIED,
        "A work item that the acting site does not have: a person may have begun with it.",
    ),
    "task-known": (
        Resolution.SUPERSEDED,
        "The acting site made the work item too: it is the same, by the send's key.",
    ),
    "task-closed": (
        Resolution.APPLIED,
        "What a person did has happened: a closed task is closed, whatever the acting site says.",
    ),
    "task-closed-twice": (
        Resolution.APPLIED,
        "The same, and somebody closed it at the acting site too: look at it.",
    ),
    "next-version": (
        Resolution.APPLIED,
        "The state that the acting site has is an earlier one: this one follows it.",
    ),
    "later-epoch": (
        Resolution.SUPERSEDED,
        "The key was changed in a later epoch: that change stands.",
    ),
    "later-version": (
        Resolution.SUPERSEDED,
        "The same tail, or a chain, has a later version of the key.",
    ),
    "opt-out-stands": (
        Resolution.APPLIED,
        "An opt-out stands, whatever the acting site says: look at it, the customer may have "
        "changed their mind.",
    ),
    "opt-out-again": (
        Resolution.APPLIED,
        "An opt-out of a customer who is opted out here too.",
    ),
    "opt-in-conflict": (
        Resolution.SUPERSEDED,
        "An opt-in that does not directly follow the state here does not undo an opt-out: look at "
        "it, the customer may have to be asked.",
    ),
    "erasure": (
        Resolution.APPLIED,
        "A customer who was erased is erased.",
    ),
    "retention": (
        Resolution.APPLIED,
        "The later cutoff of a retention counts.",
    ),
    "load-from-source": (
        Resolution.RELOAD,
        "A bulk load holds all customers at its time; to put it back would undo what came since. "
        "Load the file again.",
    ),
    "computed-again": (
        Resolution.RECORD,
        "Segments are computed from what is known here.",
    ),
    "block-unused": (
        Resolution.RECORD,
        "A block of ids is used only when its row is in the store, so this one was not.",
    ),
    "bookkeeping": (
        Resolution.RECORD,
        "Checkpoints and merges say something of a chain that this row is not in. A row that a "
        "merge put back is decided about under its own origin.",
    ),
}

#: Rules after which a person should look.
ATTENTION = frozenset(
    {
        "dispatched-at-both-sites",
        "dispatch-perhaps-left",
        "task-closed-twice",
        "load-from-source",
        "opt-in-conflict",
        "opt-out-stands",
        "ruling-replayed",
    }
)


@dataclass(frozen=True)
class State:
    """What the acting site has for a key. `out` for opt-outs, `closed` for tasks only."""

    epoch: int
    version: int
    out: bool = False
    closed: bool = False


@dataclass(frozen=True)
class SendState:
    """What the acting site has for a send. `dispatch_epoch` is of its latest dispatch."""

    planned: bool
    dispatch_epoch: int | None


@dataclass
class Known:
    """What the acting site knows of the keys that some stranded rows name.

    `repeats`: client ids of events to the row that has it here; `instances`: epochs of the
    journey instances' states; `tasks`: keys of sends that are tasks.
    """

    states: dict[StateKey, State] = field(default_factory=dict)
    sends: dict[str, SendState] = field(default_factory=dict)
    tasks: set[str] = field(default_factory=set)
    instances: dict[str, int] = field(default_factory=dict)
    repeats: dict[str, bytes] = field(default_factory=dict)
    erased: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Span:
    """The versions of one key in one tail."""

    first: int
    last: int


@dataclass(frozen=True)
class Resolved:
    """What a rule says of a row."""

    rule: str
    as_version: int | None = None

    @property
    def resolution(self) -> Resolution:
        """What becomes of the row."""
        return RULES[self.rule][0]


#: Kinds about which nothing has to be known.
_ALWAYS: Mapping[str, str] = {
    Kind.DECISION: "fact",
    Kind.RECEIPT: "fact",
    Kind.RETENTION: "retention",
    Kind.LOAD: "load-from-source",
    Kind.SEGMENT_REFRESH: "computed-again",
    Kind.ID_BLOCK: "block-unused",
    Kind.CHECKPOINT: "bookkeeping",
    Kind.MERGE: "bookkeeping",
    Kind.MERGED: "bookkeeping",
}


def resolve(
    row: StrandedRow, body: Any, key: StateKey | None, span: Span | None, known: Known
) -> Resolved:
    """The rule for a row. `body` is its decoded body; `key` and `span` are given for kinds that
    have a state. `known` is changed as if the row were applied. Raises ValueError for a kind that
    no rule speaks of."""
    if row.kind == Kind.ERASURE:
        known.erased.add(row.customer or body.customer)
        return Resolved("erasure")
    customer = row.customer or getattr(body, "customer", None)
    if customer in known.erased:
        return Resolved("customer-erased")
    always = _ALWAYS.get(row.kind)
    if always is not None:
        return Resolved(always)
    if key is not None and span is not None:
        return _state(row, body, key, span, known)
    match row.kind:
        case Kind.EVENT:
            return Resolved(_event(row, body, known))
        case Kind.INTENT:
            return Resolved(_intent(row, body, known))
        case Kind.DISPATCH:
            return Resolved(_dispatch(row, body, known))
        case Kind.OUTCOME:
            return Resolved(_outcome(row, body, known))
        case Kind.RULING:
            set_aside = body.outcome is None
            return Resolved("ruling-set-aside" if set_aside else "ruling-replayed")
        case Kind.TASK:
            return Resolved(_task(body, known))
    raise ValueError(f"no rule speaks of rows of kind {row.kind!r}")


def _event(row: StrandedRow, body: Any, known: Known) -> str:
    if body.client_id is None:
        return "fact"
    return (
        "fact"
        if known.repeats.setdefault(body.client_id, row.origin_id) == row.origin_id
        else ("event-repeated")
    )


def _intent(row: StrandedRow, body: Any, known: Known) -> str:
    send = known.sends.get(body.send_key)
    if send is not None and send.planned:
        return "send-known"
    if known.instances.get(body.instance, 0) > row.epoch:
        return "path-changed"
    known.sends[body.send_key] = SendState(True, send.dispatch_epoch if send else None)
    return "send-planned"


def _dispatch(row: StrandedRow, body: Any, known: Known) -> str:
    if body.guard == "Journaled":
        return "dispatch-never-left"
    send = known.sends.get(body.send_key)
    if send is not None and (send.dispatch_epoch or 0) > row.epoch:
        return "dispatched-at-both-sites"
    known.sends[body.send_key] = SendState(send is not None and send.planned, row.epoch)
    return "dispatch-perhaps-left"


def _outcome(row: StrandedRow, body: Any, known: Known) -> str:
    if body.result == "Accepted":
        return "accepted"
    if body.result in ("NotAccepted", "Held"):
        return "outcome-open"
    send = known.sends.get(body.send_key)
    overtaken = send is not None and (send.dispatch_epoch or 0) > row.epoch
    return "outcome-overtaken" if overtaken else "outcome-final"


def _task(body: Any, known: Known) -> str:
    if body.send_key in known.tasks:
        return "task-known"
    known.tasks.add(body.send_key)
    return "task-made"


def _closed(row: StrandedRow, key: StateKey, here: State | None, known: Known) -> Resolved:
    """By its rank it stands in the projection, so it keeps the version that it was given."""
    twice = here is not None and here.closed
    version = max(row.version or 0, here.version if here else 0)
    known.states[key] = State(row.epoch, version, closed=True)
    return Resolved("task-closed-twice" if twice else "task-closed")


def _state(row: StrandedRow, body: Any, key: StateKey, span: Span, known: Known) -> Resolved:
    version = row.version or 0
    if row.kind == Kind.TASK_STATE and body.state == "Closed":
        return _closed(row, key, known.states.get(key), known)
    if version < span.last:
        return Resolved("later-version")
    here = known.states.get(key)
    out = row.kind == Kind.OPT_OUT and body.out
    if here is None:
        return _stands(row, key, version, out, "next-version", known)
    if here.epoch == row.epoch and here.version >= version:
        return Resolved("later-version")
    follows = here.epoch <= row.epoch and here.version == span.first - 1
    if row.kind == Kind.OPT_OUT and not follows:
        if out:
            # Also where the customer is opted out: an opt-in of another tail must not follow that.
            rule = "opt-out-again" if here.out else "opt-out-stands"
            return _stands(row, key, max(version, here.version + 1), out, rule, known)
        if here.out:
            return Resolved("opt-in-conflict")
    if here.epoch > row.epoch:
        return Resolved("later-epoch")
    return _stands(row, key, max(version, here.version + 1), out, "next-version", known)


def _stands(
    row: StrandedRow, key: StateKey, version: int, out: bool, rule: str, known: Known
) -> Resolved:
    known.states[key] = State(row.epoch, version, out)
    if row.kind == Kind.TRANSITION:
        known.instances[key[1][0]] = row.epoch
    return Resolved(rule, None if version == row.version else version)
