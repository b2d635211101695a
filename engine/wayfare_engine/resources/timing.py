"""When things may happen, and how often."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from .fields import Duration, Instant, Label, TimeOfDay, TimeZone, atomic_list
from .model import Model, Rule

Weekday = Literal["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
Medium = Literal["SMS", "Email", "Push", "Webhook", "Other"]


class Window(Model):
    """A part of the day. One that ends before it starts goes on past midnight."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="self.from != self.to",
            holds=lambda it: it.from_ != it.to,
            message="a window that starts when it ends is empty: change from or to",
        ),
    )

    days: tuple[Weekday, ...] = Field(
        (),
        description="Days on which the window starts; none means every day.",
        max_length=7,
        json_schema_extra=atomic_list(),
    )
    from_: TimeOfDay = Field(alias="from", description="Start, as HH:MM; included.")
    to: TimeOfDay = Field(description="End, as HH:MM; not included.")


class Schedule(Model):
    """When a journey is active. Outside of it nothing of the journey is shown or sent."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="!has(self.startAt) || !has(self.endAt) || self.startAt < self.endAt",
            holds=lambda it: it.start_at is None or it.end_at is None or it.start_at < it.end_at,
            message="endAt must be after startAt",
        ),
    )

    start_at: Instant | None = Field(
        None, description="First moment, RFC 3339 with offset; absent means from now on."
    )
    end_at: Instant | None = Field(
        None, description="The moment it ends, not included; absent means without end."
    )
    time_zone: TimeZone = Field(
        "UTC", description="IANA time zone in which the windows are read, such as Europe/Lisbon."
    )
    windows: tuple[Window, ...] = Field(
        (),
        description="Parts of the week; none means always.",
        max_length=32,
        json_schema_extra=atomic_list(),
    )


class QuietHours(Model):
    """When nobody is contacted. What falls in it waits until it ends."""

    time_zone: TimeZone = Field("UTC", description="IANA time zone in which the windows are read.")
    windows: tuple[Window, ...] = Field(
        description="Parts of the week in which nothing is sent.",
        min_length=1,
        max_length=32,
        json_schema_extra=atomic_list(),
    )


class Cap(Model):
    """How often one customer is contacted at most."""

    name: Label = Field(description="Name of the cap; decisions name it as a reason.")
    max: int = Field(ge=0, le=100_000, description="Most contacts of one customer in the time.")
    per: Duration = Field(description="The sliding time, such as 24h or 7d.")
    media: tuple[Medium, ...] = Field(
        (),
        description="Which media count; none means all.",
        max_length=8,
        json_schema_extra=atomic_list(),
    )


class Rate(Model):
    """How many in how long."""

    count: int = Field(ge=1, le=10_000_000, description="How many at most.")
    per: Duration = Field("1s", description="In how long, such as 1s or 1m.")
