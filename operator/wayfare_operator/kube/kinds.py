"""The kinds that the operator reads or writes, and their paths. No discovery is needed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import quote

Object = dict[str, Any]
"""A Kubernetes object as decoded JSON."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind and where the API server serves it."""

    group: str
    version: str
    plural: str
    name: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """`group/version`, or the version alone for the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None, name: str | None = None, sub: str | None = None) -> str:
        """URL path of a collection, an object or a subresource; no namespace means all."""
        parts = ["/apis", self.group, self.version] if self.group else ["/api", self.version]
        if self.namespaced and namespace is not None:
            parts += ["namespaces", quote(namespace, safe="")]
        parts.append(self.plural)
        if name is not None:
            parts.append(quote(name, safe=""))
        if sub is not None:
            parts.append(sub)
        return "/".join(parts)


class Ref(NamedTuple):
    """One object of a kind."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


GROUP = "wayfare.dev"
VERSION = "v1alpha1"

ENGINE = Kind(GROUP, VERSION, "engines", "Engine")
SEGMENT = Kind(GROUP, VERSION, "segments", "Segment")
JOURNEY = Kind(GROUP, VERSION, "journeys", "Journey")
CHANNEL = Kind(GROUP, VERSION, "channels", "Channel")
RECOVERY_PLAN = Kind(GROUP, VERSION, "recoveryplans", "RecoveryPlan")
RECOVERY_RUN = Kind(GROUP, VERSION, "recoveryruns", "RecoveryRun")
APPROVAL = Kind(GROUP, VERSION, "approvals", "Approval")
RECOVERY = (RECOVERY_PLAN, RECOVERY_RUN, APPROVAL)
OURS = (ENGINE, SEGMENT, JOURNEY, CHANNEL, *RECOVERY)

DEPLOYMENT = Kind("apps", "v1", "deployments", "Deployment")
STATEFUL_SET = Kind("apps", "v1", "statefulsets", "StatefulSet")
SERVICE = Kind("", "v1", "services", "Service")
CONFIG_MAP = Kind("", "v1", "configmaps", "ConfigMap")
SERVICE_ACCOUNT = Kind("", "v1", "serviceaccounts", "ServiceAccount")
DISRUPTION_BUDGET = Kind("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget")
AUTOSCALER = Kind("autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler")
NETWORK_POLICY = Kind("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy")
CHILDREN = (
    SERVICE_ACCOUNT,
    CONFIG_MAP,
    SERVICE,
    STATEFUL_SET,
    DEPLOYMENT,
    DISRUPTION_BUDGET,
    AUTOSCALER,
    NETWORK_POLICY,
)
"""What the operator makes and puts right, in the order in which it is applied."""

ENDPOINT_SLICE = Kind("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice")
POD = Kind("", "v1", "pods", "Pod")
OBSERVED = (ENDPOINT_SLICE, POD)
"""What the operator only reads."""

JOB = Kind("batch", "v1", "jobs", "Job")
"""A data step of a run: made once and never put right."""

WATCHED = (*CHILDREN, *OBSERVED, JOB)
"""All that is watched beside our own kinds, where it has our label."""

HTTP_ROUTE = Kind("gateway.networking.k8s.io", "v1", "httproutes", "HTTPRoute")

NAMESPACE = Kind("", "v1", "namespaces", "Namespace", namespaced=False)
SECRET = Kind("", "v1", "secrets", "Secret")
EVENT = Kind("events.k8s.io", "v1", "events", "Event")
LEASE = Kind("coordination.k8s.io", "v1", "leases", "Lease")

BY_NAME = {kind.name: kind for kind in (*OURS, *WATCHED, NAMESPACE, SECRET)}


def ref_of(kind: Kind, obj: Object) -> Ref:
    """The reference to an object."""
    metadata = obj["metadata"]
    return Ref(kind.name, metadata.get("namespace", ""), metadata["name"])
