"""The kinds: what they are called, and what `kubectl get` shows of them."""

from __future__ import annotations

from dataclasses import dataclass

from .approval import Approval
from .channel import Channel
from .engine import Engine
from .journey import Journey
from .model import Resource
from .recovery_plan import RecoveryPlan
from .recovery_run import RecoveryRun
from .segment import Segment

GROUP = "wayfare.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
CATEGORY = "wayfare"
FIELD_MANAGER = "wayfare"

_READY = '.status.conditions[?(@.type=="Ready")]'


@dataclass(frozen=True)
class Column:
    """A column of `kubectl get`; those with priority 1 are shown with `-o wide` only."""

    name: str
    path: str
    type: str = "string"
    description: str = ""
    priority: int = 0


@dataclass(frozen=True)
class Kind:
    """One kind: its names in the API, its model and its columns."""

    name: str
    plural: str
    short_name: str
    model: type[Resource]
    columns: tuple[Column, ...]

    @property
    def singular(self) -> str:
        """The name in lower case."""
        return self.name.lower()

    @property
    def crd_name(self) -> str:
        """The name of the CustomResourceDefinition."""
        return f"{self.plural}.{GROUP}"


_ENGINE_REF = Column("Engine", ".spec.engineRef.name", description="The engine it belongs to.")
_READY_COLUMNS = (
    Column("Ready", f"{_READY}.status", description="Whether it works as the spec says."),
    Column("Reason", f"{_READY}.reason", description="Why."),
)
_MESSAGE = Column("Message", f"{_READY}.message", description="Why, in a sentence.", priority=1)
_AGE = Column("Age", ".metadata.creationTimestamp", "date", "Since when it exists.")

KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(
            "Engine",
            "engines",
            "weng",
            Engine,
            (
                *_READY_COLUMNS,
                Column("Pods", ".status.pods.serving", "integer", "Serve pods that are ready."),
                Column(
                    "Current",
                    ".status.pods.acknowledged",
                    "integer",
                    "Ready serve pods that serve the newest plan.",
                ),
                Column("Journeys", ".status.plan.journeys", "integer", "Journeys in the plan."),
                Column("Customers", ".status.customers", "integer", "Customers known.", 1),
                Column("Plan", ".status.plan.digest", "string", "Digest of the plan.", 1),
                _MESSAGE,
                _AGE,
            ),
        ),
        Kind(
            "Segment",
            "segments",
            "wseg",
            Segment,
            (
                _ENGINE_REF,
                Column("Size", ".status.size", "integer", "How many customers it holds."),
                Column("As Of", ".status.asOf", "date", "Since when the size is known."),
                *_READY_COLUMNS,
                Column("Digest", ".status.digest", "string", "Digest of the members.", 1),
                _MESSAGE,
                _AGE,
            ),
        ),
        Kind(
            "Journey",
            "journeys",
            "wj",
            Journey,
            (
                _ENGINE_REF,
                Column("Priority", ".spec.priority", "integer", "Which journey wins a slot."),
                *_READY_COLUMNS,
                Column("Version", ".status.version", "string", "The version that is served."),
                Column("Published", ".status.publishedAt", "date", "Since when.", 1),
                _MESSAGE,
                _AGE,
            ),
        ),
        Kind(
            "Channel",
            "channels",
            "wch",
            Channel,
            (
                _ENGINE_REF,
                Column("Medium", ".spec.medium", description="What it carries."),
                Column("Plugin", ".spec.plugin.name", description="The program that sends."),
                *_READY_COLUMNS,
                Column("Health", ".status.health", description="How its sends go."),
                Column("Breaker", ".status.breaker.state", "string", "Where it stands.", 1),
                Column("Waiting", ".status.sends.waiting", "integer", "Sends that wait.", 1),
                Column("Unknown", ".status.sends.unknown", "integer", "Unknown outcomes.", 1),
                _MESSAGE,
                _AGE,
            ),
        ),
        Kind(
            "RecoveryPlan",
            "recoveryplans",
            "wrp",
            RecoveryPlan,
            (
                Column("Phase", ".status.phase", description="Where the plan stands."),
                Column("Acting", ".status.actingSite", description="The site that may act."),
                Column("Epoch", ".status.epoch", "integer", "Highest epoch that is known."),
                Column("Lag", ".status.lag.seconds", "integer", "Seconds the standby is behind."),
                Column(
                    "Ready To Take Over",
                    '.status.conditions[?(@.type=="ReadyToTakeOver")].status',
                    description="Whether a failover now would meet the objectives.",
                ),
                Column(
                    "RTO", ".status.lastProven.rtoSeconds", "integer", "Last proven, in seconds."
                ),
                Column("RPO", ".status.lastProven.rpoRows", "integer", "Last proven, in records."),
                Column(
                    "Awake", ".status.awake.hoursToday", "number", "Hours awake today, standby."
                ),
                Column("Run", ".status.run.name", "string", "The run that is going on.", 1),
                Column("Ready", f"{_READY}.status", "string", "Whether it works.", 1),
                Column("Reason", f"{_READY}.reason", "string", "Why.", 1),
                _MESSAGE,
                _AGE,
            ),
        ),
        Kind(
            "RecoveryRun",
            "recoveryruns",
            "wrr",
            RecoveryRun,
            (
                Column("Plan", ".spec.planRef.name", description="The plan."),
                Column("Kind", ".spec.kind", description="The procedure."),
                Column("Step", ".status.step", description="The step that it is at."),
                Column("State", ".status.state", description="How far it is."),
                Column("RTO", ".status.rto.seconds", "number", "Seconds until it served."),
                Column("RPO", ".status.rpo.rows", "integer", "Records lost."),
                Column("Verdict", ".status.verdict", description="What the checks found."),
                Column("Requested By", ".status.requestedBy", "string", "Who made it.", 1),
                _MESSAGE,
                _AGE,
            ),
        ),
        Kind(
            "Approval",
            "approvals",
            "wappr",
            Approval,
            (
                Column("Run", ".spec.runRef.name", description="The run."),
                Column("Step", ".spec.step", description="The step."),
                Column("Attempt", ".spec.attempt", "integer", "The attempt of it."),
                Column("Decision", ".spec.decision", description="What was decided."),
                Column("Approver", ".spec.approver", description="Who decided."),
                *_READY_COLUMNS,
                _MESSAGE,
                _AGE,
            ),
        ),
    )
}
