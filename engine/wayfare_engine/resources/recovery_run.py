"""RecoveryRun: one attempt of one procedure."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints

from .fields import Instant, ObjectName
from .model import Model, Resource, Rule
from .recovery_run_status import RecoveryRunStatus

MOST_NAME = 30
"""Characters of a run's name: the Jobs, clones and labels of its steps are named after it."""

Sentence = Annotated[str, StringConstraints(min_length=1, max_length=2048)]


class PlanRef(Model):
    """The plan, in the run's namespace."""

    name: ObjectName = Field(description="Name of the RecoveryPlan.")


class Scenario(Model):
    """What a drill takes to be lost."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="has(self.channel) == (self.lost == 'Channel')",
            holds=lambda it: (it.channel is not None) == (it.lost == "Channel"),
            message="a scenario names a channel with lost: Channel, and with nothing else",
        ),
    )

    lost: Literal["Site", "PostgreSQL", "Valkey", "Channel", "ObjectStore"] = Field(
        "Site", description="What is taken to be lost."
    )
    channel: ObjectName | None = Field(None, description="Which channel, with lost: Channel.")
    at_position: int | None = Field(
        None,
        ge=0,
        description="Position in the acting site's journal at which it is lost; absent means at "
        "its end.",
    )


class Statement(Model):
    """What a person vouches for."""

    text: Annotated[str, StringConstraints(min_length=20, max_length=2048)] = Field(
        description="That the acting site is off, or cut off from its channels, and how that is "
        "known. It is kept with the run, with the name of who wrote it."
    )


class RecoveryRunSpec(Model):
    """Which procedure of which plan is attempted, and why. It cannot change."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="self == oldSelf",
            message="the spec of a run cannot change: make a new RecoveryRun",
        ),
        Rule(
            cel="!has(self.faultAt) || self.kind == 'Failover'",
            holds=lambda it: it.fault_at is None or it.kind == "Failover",
            message="faultAt has a meaning with kind: Failover only; the others are measured from "
            "their request",
        ),
        Rule(
            cel="!has(self.statement) || self.kind == 'Failover'",
            holds=lambda it: it.statement is None or it.kind == "Failover",
            message="a statement has a meaning with kind: Failover only: no other run takes the "
            "work from a site that has not given it",
        ),
        Rule(
            cel="!has(self.scenario) || self.kind == 'Drill'",
            holds=lambda it: it.scenario is None or it.kind == "Drill",
            message="a scenario has a meaning with kind: Drill only: in the others nothing is "
            "taken to be lost",
        ),
    )

    plan_ref: PlanRef = Field(description="The plan.")
    kind: Literal["Drill", "Switchover", "Failover", "Failback"] = Field(
        description="The procedure. Drill: a rehearsal on a copy. Switchover: the acting site "
        "gives the work to this one. Failover: this one takes it. Failback: after a failover, the "
        "work goes back, and both sites' records are brought together."
    )
    reason: Sentence = Field(description="Why, for those who read the report.")
    fault_at: Instant | None = Field(
        None,
        description="With Failover: when the fault began, from which the recovery time is "
        "measured; absent means when the acting site was last heard of.",
    )
    statement: Statement | None = Field(
        None,
        description="With Failover: a person's statement on the acting site. Needed while that is "
        "healthy or not known to be anything else, and in a plan with takeover: Statement.",
    )
    scenario: Scenario | None = Field(
        None, description="With Drill: what is taken to be lost; absent means the site."
    )


class RecoveryRun(Resource):
    """One attempt of one procedure: drill, switchover, failover or failback."""

    kind_name: ClassVar[str] = "RecoveryRun"

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel=f"self.metadata.name.size() <= {MOST_NAME} && "
            "self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
            # An object that is yet to be given a name by generateName has none.
            holds=lambda it: (
                not it.metadata.name
                or (
                    len(it.metadata.name) <= MOST_NAME
                    and it.metadata.name[0].isalpha()
                    and "." not in it.metadata.name
                )
            ),
            message="a RecoveryRun's name starts with a letter, has letters, digits and dashes "
            "only, and at most 30 of them, 25 before what generateName adds: its Jobs and "
            "databases are named after it",
        ),
    )

    spec: RecoveryRunSpec = Field(description="Which procedure is attempted, and why.")
    status: RecoveryRunStatus = Field(
        default_factory=RecoveryRunStatus,
        description="How far it is, and what it found; written by the operator.",
    )
