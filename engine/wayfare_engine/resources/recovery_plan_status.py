"""What the operators report of a recovery plan."""

from __future__ import annotations

from pydantic import Field

from .fields import Digest, atomic_list, list_map
from .model import Observed
from .status import LongText, Moment, ResourceStatus, StatusText


class LagStatus(Observed):
    """How far the standby is behind."""

    rows: int | None = Field(None, ge=0, description="Records that it has not applied.")
    seconds: int | None = Field(None, ge=0, description="Age of the oldest of these, in seconds.")
    as_of: Moment | None = Field(None, description="When this was so.")


class SiteVersions(Observed):
    """What runs at a site."""

    operator: StatusText | None = Field(None, description="Version of the operator.")
    image: StatusText | None = Field(None, description="Image of the engine.")
    schema_: StatusText | None = Field(
        None, alias="schema", description="Version of the database's schema."
    )
    kubernetes: StatusText | None = Field(None, description="Version of the API server.")


class SiteCapacity(Observed):
    """What pods can be given at a site."""

    cpu: StatusText | None = Field(None, description="CPU, as a quantity.")
    memory: StatusText | None = Field(None, description="Memory, as a quantity.")
    pods: int | None = Field(None, ge=0, description="Pods.")


class SiteStatus(Observed):
    """One site, as it says of itself."""

    name: StatusText = Field(description="Name of the site.")
    state: StatusText | None = Field(
        None, description="Acting, Standby, Waking, Asleep, Isolated or Unknown, in one word."
    )
    last_beacon: Moment | None = Field(None, description="When it last said something.")
    versions: SiteVersions | None = Field(None, description="What runs there.")
    capacity: SiteCapacity | None = Field(None, description="What pods can be given there.")


class TakeoverStatus(Observed):
    """How long a failover would take, were it now."""

    estimated_seconds: int | None = Field(None, ge=0, description="Seconds in all.")
    arithmetic: LongText | None = Field(None, description="Of what they are made up.")
    as_of: Moment | None = Field(None, description="When this was reckoned.")


class ProvenStatus(Observed):
    """What the last run that succeeded really took."""

    run: StatusText | None = Field(None, description="Name of the run.")
    rto_seconds: int | None = Field(None, ge=0, description="Seconds until it was seen to serve.")
    rpo_rows: int | None = Field(None, ge=0, description="Records that were lost meanwhile.")
    at: Moment | None = Field(None, description="When.")


class HoursByCause(Observed):
    """Hours that the standby was awake, by what woke it."""

    window: float | None = Field(None, ge=0, description="For its windows.")
    drill: float | None = Field(None, ge=0, description="For drills.")
    emergency: float | None = Field(None, ge=0, description="Because it acts, or is about to.")


class AwakeStatus(Observed):
    """How much the standby is awake, and what that saves."""

    hours_today: float | None = Field(None, ge=0, description="Hours awake since midnight, UTC.")
    share: float | None = Field(
        None, ge=0, le=1, description="Part of the last 24 hours that it was awake."
    )
    pod_hours: HoursByCause | None = Field(None, description="Pod hours of the last 24 hours.")
    volume_hours: HoursByCause | None = Field(
        None, description="Volume hours of the last 24 hours."
    )
    always_on: tuple[StatusText, ...] = Field(
        (),
        description="What stays on, and is not counted.",
        max_length=16,
        json_schema_extra=atomic_list(),
    )
    saved_share: float | None = Field(
        None, ge=0, le=1, description="Part of the hours that are saved by sleeping."
    )
    saving: StatusText | None = Field(
        None, description="The saving of the last 24 hours by the plan's prices, with currency."
    )


class LevelStatus(Observed):
    """What the checks of one level found last."""

    verdict: StatusText = Field(description="Passed, Failed or Unknown. What is stale is Unknown.")
    as_of: Moment | None = Field(None, description="When it was looked at.")
    evidence: Digest | None = Field(None, description="Digest of what was found, in the store.")
    message: LongText | None = Field(None, description="What it is, in a sentence.")


class ConsistencyStatus(Observed):
    """What the cheap checks found last, at four levels."""

    system: LevelStatus | None = Field(None, description="Pods, stores, versions, capacity.")
    data: LevelStatus | None = Field(None, description="Ledger, journal and projections.")
    service: LevelStatus | None = Field(None, description="Decisions and channels.")
    business: LevelStatus | None = Field(None, description="Contacts, caps and journeys.")


class Drift(Observed):
    """One thing that the sites have otherwise."""

    object: StatusText = Field(description="What differs, as Kind namespace/name.")
    difference: LongText | None = Field(None, description="In what it differs.")


class OpenRun(Observed):
    """The run that is going on, here or at the other site."""

    name: StatusText = Field(description="Its name.")
    kind: StatusText | None = Field(None, description="Its kind.")
    step: StatusText | None = Field(None, description="The step that it is at.")


class RecoveryPlanStatus(ResourceStatus):
    """Which site acts, and how well the other could."""

    phase: StatusText | None = Field(
        None, description="Production, Switching, Emergency, Drill or Failback."
    )
    acting_site: StatusText | None = Field(None, description="Site that may act.")
    epoch: int | None = Field(None, ge=0, description="Highest epoch that is known.")
    lag: LagStatus | None = Field(None, description="How far the standby is behind.")
    sites: tuple[SiteStatus, ...] = Field(
        (),
        description="Each site, as it says of itself.",
        max_length=2,
        json_schema_extra=list_map("name"),
    )
    takeover: TakeoverStatus | None = Field(None, description="How long a failover would take now.")
    last_proven: ProvenStatus | None = Field(
        None, description="What the last run that succeeded took."
    )
    awake: AwakeStatus | None = Field(None, description="How much the standby is awake.")
    consistency: ConsistencyStatus | None = Field(
        None, description="What the cheap checks found last."
    )
    drift: tuple[Drift, ...] = Field(
        (),
        description="What the sites have otherwise, at most 20.",
        max_length=20,
        json_schema_extra=atomic_list(),
    )
    run: OpenRun | None = Field(None, description="The run that is going on.")
    next_window: Moment | None = Field(None, description="When the standby wakes next.")
    next_drill: Moment | None = Field(None, description="When the next drill starts.")
