"""The nodes that a journey is made of: one member for each type."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal, get_args

from pydantic import Field

from .fields import (
    CelRule,
    Content,
    Description,
    Duration,
    EventName,
    Instant,
    Label,
    ShortText,
    TimeZone,
    atomic_list,
    list_map,
)
from .model import Model, Rule
from .references import ChannelRef
from .timing import Window

MAX_NODES = 100
MAX_BRANCHES = 16

NodeType = Literal[
    "slot",
    "send",
    "wait",
    "waitFor",
    "decisionSplit",
    "audienceSplit",
    "experiment",
    "timeWindow",
    "goal",
    "exit",
]
NODE_TYPES: tuple[str, ...] = get_args(NodeType)


class EventMatch(Model):
    """An event of the customer."""

    name: EventName = Field(description="Name of the event.")
    where: CelRule | None = Field(
        None, description="A CEL condition over the event's fields, as event.<field>."
    )


class SlotNode(Model):
    """Something that is shown to the customer in a slot, when a channel asks for a decision."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="!has(self.alternative) || has(self.channelRef)",
            holds=lambda it: it.alternative is None or it.channel_ref is not None,
            message="alternative is what is shown while nothing leaves through channelRef: name it",
        ),
    )

    name: Label = Field(description="Name of the slot, such as home-banner.")
    when: CelRule | None = Field(
        None,
        description="A CEL condition over the request's context, such as context.page == "
        '"accounts"; attributes and segments may be used too. Absent means always.',
    )
    content: Content = Field(
        default_factory=dict,
        description="What is shown: any JSON object, at most 16 KiB. Given to the caller as it is.",
    )
    channel_ref: ChannelRef | None = Field(
        None,
        description="The channel that what is shown leads to, such as a code by SMS. While its "
        "breaker is open the alternative is shown, or, without one, what comes next.",
    )
    alternative: Content | None = Field(
        None, description="What is shown while the channel's breaker is open."
    )


class SendNode(Model):
    """A message that is sent through a channel."""

    channel_ref: ChannelRef = Field(description="The channel to send through.")
    content: Content = Field(
        default_factory=dict, description="What is sent: any JSON object, at most 16 KiB."
    )
    expires_after: Duration | None = Field(
        None, description="A message that has waited longer is not sent any more."
    )
    on_failure: Label | None = Field(
        None, description="The node that follows when the send was given up; absent means next."
    )


class WaitNode(Model):
    """A pause."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="has(self.__for__) != has(self.until)",
            holds=lambda it: (it.for_ is None) != (it.until is None),
            message="wait has exactly one of for and until",
        ),
    )

    for_: Duration | None = Field(None, alias="for", description="How long, such as 2d.")
    until: Instant | None = Field(None, description="Until which moment, RFC 3339 with offset.")


class WaitForNode(Model):
    """A pause until the customer does something. `next` follows the event."""

    event: EventMatch = Field(description="What is waited for.")
    timeout: Duration = Field(description="How long at most.")
    on_timeout: Label | None = Field(
        None, description="The node that follows when the time is over; absent means next."
    )


class DecisionBranch(Model):
    """One way out of a decisionSplit."""

    name: Label = Field(description="Name of the branch.")
    when: CelRule = Field(description="A CEL condition; the first branch that is true is taken.")
    next: Label | None = Field(None, description="The node that follows; absent means the end.")


class DecisionSplit(Model):
    """Ways that part by a condition at that moment. `next` is for customers whom none takes."""

    branches: tuple[DecisionBranch, ...] = Field(
        description="The branches, in the order in which they are tried.",
        min_length=1,
        max_length=MAX_BRANCHES,
        json_schema_extra=list_map("name"),
    )


class AudienceBranch(Model):
    """One way out of an audienceSplit."""

    name: Label = Field(description="Name of the branch.")
    audience: CelRule = Field(
        description="A CEL expression over segments and attributes; the first branch that is true "
        "is taken."
    )
    next: Label | None = Field(None, description="The node that follows; absent means the end.")


class AudienceSplit(Model):
    """Ways that part by who the customer is. `next` is for customers whom none takes."""

    branches: tuple[AudienceBranch, ...] = Field(
        description="The branches, in the order in which they are tried.",
        min_length=1,
        max_length=MAX_BRANCHES,
        json_schema_extra=list_map("name"),
    )


class Arm(Model):
    """One arm of an experiment."""

    name: Label = Field(description="Name of the arm.")
    weight: int = Field(1, ge=0, le=10_000, description="Share of customers, as against others.")
    next: Label | None = Field(None, description="The node that follows; absent means the end.")


class Experiment(Model):
    """Ways that part by chance; the same customer always gets the same arm."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="self.arms.exists(arm, arm.weight > 0)",
            holds=lambda it: any(arm.weight > 0 for arm in it.arms),
            message="an experiment needs an arm with a weight above 0",
        ),
        Rule(
            cel="!has(self.control) || self.arms.exists(arm, arm.name == self.control)",
            holds=lambda it: it.control is None or it.control in {arm.name for arm in it.arms},
            message="control must be the name of one of the arms",
        ),
    )

    arms: tuple[Arm, ...] = Field(
        description="The arms.",
        min_length=2,
        max_length=MAX_BRANCHES,
        json_schema_extra=list_map("name"),
    )
    control: Label | None = Field(None, description="The arm that others are compared with.")
    goal: Label | None = Field(None, description="The goal that decides; absent means the first.")
    salt: ShortText | None = Field(
        None, description="Changing it draws again; absent means the journey's and node's names."
    )


class TimeWindow(Model):
    """A gate that is open at some times only; customers wait in front of it."""

    time_zone: TimeZone = Field("UTC", description="IANA time zone in which the windows are read.")
    windows: tuple[Window, ...] = Field(
        description="When the gate is open.",
        min_length=1,
        max_length=32,
        json_schema_extra=atomic_list(),
    )


class GoalNode(Model):
    """A goal that is reached by coming here."""

    name: Label = Field(description="Name of one of the journey's goals.")


class ExitNode(Model):
    """The end of the journey for this customer."""

    reason: ShortText | None = Field(None, description="Why, for reports.")


class Node(Model):
    """One step: a `type`, and the one member that has the type's name."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel=" && ".join(f"has(self.{name}) == (self.type == '{name}')" for name in NODE_TYPES),
            holds=lambda it: it.members() == {it.type},
            message="a node has exactly one member besides name, type, next and description: the "
            "one that is called like its type",
            message_expression="'node ' + self.name + ' of type ' + self.type + ' needs the "
            "member ' + self.type + ', and no member of another type'",
            detail=lambda it: (
                f"node {it.name} of type {it.type} needs the member {it.type}, and "
                "no member of another type"
            ),
        ),
        Rule(
            cel="self.type != 'exit' || !has(self.next)",
            holds=lambda it: it.type != "exit" or it.next is None,
            message="nothing follows an exit: take next away",
        ),
    )

    name: Label = Field(description="Name of the node, unique in the journey.")
    type: NodeType = Field(
        description="What the node does. This version serves slot; the other types are accepted, "
        "and a journey that has one says NotSupportedYet."
    )
    description: Description | None = Field(None, description="What the node is for.")
    next: Label | None = Field(
        None, description="Name of the node that follows; absent means the end."
    )
    slot: SlotNode | None = Field(None, description="For type slot: what is shown where.")
    send: SendNode | None = Field(None, description="For type send: what is sent through what.")
    wait: WaitNode | None = Field(None, description="For type wait: a pause.")
    wait_for: WaitForNode | None = Field(
        None, description="For type waitFor: a pause until an event."
    )
    decision_split: DecisionSplit | None = Field(
        None, description="For type decisionSplit: ways that part by conditions."
    )
    audience_split: AudienceSplit | None = Field(
        None, description="For type audienceSplit: ways that part by segments and attributes."
    )
    experiment: Experiment | None = Field(
        None, description="For type experiment: ways that part by chance."
    )
    time_window: TimeWindow | None = Field(
        None, description="For type timeWindow: a gate that is open at some times only."
    )
    goal: GoalNode | None = Field(None, description="For type goal: a goal that is reached.")
    exit: ExitNode | None = Field(None, description="For type exit: the end of the journey.")

    def members(self) -> set[str]:
        """The types whose member is present, as they are written."""
        return {
            name
            for name, field in zip(NODE_TYPES, _MEMBER_FIELDS, strict=True)
            if getattr(self, field) is not None
        }

    def successors(self) -> Iterator[tuple[str, str]]:
        """Every way on: (field, name of the node that follows)."""
        if self.next is not None:
            yield "next", self.next
        if self.send and self.send.on_failure is not None:
            yield "send.onFailure", self.send.on_failure
        if self.wait_for and self.wait_for.on_timeout is not None:
            yield "waitFor.onTimeout", self.wait_for.on_timeout
        if self.decision_split:
            for branch in self.decision_split.branches:
                if branch.next is not None:
                    yield f"decisionSplit.branches[{branch.name}].next", branch.next
        if self.audience_split:
            for each in self.audience_split.branches:
                if each.next is not None:
                    yield f"audienceSplit.branches[{each.name}].next", each.next
        if self.experiment:
            for arm in self.experiment.arms:
                if arm.next is not None:
                    yield f"experiment.arms[{arm.name}].next", arm.next


_MEMBER_FIELDS = (
    "slot",
    "send",
    "wait",
    "wait_for",
    "decision_split",
    "audience_split",
    "experiment",
    "time_window",
    "goal",
    "exit",
)
