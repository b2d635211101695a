"""The words of recovery that plans, runs, their records and the operator share."""

from __future__ import annotations

from enum import StrEnum


class Phase(StrEnum):
    """Where a RecoveryPlan stands."""

    PRODUCTION = "Production"
    SWITCHING = "Switching"
    EMERGENCY = "Emergency"
    DRILL = "Drill"
    FAILBACK = "Failback"


class RunKind(StrEnum):
    """Which procedure a RecoveryRun attempts."""

    DRILL = "Drill"
    SWITCHOVER = "Switchover"
    FAILOVER = "Failover"
    FAILBACK = "Failback"


class RunState(StrEnum):
    """How far a RecoveryRun is."""

    PENDING = "Pending"
    RUNNING = "Running"
    WAITING_FOR_APPROVAL = "WaitingForApproval"
    FAILED = "Failed"
    SUCCEEDED = "Succeeded"
    ABANDONED = "Abandoned"
    REJECTED = "Rejected"

    @property
    def ended(self) -> bool:
        """Whether nothing more becomes of it. A failed step can be tried again, so it has not."""
        return self in (RunState.SUCCEEDED, RunState.ABANDONED, RunState.REJECTED)


class StepState(StrEnum):
    """How far a step of a run is."""

    PENDING = "Pending"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    SKIPPED = "Skipped"
    WAITING_FOR_APPROVAL = "WaitingForApproval"


class CheckLevel(StrEnum):
    """What a check looks at, from the machines to the business."""

    SYSTEM = "System"
    DATA = "Data"
    SERVICE = "Service"
    BUSINESS = "Business"


class Verdict(StrEnum):
    """What a check or a run found. What is not known is never taken for passed."""

    PASSED = "Passed"
    FAILED = "Failed"
    UNKNOWN = "Unknown"
