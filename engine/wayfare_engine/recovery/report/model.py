"""A report as plain values: what the page draws and what `--json` prints. Nothing here is guessed:
what is not known is None, or `Unknown`, and is named among the `unknowns`."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

FORMAT = "wayfare.report/1"


@dataclass(frozen=True, kw_only=True)
class Head:
    """Which run this is, and how it ended. `state` as of the records; `verdict` of the run."""

    plan: str
    number: int
    name: str
    uid: str
    kind: str
    target: str
    state: str
    verdict: str
    requested_at: datetime
    ended_at: datetime | None
    summary: str


@dataclass(frozen=True, kw_only=True)
class People:
    """Who asked for it and why, and what they vouched for."""

    requested_by: str
    reason: str
    statement: str | None
    scenario: dict[str, Any] | None
    fault_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class Ruling:
    """A person's decision on a step: Approve, Retry or Abandon."""

    step: str
    attempt: int
    decision: str
    approver: str
    reason: str
    at: datetime
    name: str
    evidence: str | None


@dataclass(frozen=True, kw_only=True)
class AttemptSeen:
    """One attempt of a step. `outcome`: Succeeded, Failed, or None while nothing came of it."""

    attempt: int
    by: str
    began_at: datetime
    ended_at: datetime | None
    outcome: str | None
    summary: str
    figures: dict[str, Any]
    evidence: str | None


@dataclass(frozen=True, kw_only=True)
class StepSeen:
    """A step of the procedure. `state` as in a RecoveryRun's status, or `ApprovedPast`."""

    name: str
    state: str
    runs_as: str
    no_way_back: bool
    attempts: tuple[AttemptSeen, ...]


@dataclass(frozen=True, kw_only=True)
class CheckSeen:
    """What a check found in an attempt of its step."""

    name: str
    level: str
    verdict: str
    gate: bool
    message: str
    figures: dict[str, Any]
    evidence: str | None
    as_of: datetime | None
    step: str
    attempt: int


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A time or a count against its objective. `met` is None when either is not known.

    `basis` says from what: for the recovery time FaultAt, LastBeat or Request; for what was lost
    Exact, Estimated or Unknown. `oldest_at`: the oldest record that was lost, which may be
    `oldest_within` seconds old by the plan's objective.
    """

    value: float | None
    objective: float | None
    met: bool | None
    basis: str
    oldest_at: datetime | None = None
    oldest_within: float | None = None


@dataclass(frozen=True, kw_only=True)
class RunSeen:
    """A run of the plan, for comparison."""

    number: int
    name: str
    kind: str
    at: datetime | None
    state: str
    verdict: str
    rto: Measured
    rpo: Measured


@dataclass(frozen=True, kw_only=True)
class Stranded:
    """What the lost site had and never shipped, and what became of it.

    `resolutions` and `rules` count rows; `unaccounted` is None when it is not known.
    """

    rows: int
    unaccounted: int | None
    resolutions: dict[str, int]
    rules: dict[str, int]
    oldest_at: str | None
    newest_at: str | None


@dataclass(frozen=True, kw_only=True)
class StrandedRow:
    """One such row, by its id. `resolution` and `rule` are None while it has no decision; `says` is
    the rule in words, `look` whether a person should look at the row."""

    id: str
    kind: str | None
    at: str | None
    resolution: str | None
    rule: str | None
    says: str | None
    look: bool


@dataclass(frozen=True, kw_only=True)
class StrandedRows:
    """The rows that a step decided about, those to look at first. `left_out` more are only in the
    evidence; `unread` of its pieces are missing or damaged."""

    step: str
    attempt: int
    rows: tuple[StrandedRow, ...]
    left_out: int
    unread: int


@dataclass(frozen=True, kw_only=True)
class Isolated:
    """A thing that was kept apart from the outside, and how."""

    what: str
    how: str


@dataclass(frozen=True, kw_only=True)
class Isolation:
    """How a drill was kept from the outside. `outward_sends` of `hand_overs` were not to its sink,
    by the drill's own ledger. None: nobody counted."""

    items: tuple[Isolated, ...]
    outward_sends: int | None
    hand_overs: int | None
    left: tuple[str, ...] | None


@dataclass(frozen=True, kw_only=True)
class SendsOf:
    """Sends of a channel: how many, and what would have become of them."""

    channel: str
    sends: int | None
    then: str


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """What the loss that a drill rehearsed would have cost. `rows` would have been stranded, on
    the given basis; None: not known."""

    lost: str
    channel: str | None
    at_position: int | None
    said: str
    rows: int | None
    basis: str
    arithmetic: str
    in_doubt: tuple[SendsOf, ...]
    fell_back: tuple[SendsOf, ...]
    waits: tuple[SendsOf, ...]


@dataclass(frozen=True, kw_only=True)
class Replay:
    """Recorded decisions that were decided again. None: not known."""

    replayed: int | None
    differences: int | None
    reasons: dict[str, int]


@dataclass(frozen=True, kw_only=True)
class RequestSeen:
    """What this site asked the other one to do, and its answer. `signed`: True, False, or None
    when the key to check it with was not given."""

    number: int
    to_site: str
    what: str
    at: datetime
    outcome: str | None
    message: str
    answered_at: datetime | None
    signed: bool | None


@dataclass(frozen=True, kw_only=True)
class EvidenceSeen:
    """An evidence object. `state`: Verified, Damaged, Missing. `text` is its content for people,
    cut at a length; `named_by` the steps and checks that refer to it."""

    digest: str
    path: str
    state: str
    size: int | None
    found_digest: str | None
    text: str | None
    whole: bool
    named_by: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ObjectSeen:
    """A record that this report was made from; `problem` when it could not be used."""

    path: str
    size: int
    sha256: str
    problem: str | None = None


@dataclass(frozen=True, kw_only=True)
class Sealed:
    """Whether the records are what they were when the run ended: how many were `compared` and are
    the same. None: the run has not ended, or its end does not say what they were."""

    compared: int | None
    added: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Made:
    """How the report came about."""

    at: datetime
    version: str
    store: str
    format: str = FORMAT


@dataclass(frozen=True, kw_only=True)
class Report:
    """The whole. `checks` are those of the newest attempt of each step, `earlier_checks` what
    attempts before it found. `history` has the plan's runs up to this one, the oldest first, this
    one last; `history_left_out` earlier ones were not read. `clock_from` and
    `clock_to`: when the clock of the recovery time started and stopped, by the steps' records."""

    made: Made
    head: Head
    people: People
    rulings: tuple[Ruling, ...]
    steps: tuple[StepSeen, ...]
    checks: tuple[CheckSeen, ...]
    earlier_checks: tuple[CheckSeen, ...]
    rto: Measured
    rpo: Measured
    clock_from: datetime | None
    clock_to: datetime | None
    history: tuple[RunSeen, ...]
    history_left_out: int
    isolation: Isolation | None
    scenario: Scenario | None
    stranded: Stranded | None
    stranded_rows: tuple[StrandedRows, ...]
    replay: Replay | None
    requests: tuple[RequestSeen, ...]
    evidence: tuple[EvidenceSeen, ...]
    objects: tuple[ObjectSeen, ...]
    sealed: Sealed
    unknowns: tuple[str, ...] = field(default=())

    def facts(self) -> dict[str, Any]:
        """For JSON: the same names in camelCase, times as ISO 8601."""
        found = _plain(self)
        assert isinstance(found, dict)
        return {"format": self.made.format, **found}


def _plain(value: Any) -> Any:
    if hasattr(value, "__dataclass_fields__"):
        return {_camel(name): _plain(getattr(value, name)) for name in value.__dataclass_fields__}
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    return value


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)
