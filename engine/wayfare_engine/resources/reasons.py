"""Condition types and reasons, each spelled once. Event reasons are the same words."""

from __future__ import annotations

from enum import StrEnum


class ConditionType(StrEnum):
    """What a condition is about."""

    READY = "Ready"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"
    EVALUATION_STORES = "EvaluationStores"
    AUTHENTICATION_DISABLED = "AuthenticationDisabled"
    DEGRADED = "Degraded"


class Reason(StrEnum):
    """Why a condition is what it is. `meaning` says it in a sentence, `kinds` where it occurs."""

    meaning: str
    kinds: tuple[str, ...]

    def __new__(cls, value: str, kinds: str, meaning: str) -> Reason:
        member = str.__new__(cls, value)
        member._value_ = value
        member.kinds = tuple(kinds.split())
        member.meaning = meaning
        return member

    # Good.
    SERVING = "Serving", "Engine", "Pods are ready, and every one serves the newest plan."
    COMPUTED = "Computed", "Segment", "The members were computed for this spec."
    PUBLISHED = "Published", "Journey", "Every serving pod has acknowledged a plan that holds it."
    SENDING = "Sending", "Channel", "A worker sends through it, by this spec."

    # On the way.
    PODS_NOT_READY = "PodsNotReady", "Engine Channel", "Not enough pods are ready yet."
    WAITING_FOR_ENGINE = (
        "WaitingForEngine",
        "Segment Journey Channel",
        "The engine exists and does not work yet; its own conditions say why.",
    )
    COMPUTING = "Computing", "Segment", "The worker computes the members."
    PUBLISHING = (
        "Publishing",
        "Engine Journey Channel",
        "The plan is out, and not every serving pod has acknowledged it.",
    )
    NO_SERVING_PODS = "NoServingPods", "Engine Journey", "No pod is ready to serve the plan."
    PAUSED = "Paused", "Journey Channel", "The spec says paused."
    UP_TO_DATE = "UpToDate", "Engine Segment Journey Channel", "Nothing is left to do."

    # What its author can put right.
    INVALID_SPEC = (
        "InvalidSpec",
        "Engine Segment Journey Channel",
        "A field has a value that cannot work.",
    )
    SYNTAX_ERROR = "SyntaxError", "Segment Journey", "A rule is not CEL."
    TYPE_ERROR = "TypeError", "Segment Journey", "A rule's types do not fit together."
    UNKNOWN_ATTRIBUTE = (
        "UnknownAttribute",
        "Segment Journey Channel",
        "A rule, a template or addressAttribute names an attribute that is neither declared nor "
        "imported.",
    )
    TEMPLATE_INVALID = (
        "TemplateInvalid",
        "Channel",
        "A part of the template is not Jinja, or uses what templates do not have.",
    )
    UNKNOWN_SEGMENT = (
        "UnknownSegment",
        "Segment Journey",
        "A rule names a segment that does not exist or does not compile.",
    )
    SEGMENT_CYCLE = "SegmentCycle", "Segment", "Segments refer to each other in a circle."
    TOO_COMPLEX = "TooComplex", "Segment Journey", "A rule is too long or too deep."
    NOT_SUPPORTED_YET = (
        "NotSupportedYet",
        "Segment Journey",
        "The spec uses something that a later version will do.",
    )
    ENGINE_NOT_FOUND = (
        "EngineNotFound",
        "Segment Journey Channel",
        "There is no Engine of that name in this namespace.",
    )
    REF_NOT_PERMITTED = (
        "RefNotPermitted",
        "Segment Journey Channel",
        "A reference into another namespace has no grant there, or leads to nothing.",
    )
    TENANT_LIMIT_EXCEEDED = (
        "TenantLimitExceeded",
        "Segment Journey",
        "The namespace's tenant may not have this priority, slot or number of them.",
    )
    FALLBACK_CYCLE = "FallbackCycle", "Channel", "Fallbacks lead back to the channel."
    CHANNEL_MISSING = "ChannelMissing", "Journey Channel", "A channel that is named does not exist."
    PLUGIN_UNKNOWN = (
        "PluginUnknown",
        "Channel",
        "No installed package brings a plugin of that name; the message lists those there are.",
    )
    SECRET_MISSING = "SecretMissing", "Engine Channel", "A Secret or a key in it is missing."

    # What the platform's people can put right.
    WORKER_UNREACHABLE = (
        "WorkerUnreachable",
        "Engine",
        "The worker does not answer, so the state of the engine is not known.",
    )
    STORES_UNAVAILABLE = "StoresUnavailable", "Engine", "A store does not answer."
    POD_FAILED = "PodFailed", "Engine Channel", "A pod cannot start; the message says what it says."
    PLAN_REFUSED = "PlanRefused", "Engine", "The worker refused the plan, as of a newer version."
    SENDS_HELD = (
        "SendsHeld",
        "Channel",
        "This site has not the right to act, or cannot prove it: sends wait.",
    )
    HOST_UNREACHABLE = (
        "HostUnreachable",
        "Channel",
        "Nothing leaves: the message says what the workers find.",
    )
    COMPUTE_FAILED = "ComputeFailed", "Segment", "Computing the members failed."
    APPLY_FAILED = "ApplyFailed", "Engine Channel", "The API server refused an object of it."
    CONFLICT = (
        "Conflict",
        "Engine Channel",
        "An object of the needed name belongs to somebody else.",
    )

    # Told, not judged.
    BREAKER_OPEN = (
        "BreakerOpen",
        "Channel",
        "Too many sends failed or were slow; it is tried again.",
    )
    BREAKER_FORCED = (
        "BreakerForced",
        "Channel",
        "The spec says that the breaker is open, or closed.",
    )
    BREAKER_CLOSED = "BreakerClosed", "Channel", "Sends decide, and they go well."
    MANAGED_STORES = (
        "ManagedStores",
        "Engine",
        "The stores are of evaluation grade: one pod each, no backup, not for production.",
    )
    AUTHENTICATION_NONE = (
        "AuthenticationNone",
        "Engine",
        "The spec says that anybody may ask for decisions.",
    )
