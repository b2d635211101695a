"""Names, labels and owner references of what the operator makes."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from wayfare_engine.resources import Channel, Engine, RecoveryPlan, RecoveryRun
from wayfare_operator.kube.kinds import GROUP, VERSION, Kind, Object

MANAGED_BY = "wayfare-operator"
MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
COMPONENT_LABEL = "app.kubernetes.io/component"
ENGINE_LABEL = "wayfare.dev/engine"
DESIRED_ANNOTATION = "wayfare.dev/desired"
REPLICAS_ANNOTATION = "wayfare.dev/initial-replicas"

CHANNEL_LABEL = "wayfare.dev/channel"
RUN_LABEL = "wayfare.dev/recovery-run"
ATTEMPT_LABEL = "wayfare.dev/recovery-attempt"
"""Which attempt of its step a pod was made for."""
DRILL_LABEL = "wayfare.dev/drill"
"""On pods of a drill, and on nothing else: its network policy selects them by it."""
PLAN_LABEL = "wayfare.dev/recovery-plan"

SERVE, WORKER, POSTGRESQL, VALKEY = "serve", "worker", "postgresql", "valkey"
CHANNEL_HOST = "channel"
RECOVERY = "recovery"
DRILL_STORES, DRILL_ENGINE = "drill-stores", "drill-engine"
SERVE_PORT, WORKER_PORT, POSTGRESQL_PORT, VALKEY_PORT = 8080, 8081, 5432, 6379
CHANNEL_PORT = 8082


def selector(engine: str, component: str) -> dict[str, str]:
    """Labels that pick one component's pods. They never change: selectors are immutable."""
    return {
        "app.kubernetes.io/name": "wayfare",
        "app.kubernetes.io/instance": engine,
        COMPONENT_LABEL: component,
    }


def labels(engine: str, component: str | None) -> dict[str, str]:
    """Labels of every object and pod of an engine."""
    common = {
        "app.kubernetes.io/name": "wayfare",
        "app.kubernetes.io/instance": engine,
        MANAGED_BY_LABEL: MANAGED_BY,
        ENGINE_LABEL: engine,
    }
    return common if component is None else {**common, COMPONENT_LABEL: component}


def channel_labels(channel: str) -> dict[str, str]:
    """Labels of every object and pod of a channel. They have no engine's: its pods are its own."""
    return {
        **selector(channel, CHANNEL_HOST),
        MANAGED_BY_LABEL: MANAGED_BY,
        CHANNEL_LABEL: channel,
    }


def owner(resource: Engine | Channel | RecoveryPlan | RecoveryRun) -> dict[str, Any]:
    """The reference by which the garbage collector takes a child away with its owner."""
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": resource.kind_name,
        "name": resource.metadata.name,
        "uid": resource.metadata.uid,
        "controller": True,
        "blockOwnerDeletion": False,
    }


def child(
    engine: Engine,
    kind: Kind,
    name: str,
    component: str | None,
    *,
    owned: bool = True,
    annotations: dict[str, str] | None = None,
    **fields: Any,
) -> Object:
    """An object of an engine; `fields` are what stands beside its metadata."""
    metadata: dict[str, Any] = {
        "name": name,
        "namespace": engine.metadata.namespace,
        "labels": labels(engine.metadata.name, component),
    }
    if annotations:
        metadata["annotations"] = dict(annotations)
    if owned:
        metadata["ownerReferences"] = [owner(engine)]
    return {"apiVersion": kind.api_version, "kind": kind.name, "metadata": metadata, **fields}


def sealed(obj: Object) -> Object:
    """The object with the digest of itself as an annotation: what is applied.

    A field that we no longer want cannot be told from a default by looking at the object; a
    digest that differs can.
    """
    canonical = json.dumps(obj, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    digest = hashlib.sha256(canonical.encode()).hexdigest()[:16]
    annotations = {**obj["metadata"].get("annotations", {}), DESIRED_ANNOTATION: digest}
    return {**obj, "metadata": {**obj["metadata"], "annotations": annotations}}
