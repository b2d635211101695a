"""What all pods of an engine have in common: security, image, environment, overlay."""

from __future__ import annotations

from typing import Any

from wayfare_engine.resources import Engine
from wayfare_engine.resources.engine import Resources
from wayfare_operator.desired.facts import Facts, RecoveryFacts
from wayfare_operator.desired.metadata import POSTGRESQL_PORT, VALKEY_PORT, labels, selector
from wayfare_operator.desired.overlay import merge
from wayfare_operator.kube.kinds import Object

USER = 10001
_KEYS_FOLDER = "/etc/wayfare/keys"
_RECEIPTS_FOLDER = "/etc/wayfare/receipts"
_OF_WORKERS = ("containers", "initContainers", "restartPolicy")
_TMP = {"name": "tmp", "mountPath": "/tmp"}  # noqa: S108

CONTAINER_SECURITY: Object = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
}

POD_SECURITY: Object = {
    "runAsNonRoot": True,
    "runAsUser": USER,
    "runAsGroup": USER,
    "fsGroup": USER,
    "fsGroupChangePolicy": "OnRootMismatch",
    "seccompProfile": {"type": "RuntimeDefault"},
}


def stores_secret(engine: Engine) -> str:
    """Name of the Secret with the passwords of managed stores."""
    return f"{engine.metadata.name}-stores"


def image(engine: Engine, facts: Facts) -> str:
    """The engine's own image, or that of the installation."""
    return engine.spec.image or facts.image


def resources(declared: Resources | None, default_cpu: str, default_memory: str) -> Object:
    """Declared requests and limits, or the given requests with the memory as limit."""
    if declared is not None and (declared.requests or declared.limits):
        stated = {"requests": dict(declared.requests), "limits": dict(declared.limits)}
        return {part: amounts for part, amounts in stated.items() if amounts}
    return {
        "requests": {"cpu": default_cpu, "memory": default_memory},
        "limits": {"memory": default_memory},
    }


def container(
    engine: Engine,
    facts: Facts,
    name: str,
    command: list[str],
    *,
    env: list[Object],
    mounts: list[Object] | None = None,
    **fields: Any,
) -> Object:
    """A container of the engine's image with a writable /tmp and nothing else writable."""
    return {
        "name": name,
        "image": image(engine, facts),
        "imagePullPolicy": facts.image_pull_policy,
        "command": command,
        "env": env,
        "securityContext": CONTAINER_SECURITY,
        "volumeMounts": [_TMP, *(mounts or [])],
        **fields,
    }


def template(
    engine: Engine,
    component: str,
    containers: list[Object],
    *,
    overlay: dict[str, Any] | None = None,
    volumes: list[Object] | None = None,
    annotations: dict[str, str] | None = None,
    **spec: Any,
) -> Object:
    """A pod template, with the overlay merged in last. Labels that select stay as they are."""
    name = engine.metadata.name
    metadata: Object = {"labels": labels(name, component)}
    if annotations:
        metadata["annotations"] = annotations
    pod: Object = {
        "metadata": metadata,
        "spec": {
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "securityContext": POD_SECURITY,
            "containers": containers,
            "volumes": [{"name": "tmp", "emptyDir": {}}, *(volumes or [])],
            **spec,
        },
    }
    if overlay:
        # An overlay is a pod template, or the pod's spec alone.
        shaped = overlay if {"spec", "metadata"} & overlay.keys() else {"spec": overlay}
        pod = merge(pod, shaped)
        pod["metadata"].setdefault("labels", {}).update(labels(name, component))
    return pod


def placed(engine: Engine, template: Object) -> Object:
    """Where the engine's workers may run, so may this: their overlay without its containers."""
    overlay = engine.spec.worker.pod_overlay or {}
    spec = overlay.get("spec", {}) if {"spec", "metadata"} & overlay.keys() else overlay
    others = {name: each for name, each in spec.items() if name not in _OF_WORKERS}
    merged: Object = merge(template, {"spec": others})
    return merged


def spread(engine: Engine, component: str) -> list[Object]:
    """Prefer pods on different zones and nodes."""
    return [
        {
            "maxSkew": 1,
            "topologyKey": key,
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": selector(engine.metadata.name, component)},
        }
        for key in ("topology.kubernetes.io/zone", "kubernetes.io/hostname")
    ]


def from_secret(variable: str, name: str, key: str) -> Object:
    """An environment variable out of a Secret that the operator never reads."""
    return {"name": variable, "valueFrom": {"secretKeyRef": {"name": name, "key": key}}}


def _from_field(variable: str, path: str) -> Object:
    return {"name": variable, "valueFrom": {"fieldRef": {"fieldPath": path}}}


def identity(engine: Engine) -> list[Object]:
    """Which engine it is, as which pod, and whether callers need a key."""
    name, namespace = engine.metadata.name, engine.metadata.namespace
    return [
        {"name": "WAYFARE_ENGINE", "value": f"{namespace}/{name}"},
        {"name": "WAYFARE_AUTHENTICATION", "value": engine.spec.authentication.mode},
        _from_field("WAYFARE_POD_NAME", "metadata.name"),
        _from_field("WAYFARE_POD_UID", "metadata.uid"),
    ]


def environment(engine: Engine, facts: Facts) -> list[Object]:
    """The environment of serve and worker."""
    which, *others = identity(engine)
    return [
        which,
        {"name": "WAYFARE_SITE", "value": facts.site},
        *others,
        {"name": "HOME", "value": "/tmp"},  # noqa: S108
        *store_environment(engine),
    ]


def master_key(engine: Engine) -> tuple[list[Object], list[Object], list[Object]]:
    """(env, mounts, volumes) of pods that open sensitive attributes; empty without a master key."""
    reference = engine.spec.customers.master_key_secret_ref
    if reference is None:
        return [], [], []
    items = [{"key": reference.key, "path": "master"}]
    secret = {"secretName": reference.name, "items": items, "defaultMode": 0o440}
    return (
        [{"name": "WAYFARE_MASTER_KEY_FILE", "value": f"{_KEYS_FOLDER}/master"}],
        [{"name": "keys", "mountPath": _KEYS_FOLDER, "readOnly": True}],
        [{"name": "keys", "secret": secret}],
    )


def receipt_secrets(engine: Engine) -> tuple[list[Object], list[Object], list[Object]]:
    """(env, mounts, volumes) of pods that take receipts. Optional, so that it may come later: the
    kubelet brings changes to the files without a restart."""
    name = engine.spec.receipt_secret_name
    if name is None:
        return [], [], []
    secret = {"secretName": name, "optional": True, "defaultMode": 0o440}
    return (
        [{"name": "WAYFARE_RECEIPT_SECRETS_DIR", "value": _RECEIPTS_FOLDER}],
        [{"name": "receipts", "mountPath": _RECEIPTS_FOLDER, "readOnly": True}],
        [{"name": "receipts", "secret": secret}],
    )


def object_store(engine: Engine, facts: Facts | None = None) -> tuple[list[Object], list[Object]]:
    """(env, envFrom) of pods that use the object store; both empty when there is none.

    Without a RecoveryPlan the first site of an engine is the one that acts; with one, it is the
    plan's primary, and the plan's terms are the lease's.
    """
    declared = engine.spec.stores.object_store
    if declared is None:
        return [], []
    name, namespace = engine.metadata.name, engine.metadata.namespace
    env = [
        {"name": "WAYFARE_OBJECT_STORE_URL", "value": declared.url},
        {"name": "WAYFARE_RECOVERY_PLAN", "value": f"{namespace}.{name}"},
        *_right(facts.recovery if facts is not None else None),
    ]
    if declared.secret_name is None:
        return env, []
    return env, [{"secretRef": {"name": declared.secret_name}}]


def _right(recovery: RecoveryFacts | None) -> list[Object]:
    if recovery is None:
        return [{"name": "WAYFARE_LEASE_TAKE_FIRST", "value": "true"}]
    values = {
        "WAYFARE_LEASE_TAKE_FIRST": "true" if recovery.take_first else "false",
        "WAYFARE_LEASE_TTL_SECONDS": f"{recovery.ttl:g}",
        "WAYFARE_HAND_OVER_SECONDS": f"{recovery.hand_over:g}",
        "WAYFARE_CLOCK_ERROR": f"{recovery.clock_error:g}",
        "WAYFARE_TAKEOVER": recovery.takeover,
        "WAYFARE_STANDBY_FOLLOW": "true" if recovery.follow else "false",
    }
    return [{"name": name, "value": value} for name, value in values.items()]


def store_environment(engine: Engine) -> list[Object]:
    """How pods find their stores: managed ones by name, others by a Secret's whole address."""
    name, namespace = engine.metadata.name, engine.metadata.namespace
    stores = engine.spec.stores
    if stores.managed is not None:
        secret = stores_secret(engine)
        postgresql = f"{name}-postgresql.{namespace}.svc:{POSTGRESQL_PORT}"
        return [
            {
                "name": "WAYFARE_POSTGRESQL_DSN",
                "value": f"postgresql://wayfare@{postgresql}/wayfare",
            },
            from_secret("WAYFARE_POSTGRESQL_PASSWORD", secret, "postgresql-password"),
            {
                "name": "WAYFARE_VALKEY_URL",
                "value": f"redis://{name}-valkey.{namespace}.svc:{VALKEY_PORT}/0",
            },
            from_secret("WAYFARE_VALKEY_PASSWORD", secret, "valkey-password"),
        ]
    variables = []
    if stores.postgresql is not None:
        reference = stores.postgresql.secret_ref
        variables.append(from_secret("WAYFARE_POSTGRESQL_DSN", reference.name, reference.key))
        direct = stores.postgresql.direct_secret_ref
        if direct is not None:
            variables.append(from_secret("WAYFARE_POSTGRESQL_DIRECT_DSN", direct.name, direct.key))
    if stores.valkey is not None:
        reference = stores.valkey.secret_ref
        variables.append(from_secret("WAYFARE_VALKEY_URL", reference.name, reference.key))
    return variables
