"""Which checks bar a run's way, and checks that users add."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints

from .fields import ClockDuration, FreeObject, atomic_list, list_map
from .model import Model, Rule

HttpUrl = Annotated[
    str, StringConstraints(min_length=8, max_length=512, pattern=r"^https?://[^\s#@]+$")
]
CheckName = Annotated[
    str, StringConstraints(min_length=1, max_length=63, pattern=r"^[A-Za-z]([-A-Za-z0-9]*)$")
]
Level = Literal["System", "Data", "Service", "Business"]


class JobCheck(Model):
    """A check that is a Job: it passes when the Job succeeds, and fails when its pod does."""

    template: FreeObject = Field(
        description="The pod template, as in a Job's spec.template. Its containers are told the "
        "run in WAYFARE_RUN and the site in WAYFARE_SITE."
    )
    timeout: ClockDuration = Field(
        "2m", description="After how long nobody can tell: it is Unknown then."
    )


class HttpField(Model):
    """A field of a JSON answer."""

    path: Annotated[
        str, StringConstraints(min_length=1, max_length=256, pattern=r"^[^.\s]+(\.[^.\s]+)*$")
    ] = Field(description="Where it is, such as status.database; an item of a list by its number.")
    equals: Annotated[str, StringConstraints(max_length=1024)] = Field(
        description="What it has to be, as text: open, 3, true."
    )


class HttpCheck(Model):
    """A check that is a GET request: it passes on the status that is expected."""

    url: HttpUrl = Field(
        description="What is asked for, as it is reached at the site that is checked."
    )
    status: int = Field(200, ge=100, le=599, description="The status that is expected.")
    contains: Annotated[str, StringConstraints(min_length=1, max_length=1024)] | None = Field(
        None, description="What the body has to contain; absent means anything."
    )
    field: HttpField | None = Field(
        None, description="A field that the JSON answer has to have; absent means anything."
    )
    timeout: ClockDuration = Field("10s", description="After how long it has failed.")


class CustomCheck(Model):
    """A check of your own."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="has(self.job) != has(self.http)",
            holds=lambda it: (it.job is None) != (it.http is None),
            message="a check of your own has exactly one of job and http",
        ),
    )

    name: CheckName = Field(description="Name of the check; gates and reports name it.")
    level: Level = Field(description="What it looks at.")
    job: JobCheck | None = Field(None, description="A Job that looks.")
    http: HttpCheck | None = Field(None, description="A request that looks.")


class Checks(Model):
    """What is checked, and what bars the way."""

    gates: tuple[CheckName, ...] | None = Field(
        None,
        description="Checks that a run does not pass unless they passed, or somebody approves; "
        "absent means the gates that Wayfare has by itself.",
        max_length=64,
        json_schema_extra=atomic_list(),
    )
    custom: tuple[CustomCheck, ...] = Field(
        (),
        description="Checks of your own.",
        max_length=16,
        json_schema_extra=list_map("name"),
    )
