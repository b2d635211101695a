"""How the standby site sleeps, and when it wakes."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints

from .fields import ClockDuration, CronSchedule, Label, TimeZone, list_map, parse_duration
from .model import Model, Rule

WorkloadName = Annotated[
    str,
    StringConstraints(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$"),
]
Currency = Annotated[str, StringConstraints(max_length=3, pattern=r"^[A-Z]{3}$")]


class CronWindow(Model):
    """A time that comes again and again: when it starts, and how long it is."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="duration(self.duration) <= duration('744h')",
            holds=lambda it: parse_duration(it.duration) <= timedelta(hours=744),
            message="a window is at most 744h long, which is a month",
        ),
    )

    name: Label = Field(description="Name of the window; conditions and events name it.")
    schedule: CronSchedule = Field(
        description="When it starts, as cron: minute, hour, day of month, month, day of week."
    )
    duration: ClockDuration = Field(description="How long it is, such as 2h.")
    time_zone: TimeZone = Field(
        "UTC", description="IANA time zone in which the schedule is read, such as Europe/Lisbon."
    )


#: Every night for two hours: 2 of 24 hours awake.
NIGHTLY = CronWindow(name="nightly", schedule="0 1 * * *", duration="2h", time_zone="UTC")


class SleepingWorkload(Model):
    """A workload that sleeps with the site, in the plan's namespace."""

    kind: Literal["StatefulSet", "Deployment", "Cluster"] = Field(
        description="Cluster is CloudNativePG's, which is hibernated; the others are scaled to "
        "zero, and back to what they had."
    )
    name: WorkloadName = Field(description="Its name.")
    replicas_excluded: bool = Field(
        False,
        description="Whether the GitOps tool that keeps the workload, Argo CD or Flux, is told to "
        "leave its replicas alone (of a Cluster: its annotations). Else it stays awake.",
    )


class Prices(Model):
    """What an hour costs, for the saving that status shows."""

    currency: Currency = Field(description="Three letters, such as EUR.")
    pod_hour: float = Field(ge=0, le=1_000_000, description="Price of a pod for an hour.")
    volume_hour: float = Field(
        0, ge=0, le=1_000_000, description="Price of a volume for an hour, awake or not."
    )


class Standby(Model):
    """What the site that does not act does meanwhile."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="self.windows.all(w, duration(w.duration) <= duration('24h'))",
            holds=lambda it: all(
                parse_duration(each.duration) <= timedelta(hours=24) for each in it.windows
            ),
            message="a window of the standby is at most 24h long: what is always awake is Warm",
        ),
    )

    mode: Literal["Cold", "Warm"] = Field(
        "Cold",
        description="Cold: the site sleeps, and wakes in its windows to catch up. Warm: it stays "
        "up and follows.",
    )
    windows: tuple[CronWindow, ...] = Field(
        (NIGHTLY,),
        description="When a cold site wakes, catches up, checks itself and sleeps again.",
        min_length=1,
        max_length=8,
        json_schema_extra=list_map("name") | {"default": [NIGHTLY.model_dump(by_alias=True)]},
    )
    workloads: tuple[SleepingWorkload, ...] = Field(
        (),
        description="What else sleeps besides the engine, its channels and its managed stores: "
        "databases and the like, in the plan's namespace.",
        max_length=16,
        json_schema_extra=list_map("kind", "name"),
    )
    prices: Prices | None = Field(
        None, description="Prices of an hour; absent means that no saving is shown."
    )
