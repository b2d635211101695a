"""A fact before it is a row: its kind, key and customer follow from its body."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from wayfare_engine.ledger import Kind
from wayfare_engine.ledger.bodies import (
    Approval,
    Assignment,
    AttributeChange,
    Body,
    Event,
    Identity,
    ListMember,
    OptOut,
    Outcome,
    Receipt,
    Task,
    TaskState,
    Transition,
)


@dataclass(frozen=True)
class State:
    """A kind whose rows change the state of a key: `parts` of a body are the key, and stand in
    `columns` of the projection `table`; the row's key is `parts` joined by `joint`."""

    table: str
    columns: tuple[str, ...]
    parts: Callable[[Any], tuple[str, ...]]
    joint: str = "/"


#: What may be written as a fact. The outbox writes its own rows, apart from what a puller
#: acknowledges, and what refers to blobs, erases
#: or gives out ids has its own way too.
KINDS: dict[type[Body], Kind] = {
    Event: Kind.EVENT,
    Receipt: Kind.RECEIPT,
    Outcome: Kind.OUTCOME,
    Task: Kind.TASK,
    TaskState: Kind.TASK_STATE,
    Transition: Kind.TRANSITION,
    AttributeChange: Kind.ATTRIBUTE,
    Identity: Kind.IDENTITY,
    ListMember: Kind.LIST_MEMBER,
    OptOut: Kind.OPT_OUT,
    Assignment: Kind.ASSIGNMENT,
    Approval: Kind.APPROVAL,
}

STATES: dict[Kind, State] = {
    Kind.TASK_STATE: State("tasks", ("send_key",), lambda b: (b.send_key,)),
    Kind.TRANSITION: State("journey_instances", ("instance",), lambda b: (b.instance,)),
    Kind.ATTRIBUTE: State(
        "profile_changes", ("customer_id", "name"), lambda b: (b.customer, b.name)
    ),
    # An identifier has one version, whichever customer it leads to.
    Kind.IDENTITY: State("identities", ("kind", "value"), lambda b: (b.kind, b.value), ":"),
    Kind.LIST_MEMBER: State(
        "list_members", ("list", "customer_id"), lambda b: (b.list, b.customer)
    ),
    Kind.OPT_OUT: State("opt_outs", ("customer_id", "channel"), lambda b: (b.customer, b.channel)),
    Kind.ASSIGNMENT: State(
        "assignments", ("experiment", "customer_id"), lambda b: (b.experiment, b.customer)
    ),
    Kind.APPROVAL: State("approvals", ("subject",), lambda b: (b.subject,)),
}


@dataclass(frozen=True)
class Fact:
    """What is to be written. Id, site, epoch and version are given to it when it is.

    `at` is when it happened (UTC). `customer` is needed where the body does not name its own:
    outcomes, receipts, tasks and transitions. Raises TypeError for a body that is not written this
    way, and ValueError when no customer is named or a NUL character is where PostgreSQL has none.
    """

    body: Body
    at: datetime
    customer: str | None = None

    def __post_init__(self) -> None:
        if type(self.body) not in KINDS:
            raise TypeError(f"{type(self.body).__name__} is not written as a fact")
        if self.whose is None and self.kind is not Kind.APPROVAL:
            raise ValueError(f"a {self.kind} must name its customer")
        for text in (self.whose, self.key, self.client_id):
            if text is not None and "\0" in text:
                raise ValueError("ids, names and keys have no NUL character")

    @property
    def kind(self) -> Kind:
        """The row's kind."""
        return KINDS[type(self.body)]

    @property
    def whose(self) -> str | None:
        """The customer."""
        return self.customer or getattr(self.body, "customer", None)

    @property
    def parts(self) -> tuple[str, ...]:
        """What tells the state apart that this changes; empty when it changes none."""
        state = STATES.get(self.kind)
        return state.parts(self.body) if state else ()

    @property
    def key(self) -> str | None:
        """The row's key."""
        state = STATES.get(self.kind)
        return state.joint.join(state.parts(self.body)) if state else None

    @property
    def client_id(self) -> str | None:
        """By which a repeat is known: the id that the sender of an event gave it, or that a send
        came to this state or end. The first character is one that no sender's id has."""
        if isinstance(self.body, Outcome):
            said = self.body
            return f"\x01outcome/{said.send_key}/{said.attempt}/{said.result}"
        if isinstance(self.body, Receipt):
            return f"\x01receipt/{self.body.send_key}/{self.body.state}"
        return self.body.client_id if isinstance(self.body, Event) else None
