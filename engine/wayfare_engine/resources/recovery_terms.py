"""The terms of a recovery plan: lease, objectives, drills, secrets, history."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints

from .fields import ClockDuration, CronSchedule, ObjectName, TimeZone
from .model import Model, Rule
from .recovery_rules import milliseconds
from .recovery_run import Scenario

RecordAge = Annotated[
    str,
    StringConstraints(min_length=2, max_length=32, pattern=r"^(0s|([1-9][0-9]{0,5}(h|m|s|ms))+)$"),
]


class LeaseTerms(Model):
    """How long a site may act without having asked the store; the same at both sites."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="duration(self.ttl) <= duration('10m') && duration(self.handOver) <= "
            "duration('1m')",
            holds=lambda it: (
                milliseconds(it.ttl) <= 600_000 and milliseconds(it.hand_over) <= 60_000
            ),
            message="lease.ttl is at most 10m, and lease.handOver at most 1m: for so long nobody "
            "could send while a site is taken over",
        ),
    )

    ttl: ClockDuration = Field(
        "12s", description="How long the right to act lasts after a successful check."
    )
    hand_over: ClockDuration = Field(
        "5s", description="Longest time from the last check to the end of a hand-over to a channel."
    )
    clock_error_percent: float = Field(
        0.1, ge=0, le=10, description="Largest error of a clock's rate, in percent."
    )


class Objectives(Model):
    """What a run has to reach."""

    rto: ClockDuration = Field(
        description="Longest time from the fault to a site that was seen to serve, such as 15m."
    )
    rpo: RecordAge = Field(
        description="How old the oldest record that a lost site takes with it may be, such as 1m; "
        "0s means that none may be lost."
    )
    latency: ClockDuration = Field(
        "50ms", description="Within what time 99 in 100 decisions are answered at a site that acts."
    )


class ScheduledDrill(Model):
    """Drills that start by themselves."""

    schedule: CronSchedule = Field(
        description="When, as cron: minute, hour, day of month, month, day of week."
    )
    time_zone: TimeZone = Field("UTC", description="IANA time zone in which the schedule is read.")
    scenario: Scenario = Field(
        default_factory=lambda: Scenario(),
        description="What is taken to be lost.",
        json_schema_extra={"default": {}},
    )
    suspended: bool = Field(False, description="Whether none starts until this is taken away.")


class PlannedSecret(Model):
    """A Secret that both sites need. Secrets never travel."""

    name: ObjectName = Field(description="Name of the Secret, in the plan's namespace.")
    compare: Literal["Same", "Present"] = Field(
        "Same",
        description="Same: both sites must have the same content, told by a keyed digest. "
        "Present: each has its own.",
    )


class FailoverTerms(Model):
    """Who decides on a failover."""

    mode: Literal["Manual"] = Field(
        "Manual", description="Manual: a person does, by a RecoveryRun."
    )


class ConsistencySchedule(Model):
    """When the cheap checks run while nothing else does."""

    schedule: CronSchedule = Field(
        "*/30 * * * *",
        description="When, as cron in UTC, at the site that acts; a standby checks itself in its "
        "windows.",
    )


class History(Model):
    """How many runs are kept; older ones are deleted, their evidence stays in the store."""

    succeeded: int = Field(10, ge=1, le=100, description="Most runs kept that succeeded.")
    failed: int = Field(10, ge=1, le=100, description="Most runs kept that did not.")
