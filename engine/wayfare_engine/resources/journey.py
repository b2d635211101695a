"""Journey: a published graph of nodes that customers move through."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from .fields import CelRule, Description, Digest, Duration, FreeObject, Label, list_map
from .model import Model, Resource, Rule
from .nodes import MAX_NODES, EventMatch, Node
from .references import EngineRef, TemplateRef
from .status import Moment, ResourceStatus, StatusText
from .timing import Rate, Schedule


class Entry(Model):
    """How customers enter. Journeys of slots alone need no entry: whoever is in the audience
    is offered them."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="has(self.event) == (self.by == 'Event')",
            holds=lambda it: (it.event is not None) == (it.by == "Event"),
            message="write the event with by: Event, and with nothing else",
        ),
    )

    by: Literal["Audience", "Event"] = Field(
        "Audience",
        description="Audience: by coming into the audience. Event: by an event, while in the "
        "audience.",
    )
    event: EventMatch | None = Field(None, description="The event, with by: Event.")
    node: Label | None = Field(None, description="The first node; absent means the first listed.")
    limit: Rate | None = Field(None, description="How many customers enter at most in a time.")


class Reentry(Model):
    """Whether a customer who was here may come again."""

    policy: Literal["Never", "AfterExit", "Always"] = Field(
        "Never",
        description="AfterExit: once the last journey has ended. Always: at the same time too.",
    )
    after: Duration | None = Field(None, description="How long after the last entry at least.")
    max_times: int | None = Field(None, ge=1, le=10_000, description="How often at most.")


class Goal(Model):
    """What the journey is for, so that its success can be counted."""

    name: Label = Field(description="Name of the goal.")
    event: EventMatch | None = Field(
        None, description="The event that reaches it; absent means by a goal node only."
    )
    within: Duration | None = Field(
        None, description="How long after entry it still counts; absent means always."
    )
    exits: bool = Field(False, description="Whether a customer who reaches it leaves the journey.")


class JourneyApproval(Model):
    """Who must agree before a change goes out, besides what the engine asks for."""

    approvals: int = Field(1, ge=1, le=5, description="How many other people must agree.")


def _dangling(spec: JourneySpec) -> list[str]:
    names = {node.name for node in spec.nodes or ()}
    return [
        f"{field} must be the name of a node of this journey: {node.name} leads to {target}"
        for node in spec.nodes or ()
        for field, target in node.successors()
        if target not in names
    ]


def _goals_exist(spec: JourneySpec) -> bool:
    goals = {goal.name for goal in spec.goals}
    return all(node.goal is None or node.goal.name in goals for node in spec.nodes or ())


# Found by trying on a real API server, with 100 nodes of 16 branches: the names are gathered once,
# as the one entry of a list (a search by `exists` passes the estimate and is cancelled when it
# runs), and messages are made by `format`, because `+` on what a search found has no bounded cost.
_NAMES = "[self.nodes.map(m, m.name)]"


def _next_rule(field: str, *guards: str) -> Rule:
    """A field of a node, where it is present, names a node of the journey."""
    present = " && ".join(f"has(n.{guard})" for guard in guards)
    message = f"{field} must be the name of a node of this journey"
    return Rule(
        cel=f"!has(self.nodes) || {_NAMES}.all(names, self.nodes.all(n, !({present}) || "
        f"n.{field} in names))",
        message=message,
        message_expression=f"'{message}: %s'.format([{_NAMES}.map(names, self.nodes.map(n, "
        f"{present} && !(n.{field} in names), n.name + ' leads to ' + n.{field}))[0]])",
        field_path=".nodes",
    )


def _branch_rule(member: str, branches: str) -> Rule:
    """The same for the branches of a node's member."""
    message = f"{member}.{branches}.next must be the name of a node of this journey"
    lost = f"n.{member}.{branches}.exists(b, has(b.next) && !(b.next in names))"
    return Rule(
        cel=f"!has(self.nodes) || {_NAMES}.all(names, self.nodes.all(n, !has(n.{member}) || "
        f"!{lost}))",
        message=message,
        message_expression=f"'{message}: look at %s'.format([{_NAMES}.map(names, "
        f"self.nodes.map(n, has(n.{member}) && {lost}, n.name))[0]])",
        field_path=".nodes",
    )


class JourneySpec(Model):
    """Who is offered what, when; either `nodes`, or a `template` with `parameters`."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="has(self.nodes) != has(self.template)",
            holds=lambda it: (it.nodes is None) != (it.template is None),
            message="a journey has either nodes, or a template with parameters",
        ),
        Rule(
            cel="!has(self.parameters) || has(self.template)",
            holds=lambda it: it.parameters is None or it.template is not None,
            message="parameters belong to a template: name the template, or take them away",
        ),
        Rule(
            cel="!has(self.nodes) || has(self.audience)",
            holds=lambda it: it.nodes is None or it.audience is not None,
            message='a journey needs an audience: write audience: "true" if it is for everybody',
        ),
        _next_rule("next", "next"),
        _next_rule("send.onFailure", "send", "send.onFailure"),
        _next_rule("waitFor.onTimeout", "waitFor", "waitFor.onTimeout"),
        _branch_rule("decisionSplit", "branches"),
        _branch_rule("audienceSplit", "branches"),
        _branch_rule("experiment", "arms"),
        Rule(
            holds=lambda it: not _dangling(it),
            message="next must be the name of a node of this journey",
            detail=lambda it: "; ".join(_dangling(it)),
        ),
        Rule(
            cel="!has(self.nodes) || !has(self.entry) || !has(self.entry.node) || "
            "self.nodes.exists(n, n.name == self.entry.node)",
            holds=lambda it: (
                it.nodes is None
                or it.entry is None
                or it.entry.node is None
                or it.entry.node in {node.name for node in it.nodes}
            ),
            message="entry.node must be the name of a node of this journey",
            field_path=".entry",
        ),
        Rule(
            cel="!has(self.nodes) || self.nodes.all(n, !has(n.goal) || "
            "(has(self.goals) && self.goals.exists(g, g.name == n.goal.name)))",
            holds=_goals_exist,
            message="a goal node must name one of the journey's goals: add it to goals",
            field_path=".nodes",
        ),
    )

    engine_ref: EngineRef = Field(description="The engine that runs the journey.")
    description: Description | None = Field(None, description="What the journey is for.")
    audience: CelRule | None = Field(
        None,
        description="Who it is for: a CEL expression over segments and attributes, such as "
        'segment("mature-savers") && customer.balance > 0.0. "true" means everybody.',
    )
    when: CelRule | None = Field(
        None,
        description="A CEL condition over the request's context that holds for the whole journey; "
        "each slot may have one of its own besides.",
    )
    priority: int = Field(
        100,
        ge=0,
        le=1000,
        description="Which journey wins a slot: the highest; among equals the first by "
        "namespace/name.",
    )
    schedule: Schedule | None = Field(None, description="When it is active; absent means always.")
    paused: bool = Field(
        False, description="Whether nothing of it is shown or sent until this is taken away."
    )
    entry: Entry | None = Field(None, description="How customers enter.")
    reentry: Reentry | None = Field(
        None, description="Whether a customer who was here may come again."
    )
    nodes: tuple[Node, ...] | None = Field(
        None,
        description="The steps. Each has a name, a type, and the member that is called like the "
        "type; next names the following one.",
        min_length=1,
        max_length=MAX_NODES,
        json_schema_extra=list_map("name"),
    )
    goals: tuple[Goal, ...] = Field(
        (),
        description="What the journey is for.",
        max_length=16,
        json_schema_extra=list_map("name"),
    )
    approval: JourneyApproval | None = Field(
        None, description="Who must agree before a change goes out. Kept to by a later version."
    )
    template: TemplateRef | None = Field(
        None, description="The template it is made from, instead of nodes."
    )
    parameters: FreeObject | None = Field(
        None, description="Values for the template's parameters.", max_length=128
    )


class JourneyStatus(ResourceStatus):
    """What of the journey is served."""

    spec_digest: Digest | None = Field(None, description="Digest of the spec that was looked at.")
    version: StatusText | None = Field(
        None, description="The version that pods serve now: the start of its spec's digest."
    )
    plan: Digest | None = Field(None, description="The plan in which it is served.")
    published_at: Moment | None = Field(
        None, description="When every serving pod had acknowledged it."
    )


class Journey(Resource):
    """Who is offered what, where and when."""

    kind_name: ClassVar[str] = "Journey"

    spec: JourneySpec = Field(description="Who is offered what, when.")
    status: JourneyStatus = Field(
        default_factory=JourneyStatus,
        description="What of the journey is served; written by the operator.",
    )
