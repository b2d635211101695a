"""What is kept of a run in the store. Times are the writer's wall clock: for people, and for the
figures of a report, never for a decision.

Digests are `sha256:<64 hex>`; objects are JSON, with the names of these fields.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from wayfare_engine.decoding import known
from wayfare_engine.resources import CheckLevel, RunKind, RunState, Verdict

FORMAT = 1
"""Of every record here. A record of a higher one is not read."""


class Outcome(StrEnum):
    """What became of an attempt, or of a request."""

    SUCCEEDED = "Succeeded"
    FAILED = "Failed"


class Decision(StrEnum):
    """What a person decided about a step."""

    APPROVE = "Approve"
    RETRY = "Retry"
    ABANDON = "Abandon"


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What all records have in common."""

    format: int = FORMAT


class LostPart(Record, frozen=True, kw_only=True):
    """What a drill takes to be lost."""

    lost: str
    channel: str | None = None
    at_position: int | None = None


class Run(Record, frozen=True, kw_only=True):
    """A run, whose number is taken by it. `uid` is the RecoveryRun object's, `name` its name,
    `target` the site that is to act, which drives the run. `statement` is a person's word."""

    plan: str
    number: int
    kind: RunKind
    target: str
    name: str
    uid: str
    requested_by: str
    reason: str
    at: datetime
    fault_at: datetime | None = None
    statement: str | None = None
    scenario: LostPart | None = None


class Attempt(Record, frozen=True, kw_only=True):
    """An attempt of a step of run `run` begins; `by` is who makes it (a pod, an operator)."""

    run: int
    step: str
    attempt: int
    at: datetime
    by: str


class CheckResult(msgspec.Struct, frozen=True, kw_only=True):
    """What one check found. `gate`: whether it bars the way when it did not pass."""

    name: str
    level: CheckLevel
    verdict: Verdict
    gate: bool
    message: str
    as_of: datetime
    figures: dict[str, Any] = {}
    evidence: str | None = None


class StepResult(Record, frozen=True, kw_only=True):
    """What became of an attempt of a step."""

    run: int
    step: str
    attempt: int
    outcome: Outcome
    began_at: datetime
    ended_at: datetime
    summary: str
    by: str
    figures: dict[str, Any] = {}
    checks: tuple[CheckResult, ...] = ()
    evidence: str | None = None


class Rto(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How long it took, in seconds; keys as in the RecoveryRun's status. `from_` is FaultAt,
    LastBeat or Request. What is not known is absent."""

    seconds: float | None = None
    objective_seconds: float | None = msgspec.field(default=None, name="objectiveSeconds")
    met: bool | None = None
    from_: str | None = msgspec.field(default=None, name="from")


class Rpo(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was lost, in rows; keys as in the RecoveryRun's status. `basis` is Estimated, Exact or
    Unknown. What is not known is absent."""

    rows: int | None = None
    oldest_at: datetime | None = msgspec.field(default=None, name="oldestAt")
    basis: str | None = None
    met: bool | None = None
    objective_seconds: float | None = msgspec.field(default=None, name="objectiveSeconds")


class RunEnd(Record, frozen=True, kw_only=True):
    """What became of a run: Succeeded, Abandoned, or Failed when nobody goes on with it."""

    run: int
    state: RunState
    verdict: Verdict
    at: datetime
    summary: str
    rto: Rto | None = None
    rpo: Rpo | None = None
    evidence: str | None = None


class Request(Record, frozen=True, kw_only=True):
    """What `from_site`, which drives the run, asks of `to_site`: `what` (such as Quiesce) with
    `arguments`, for one attempt of a step. The signature covers plan and uid of the run too."""

    run: int
    number: int
    from_site: str
    to_site: str
    step: str
    attempt: int
    what: str
    arguments: dict[str, Any] = {}
    at: datetime
    signature: str


class Answer(Record, frozen=True, kw_only=True):
    """What the other site answers to request `number`; it is bound to the request's signature."""

    run: int
    number: int
    outcome: Outcome
    figures: dict[str, Any] = {}
    message: str
    at: datetime
    by: str
    signature: str


class ApprovalRecord(Record, frozen=True, kw_only=True):
    """An Approval object that was obeyed: `name` and `uid` are its own."""

    run: int
    number: int
    name: str
    uid: str
    step: str
    attempt: int
    decision: Decision
    approver: str
    reason: str
    at: datetime
    evidence: str | None = None


class Versions(msgspec.Struct, frozen=True, kw_only=True):
    """What runs at a site; None is unknown. `schema` is the database's revision."""

    operator: str | None = None
    image: str | None = None
    schema: str | None = None
    kubernetes: str | None = None


class Capacity(msgspec.Struct, frozen=True, kw_only=True):
    """What pods can be given at a site: CPU and memory as Kubernetes quantities."""

    cpu: str | None = None
    memory: str | None = None
    pods: int | None = None


class Digests(msgspec.Struct, frozen=True, kw_only=True):
    """Of what a site serves. `secrets`: name to the keyed digest of its content, None when the
    secret is not there or nobody may read it."""

    plan: str | None = None
    configuration: str | None = None
    secrets: dict[str, str | None] = {}


class Beacon(Record, frozen=True, kw_only=True):
    """What a site's operator says of the site. `writer` (the operator's pod) and `number` make
    each different from the one before. `run` is the number of the run that the site drives."""

    site: str
    at: datetime
    writer: str
    number: int
    awake: bool
    awake_since: datetime | None = None
    phase: str | None = None
    run: int | None = None
    versions: Versions = Versions()
    capacity: Capacity = Capacity()
    digests: Digests = Digests()
    figures: dict[str, Any] = {}


known(Run, Attempt, StepResult, RunEnd, Request, Answer, ApprovalRecord, Beacon)
