"""What the operator reports of a run."""

from __future__ import annotations

from pydantic import Field

from .fields import Digest, FreeObject, atomic_list, list_map
from .model import Observed
from .status import LongText, Moment, ResourceStatus, StatusText


class StepStatus(Observed):
    """One step of the run."""

    name: StatusText = Field(description="Name of the step.")
    state: StatusText = Field(
        description="Pending, Running, Succeeded, Failed, Skipped or WaitingForApproval."
    )
    attempt: int | None = Field(None, ge=0, description="Which attempt this is of.")
    started_at: Moment | None = Field(None, description="When the attempt began.")
    ended_at: Moment | None = Field(None, description="When it ended.")
    message: LongText | None = Field(None, description="What came of it, in a sentence.")
    evidence: Digest | None = Field(None, description="Digest of what it found, in the store.")


class CheckStatus(Observed):
    """What one check found."""

    name: StatusText = Field(description="Name of the check.")
    level: StatusText = Field(description="System, Data, Service or Business.")
    verdict: StatusText = Field(description="Passed, Failed or Unknown.")
    gate: bool = Field(description="Whether it bars the way.")
    message: LongText | None = Field(None, description="What it found, in a sentence.")
    figures: FreeObject | None = Field(None, description="What it counted and measured.")
    evidence: Digest | None = Field(None, description="Digest of what it found, in the store.")
    as_of: Moment | None = Field(None, description="When it looked.")


class RtoStatus(Observed):
    """How long it took until the site was seen to serve."""

    seconds: float | None = Field(None, ge=0, description="Seconds.")
    objective_seconds: float | None = Field(None, ge=0, description="The plan's objective.")
    met: bool | None = Field(None, description="Whether the objective was met.")
    from_: StatusText | None = Field(
        None, alias="from", description="Measured from: FaultAt, LastBeat or Request."
    )


class RpoStatus(Observed):
    """What was lost, in business records."""

    rows: int | None = Field(None, ge=0, description="How many records.")
    oldest_at: Moment | None = Field(None, description="Time of the oldest of them.")
    basis: StatusText | None = Field(None, description="Estimated, Exact or Unknown.")
    met: bool | None = Field(None, description="Whether the objective was met.")


class GivenApproval(Observed):
    """An Approval that counted."""

    name: StatusText = Field(description="Name of the Approval.")
    step: StatusText = Field(description="Which step it was about.")
    attempt: int = Field(ge=0, description="Which attempt of it.")
    decision: StatusText = Field(description="Approve, Retry or Abandon.")
    approver: StatusText = Field(description="Who decided.")
    at: Moment | None = Field(None, description="When.")


class RecoveryRunStatus(ResourceStatus):
    """How far the run is, and what it found."""

    number: int | None = Field(None, ge=0, description="Number of the run among its plan's.")
    state: StatusText | None = Field(
        None,
        description="Pending, Running, WaitingForApproval, Failed, Succeeded, Abandoned or "
        "Rejected. A failed run can be tried again from the step that failed, or abandoned.",
    )
    step: StatusText | None = Field(None, description="The step that it is at.")
    steps: tuple[StepStatus, ...] = Field(
        (),
        description="The steps, in their order.",
        max_length=32,
        json_schema_extra=list_map("name"),
    )
    checks: tuple[CheckStatus, ...] = Field(
        (),
        description="What the checks found.",
        max_length=64,
        json_schema_extra=atomic_list(),
    )
    rto: RtoStatus | None = Field(None, description="How long it took.")
    rpo: RpoStatus | None = Field(None, description="What was lost.")
    verdict: StatusText | None = Field(
        None, description="Passed, Failed or Unknown, over all gates."
    )
    requested_by: StatusText | None = Field(None, description="Who made the run.")
    approvals: tuple[GivenApproval, ...] = Field(
        (),
        description="The Approvals that counted.",
        max_length=64,
        json_schema_extra=atomic_list(),
    )
    evidence: Digest | None = Field(None, description="Digest of the whole, in the store.")
