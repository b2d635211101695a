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
    READY_TO_TAKE_OVER = "ReadyToTakeOver"
    LEASE_LAPSED = "LeaseLapsed"
    WITNESS_SHARED = "WitnessShared"
    CONFIGURATION_DRIFT = "ConfigurationDrift"
    WINDOW_MISSED = "WindowMissed"
    SENDS_HELD = "SendsHeld"


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
    UP_TO_DATE = (
        "UpToDate",
        "Engine Segment Journey Channel RecoveryPlan RecoveryRun Approval",
        "Nothing is left to do.",
    )

    # What its author can put right.
    INVALID_SPEC = (
        "InvalidSpec",
        "Engine Segment Journey Channel RecoveryPlan RecoveryRun Approval",
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
        "Segment Journey Channel RecoveryPlan RecoveryRun",
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
        "Channel RecoveryPlan",
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

    # Runs of recovery, and what people decide about them.
    RUN_UNDER_WAY = "RunUnderWay", "RecoveryRun", "A step is being made."
    ABANDONING = "Abandoning", "RecoveryRun", "It was abandoned, and takes back what it did."
    WAITING_FOR_APPROVAL = (
        "WaitingForApproval",
        "RecoveryRun",
        "A gate did not pass; it waits for an Approval.",
    )
    STEP_FAILED = (
        "StepFailed",
        "RecoveryRun",
        "A step failed; it waits for an Approval to try it again, or to abandon the run.",
    )
    STEP_STARTED = "StepStarted", "RecoveryRun", "An attempt of a step began."
    STEP_SUCCEEDED = "StepSucceeded", "RecoveryRun", "A step has its result."
    RUN_SUCCEEDED = "RunSucceeded", "RecoveryRun", "Every step succeeded."
    RUN_FAILED = "RunFailed", "RecoveryRun", "It ended, and not every step succeeded."
    RUN_ABANDONED = (
        "RunAbandoned",
        "RecoveryRun",
        "A person ended it, and it took back what it did.",
    )
    RUN_IN_PROGRESS = "RunInProgress", "RecoveryRun", "Another run of the plan has not ended."
    PLAN_NOT_FOUND = (
        "PlanNotFound",
        "RecoveryRun",
        "There is no RecoveryPlan of that name in this namespace, or its spec does not work.",
    )
    RUN_NOT_FOUND = (
        "RunNotFound",
        "Approval",
        "There is no RecoveryRun of that name in this namespace.",
    )
    OBJECT_STORE_MISSING = (
        "ObjectStoreMissing",
        "RecoveryRun",
        "The Engine names no object store, so nothing can be taken over.",
    )
    OBJECT_STORE_UNAVAILABLE = (
        "ObjectStoreUnavailable",
        "RecoveryRun",
        "The object store does not answer, or what it holds cannot be read; it is tried again.",
    )
    COUNTED = "Counted", "Approval", "The run goes by it."
    NOT_COUNTED = "NotCounted", "Approval", "The run does not go by it; the message says why."

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

    # Recovery plans: what is told beside Ready. WindowMissed, SendsHeld and the like are conditions
    # and reasons of one name.
    PLAN_IN_FORCE = (
        "InForce",
        "RecoveryPlan",
        "The object store is read, and this site does what the plan says.",
    )
    STORE_UNREADABLE = (
        "StoreUnreadable",
        "RecoveryPlan",
        "The object store does not answer this site's operator, so what is in it is not known.",
    )
    STORE_FOREIGN = (
        "StoreForeign",
        "RecoveryPlan",
        "The object store belongs to another plan, or was written by a newer version.",
    )
    STORE_DAMAGED = (
        "StoreDamaged",
        "RecoveryPlan",
        "An object in the store is not what belongs there; the message names it.",
    )
    NO_OBJECT_STORE = (
        "NoObjectStore",
        "RecoveryPlan",
        "The Engine has no spec.stores.objectStore, which two sites need.",
    )
    SITE_UNKNOWN = (
        "SiteUnknown",
        "RecoveryPlan",
        "This operator's site is none of the plan's two.",
    )
    ENGINE_TAKEN = (
        "EngineTaken",
        "RecoveryPlan",
        "An older RecoveryPlan covers the same Engine.",
    )
    WINDOW_BLOCKED = (
        "WindowBlocked",
        "RecoveryPlan",
        "A window overlaps a blocked one, and does not open then.",
    )
    OBJECTIVE_TOO_SHORT = (
        "ObjectiveTooShort",
        "RecoveryPlan",
        "The recovery time objective is shorter than the lease's wait alone.",
    )
    THIS_SITE_ACTS = "ThisSiteActs", "RecoveryPlan", "This site holds the highest epoch."
    OTHER_SITE_ACTS = "OtherSiteActs", "RecoveryPlan", "The other site holds the highest epoch."
    ACTING_SITE_HEARD = "ActingSiteHeard", "RecoveryPlan", "The acting site is heard of."
    ACTING_SITE_SILENT = (
        "ActingSiteSilent",
        "RecoveryPlan",
        "Neither the acting site's engine nor its operator is heard of: the message says what to "
        "do.",
    )
    ENGINE_SILENT = (
        "EngineSilent",
        "RecoveryPlan",
        "The acting site's engine is not heard of, and its operator is.",
    )
    LISTENING = "Listening", "RecoveryPlan", "It has not been listened for long enough to tell."
    LEASE_WAIT = "LeaseWait", "RecoveryPlan", "The epoch is taken, and its wait is not over."
    SENDS_OPEN = "SendsOpen", "RecoveryPlan", "No channel says that its sends are held."
    NO_WINDOW_YET = "NoWindowYet", "RecoveryPlan", "No window has ended yet."
    WINDOW_DONE = "WindowDone", "RecoveryPlan", "The last window did what it is for."
    WINDOW_MISSED = "WindowMissed", "RecoveryPlan", "A window passed without the site waking."
    ENDED_BEFORE_CATCH_UP = (
        "EndedBeforeCatchUp",
        "RecoveryPlan",
        "A window was over before the site had caught up.",
    )
    ENDED_BEFORE_VERIFY = (
        "EndedBeforeVerify",
        "RecoveryPlan",
        "A window was over before the site was checked.",
    )
    DRILL_OVERRAN = "DrillOverran", "RecoveryPlan", "A drill goes on for too long."
    DRILL_SKIPPED = "DrillSkipped", "RecoveryPlan", "A scheduled drill did not start; why is said."
    TAKING_BACK = (
        "TakingBack",
        "RecoveryPlan",
        "The target of a planned move is silent: this site, which stopped for it, goes on.",
    )
    TOOK_BACK = "TookBack", "RecoveryPlan", "This site goes on after such a move; how is said."
    DRILL_STARTED = "DrillStarted", "RecoveryPlan", "A scheduled drill was started."
    WITHIN_OBJECTIVES = (
        "WithinObjectives",
        "RecoveryPlan",
        "A failover now would meet the objectives; the message has the arithmetic.",
    )
    OVER_OBJECTIVE = (
        "OverObjective",
        "RecoveryPlan",
        "A failover now would take longer than the objective; the message has the arithmetic.",
    )
    NOT_MEASURED = (
        "NotMeasured",
        "RecoveryPlan",
        "A part of the estimate was never measured.",
    )
    NEVER_CAUGHT_UP = (
        "NeverCaughtUp",
        "RecoveryPlan",
        "The standby has never caught up with the journal.",
    )
    RECORDS_AT_RISK = (
        "RecordsAtRisk",
        "RecoveryPlan",
        "Records have not been in the journal for longer than the objective allows.",
    )
    STANDBY_SILENT = (
        "StandbySilent",
        "RecoveryPlan",
        "The standby's operator is not heard of, so its readiness is not known.",
    )
    NOT_COMPARED = (
        "NotCompared",
        "RecoveryPlan",
        "The sites' configuration was not compared; the message says why.",
    )
    SAME_CONFIGURATION = "SameConfiguration", "RecoveryPlan", "Both sites have the same objects."
    CONFIGURATION_DIFFERS = (
        "ConfigurationDiffers",
        "RecoveryPlan",
        "The sites' objects differ: see status.drift.",
    )
    CONFIG_CONFLICT = (
        "ConfigConflict",
        "RecoveryPlan",
        "Argo CD, Flux or the like keeps objects that a Bundle, or sleeping, would change.",
    )
    NOT_DECLARED = "NotDeclared", "RecoveryPlan", "A failure domain is not declared."
    SAME_FAILURE_DOMAIN = (
        "SameFailureDomain",
        "RecoveryPlan",
        "The object store is lost together with a site.",
    )
    OWN_FAILURE_DOMAIN = (
        "OwnFailureDomain",
        "RecoveryPlan",
        "The object store is not lost together with a site.",
    )
    ASLEEP = (
        "Asleep",
        "Engine Channel",
        "A RecoveryPlan keeps this site asleep: no pod runs, and none is missing.",
    )
