"""RecoveryPlan: two sites, and how one takes over from the other."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints

from .fields import (
    Description,
    FreeObject,
    ObjectName,
    ShortText,
    atomic_list,
    list_map,
)
from .model import Model, Resource, Rule
from .recovery_checks import Checks
from .recovery_plan_status import RecoveryPlanStatus
from .recovery_rules import DRILL_NOT_BLOCKED, RTO_ABOVE_LAPSE, WINDOWS_APART
from .recovery_terms import (
    ConsistencySchedule,
    FailoverTerms,
    History,
    LeaseTerms,
    Objectives,
    PlannedSecret,
    ScheduledDrill,
)
from .standby import CronWindow, Standby
from .traffic import Traffic

SiteName = Annotated[
    str, StringConstraints(min_length=1, max_length=32, pattern=r"^[a-z]([-a-z0-9]*[a-z0-9])?$")
]


class PlanEngineRef(Model):
    """The engine that is covered, in the plan's namespace. It cannot change."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="self == oldSelf",
            message="engineRef cannot change: make a new RecoveryPlan for the other engine",
        ),
    )

    name: ObjectName = Field(description="Name of the Engine.")


class SiteOverride(Model):
    """What an object has otherwise at one site. It does not count as drift."""

    kind: Literal["Engine", "Segment", "Journey", "Channel"] = Field(
        description="Kind of the object."
    )
    name: ObjectName = Field(description="Name of the object.")
    spec: FreeObject = Field(
        description="Merged into the object's spec at the site, as a JSON merge patch."
    )


class Site(Model):
    """One of the two sites: a cluster that can act."""

    name: SiteName = Field(
        description="Name of the site, as its operator is told when it is installed."
    )
    failure_domain: ShortText | None = Field(
        None,
        description="What fails together with the site, such as a data centre or a region; absent "
        "means that it is not known.",
    )
    overrides: tuple[SiteOverride, ...] = Field(
        (),
        description="What objects have otherwise here, such as replicas or an image.",
        max_length=32,
        json_schema_extra=list_map("kind", "name"),
    )


class Witness(Model):
    """What is known of the object store, which is the witness of who may act."""

    failure_domain: ShortText | None = Field(
        None,
        description="What fails together with the store. The same as a site's: the condition "
        "WitnessShared says whose loss makes a failover impossible.",
    )
    replication: Literal["None", "Synchronous"] = Field(
        "None",
        description="How the bucket is copied elsewhere. One that is copied later, asynchronously, "
        "cannot say who may act, and is no value here.",
    )


_SAME_NAME = "the two sites have the same name"


class RecoveryPlanSpec(Model):
    """Two sites, and how one takes over from the other."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="self.sites[0].name != self.sites[1].name",
            holds=lambda it: it.sites[0].name != it.sites[1].name,
            message=_SAME_NAME,
            message_expression=f"'{_SAME_NAME}, ' + self.sites[0].name + ': each is a cluster of "
            "its own, and is called as its operator was told'",
            detail=lambda it: (
                f"{_SAME_NAME}, {it.sites[0].name}: each is a cluster of its own, and is called "
                "as its operator was told"
            ),
        ),
        Rule(
            cel="self.sites[0].name == oldSelf.sites[0].name && "
            "self.sites[1].name == oldSelf.sites[1].name",
            message="sites can be neither renamed nor change places: the journal is kept by their "
            "names, and the first began it; make a new RecoveryPlan",
        ),
        Rule(
            cel="!has(self.traffic.httpRoute) || self.traffic.httpRoute.backends.all(b, "
            "self.sites.exists(s, s.name == b.site))",
            holds=lambda it: (
                it.traffic.http_route is None
                or {each.site for each in it.traffic.http_route.backends}
                <= {each.name for each in it.sites}
            ),
            message="traffic.httpRoute has a backend of a site that the plan does not have: name "
            "its two sites",
        ),
        RTO_ABOVE_LAPSE,
        WINDOWS_APART,
        DRILL_NOT_BLOCKED,
    )

    description: Description | None = Field(None, description="What the plan is for.")
    engine_ref: PlanEngineRef = Field(description="The engine that is covered.")
    sites: tuple[Site, ...] = Field(
        description="The two sites. The first is the primary: only there work begins.",
        min_length=2,
        max_length=2,
        json_schema_extra=atomic_list(),
    )
    object_store: Witness = Field(
        default_factory=Witness,
        description="What is known of the Engine's object store.",
        json_schema_extra={"default": {}},
    )
    takeover: Literal["Lease", "Statement"] = Field(
        "Lease",
        description="Lease: a site that cannot ask the store stops sending, and a takeover waits "
        "for that. Statement: it goes on, and a takeover needs a person's statement that the "
        "other site is off or cut off.",
    )
    lease: LeaseTerms = Field(
        default_factory=LeaseTerms,
        description="How long a site may act without having asked.",
        json_schema_extra={"default": {}},
    )
    standby: Standby = Field(
        default_factory=Standby,
        description="What the other site does meanwhile.",
        json_schema_extra={"default": {}},
    )
    objectives: Objectives = Field(description="What a run has to reach.")
    drill: ScheduledDrill | None = Field(
        None, description="Drills that start by themselves; absent means none do."
    )
    blocked_windows: tuple[CronWindow, ...] = Field(
        (),
        description="When no drill starts and no standby wakes by itself, such as the close of a "
        "month.",
        max_length=8,
        json_schema_extra=list_map("name"),
    )
    checks: Checks = Field(
        default_factory=Checks,
        description="What is checked, and what bars the way.",
        json_schema_extra={"default": {}},
    )
    configuration: Literal["Bundle", "External"] = Field(
        "External",
        description="External: something of yours, such as GitOps, applies the same objects at "
        "both sites; they are compared, and a difference bars the way. Bundle: the acting site's "
        "objects travel through the object store.",
    )
    secrets: tuple[PlannedSecret, ...] = Field(
        (),
        description="Secrets that both sites need.",
        max_length=32,
        json_schema_extra=list_map("name"),
    )
    traffic: Traffic = Field(
        default_factory=Traffic,
        description="How callers are led to the site that acts.",
        json_schema_extra={"default": {}},
    )
    failover: FailoverTerms = Field(
        default_factory=FailoverTerms,
        description="Who decides on a failover.",
        json_schema_extra={"default": {}},
    )
    consistency: ConsistencySchedule = Field(
        default_factory=ConsistencySchedule,
        description="When the cheap checks run by themselves.",
        json_schema_extra={"default": {}},
    )
    history: History = Field(
        default_factory=History,
        description="How many runs are kept.",
        json_schema_extra={"default": {}},
    )

    @property
    def primary(self) -> Site:
        """The site where work begins."""
        return self.sites[0]

    def other(self, site: str) -> Site:
        """The site that is not the named one. Raises StopIteration when neither is."""
        return next(each for each in self.sites if each.name != site)


class RecoveryPlan(Resource):
    """Two sites of one engine, and how one takes over from the other."""

    kind_name: ClassVar[str] = "RecoveryPlan"

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="self.metadata.name.size() <= 40 && "
            "self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
            holds=lambda it: (
                len(it.metadata.name) <= 40
                and it.metadata.name[:1].isalpha()
                and "." not in it.metadata.name
            ),
            message="a RecoveryPlan's name starts with a letter, has letters, digits and dashes "
            "only, and at most 40 of them: labels carry it",
        ),
    )

    spec: RecoveryPlanSpec = Field(description="Two sites, and how one takes over.")
    status: RecoveryPlanStatus = Field(
        default_factory=RecoveryPlanStatus,
        description="Which site acts, and how well the other could; written by the operators.",
    )
