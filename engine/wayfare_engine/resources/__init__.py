"""The models of all kinds of `wayfare.dev/v1alpha1`.

`parse` turns a plain object into its frozen model; `crd` gives a kind's CustomResourceDefinition.
"""

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
    "AttributeType",
    "Channel",
    "ChannelRef",
    "ChannelSpec",
    "ChannelStatus",
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
    "Reason",
    "ResourceError",
    "ResourceStatus",
    "Schedule",
    "Segment",
    "SegmentRef",
    "SegmentSpec",
    "SegmentStatus",
    "SlotNode",
    "Tenant",
    "Window",
    "canonical",
    "canonical_bytes",
    "crd",
    "parse",
    "parse_duration",
    "path_of",
    "spec_digest",
]
