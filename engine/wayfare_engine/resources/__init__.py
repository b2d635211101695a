"""The models of all kinds of `wayfare.dev/v1alpha1`.

`parse` turns a plain object into its frozen model; `crd` gives a kind's CustomResourceDefinition.
"""

from .approval import Approval, ApprovalSpec
from .channel import Channel, ChannelSpec, ChannelStatus
from .crd import crd
from .engine import AttributeType, CustomerAttribute, Engine, EngineSpec
from .engine_status import EngineStatus
from .fields import parse_duration
from .journey import Journey, JourneySpec, JourneyStatus
from .kinds import API_VERSION, CATEGORY, FIELD_MANAGER, GROUP, KINDS, VERSION, Kind
from .model import Metadata, Model, canonical, canonical_bytes
from .nodes import NODE_TYPES, Node, SlotNode
from .parse import AnyResource, ResourceError, parse, path_of, spec_digest
from .reasons import ConditionType, Reason
from .recovery_plan import RecoveryPlan, RecoveryPlanSpec
from .recovery_plan_status import RecoveryPlanStatus
from .recovery_run import RecoveryRun, RecoveryRunSpec, Scenario
from .recovery_run_status import CheckStatus, RecoveryRunStatus, StepStatus
from .recovery_words import CheckLevel, Phase, RunKind, RunState, StepState, Verdict
from .references import AllowedNamespaces, ChannelRef, EngineRef, SegmentRef, Tenant
from .segment import Segment, SegmentSpec, SegmentStatus
from .status import Condition, ResourceStatus
from .timing import Schedule, Window

__all__ = [
    "API_VERSION",
    "CATEGORY",
    "FIELD_MANAGER",
    "GROUP",
    "KINDS",
    "NODE_TYPES",
    "VERSION",
    "AllowedNamespaces",
    "AnyResource",
    "Approval",
    "ApprovalSpec",
    "AttributeType",
    "Channel",
    "ChannelRef",
    "ChannelSpec",
    "ChannelStatus",
    "CheckLevel",
    "CheckStatus",
    "Condition",
    "ConditionType",
    "CustomerAttribute",
    "Engine",
    "EngineRef",
    "EngineSpec",
    "EngineStatus",
    "Journey",
    "JourneySpec",
    "JourneyStatus",
    "Kind",
    "Metadata",
    "Model",
    "Node",
    "Phase",
    "Reason",
    "RecoveryPlan",
    "RecoveryPlanSpec",
    "RecoveryPlanStatus",
    "RecoveryRun",
    "RecoveryRunSpec",
    "RecoveryRunStatus",
    "ResourceError",
    "ResourceStatus",
    "RunKind",
    "RunState",
    "Scenario",
    "Schedule",
    "Segment",
    "SegmentRef",
    "SegmentSpec",
    "SegmentStatus",
    "SlotNode",
    "StepState",
    "StepStatus",
    "Tenant",
    "Verdict",
    "Window",
    "canonical",
    "canonical_bytes",
    "crd",
    "parse",
    "parse_duration",
    "path_of",
    "spec_digest",
]
