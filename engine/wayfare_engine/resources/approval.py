"""Approval: a person's decision on a step of a run."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints

from .fields import Digest, ObjectName, ShortText
from .model import Model, Resource, Rule
from .recovery_run import Sentence
from .status import ResourceStatus

StepName = Annotated[
    str, StringConstraints(min_length=1, max_length=63, pattern=r"^[A-Z][A-Za-z0-9]*$")
]


class RunRef(Model):
    """The run, in the Approval's namespace."""

    name: ObjectName = Field(description="Name of the RecoveryRun.")


class ApprovalSpec(Model):
    """What is decided about which step. It cannot change."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="self == oldSelf",
            message="an Approval cannot change: make another, or delete it before it counts",
        ),
    )

    run_ref: RunRef = Field(description="The run.")
    step: StepName = Field(description="The step, as the run's status names it.")
    attempt: int = Field(
        ge=1, le=1000, description="The attempt of the step; a later one needs another Approval."
    )
    decision: Literal["Approve", "Retry", "Abandon"] = Field(
        description="Approve: go on past a gate. Retry: try a failed step again. Abandon: end the "
        "run and clean up, while the step is before its point of no return."
    )
    evidence: Digest | None = Field(
        None,
        description="Digest of the evidence that was looked at; it has to be the step's, or the "
        "Approval does not count.",
    )
    approver: ShortText = Field(
        description="Who decides: the user who makes this object; nobody decides for another."
    )
    reason: Sentence = Field(description="Why, for those who read the report.")


class Approval(Resource):
    """A person's decision on a step of a run: approve, try again, or abandon."""

    kind_name: ClassVar[str] = "Approval"

    spec: ApprovalSpec = Field(description="What is decided about which step.")
    status: ResourceStatus = Field(
        default_factory=ResourceStatus,
        description="Whether it counted; written by the operator.",
    )
