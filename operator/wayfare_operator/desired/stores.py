"""Managed stores, evaluation grade: one PostgreSQL and one Valkey, each a pod with a volume."""

from __future__ import annotations

import base64

from wayfare_engine.resources import Engine
from wayfare_engine.resources.stores import ManagedPostgresql, ManagedValkey
from wayfare_operator.desired import pods
from wayfare_operator.desired.facts import Facts
from wayfare_operator.desired.metadata import (
    POSTGRESQL,
    POSTGRESQL_PORT,
    VALKEY,
    VALKEY_PORT,
    child,
    selector,
)
from wayfare_operator.kube.kinds import SECRET, SERVICE, STATEFUL_SET, Object

_DATA = "/var/lib/wayfare"
_PORTS = {POSTGRESQL: POSTGRESQL_PORT, VALKEY: VALKEY_PORT}


def _retained(engine: Engine) -> bool:
    return engine.spec.stores.deletion_policy == "Retain"


def managed_stores(engine: Engine, facts: Facts) -> list[Object]:
    """Headless Services and StatefulSets; nothing when the stores are someone else's."""
    managed = engine.spec.stores.managed
    if managed is None:
        return []
    return [
        built
        for component, volume in ((POSTGRESQL, managed.postgresql), (VALKEY, managed.valkey))
        for built in (_service(engine, component), _stateful_set(engine, facts, component, volume))
    ]


def _service(engine: Engine, component: str) -> Object:
    name = engine.metadata.name
    port = _PORTS[component]
    return child(
        engine,
        SERVICE,
        f"{name}-{component}",
        component,
        spec={
            "clusterIP": "None",
            "selector": selector(name, component),
            "ports": [
                {"name": component, "port": port, "targetPort": port, "protocol": "TCP"},
            ],
        },
    )


def _stateful_set(
    engine: Engine, facts: Facts, component: str, volume: ManagedPostgresql | ManagedValkey
) -> Object:
    name = engine.metadata.name
    port = _PORTS[component]
    probe: Object = {"tcpSocket": {"port": port}}
    password = f"WAYFARE_{component.upper()}_PASSWORD"
    store = pods.container(
        engine,
        facts,
        component,
        ["wayfare", "store", component, "--data", _DATA, "--port", str(port)],
        env=[
            pods.from_secret(password, pods.stores_secret(engine), f"{component}-password"),
            {"name": "HOME", "value": "/tmp"},  # noqa: S108
        ],
        mounts=[{"name": "data", "mountPath": _DATA}],
        ports=[{"name": component, "containerPort": port, "protocol": "TCP"}],
        resources=pods.resources(None, "100m", "512Mi" if component == POSTGRESQL else "256Mi"),
        startupProbe={**probe, "periodSeconds": 1, "failureThreshold": 180},
        readinessProbe={**probe, "periodSeconds": 2, "failureThreshold": 3},
        livenessProbe={**probe, "periodSeconds": 10, "failureThreshold": 6},
    )
    claim: Object = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": volume.size}},
    }
    if volume.storage_class is not None:
        claim["storageClassName"] = volume.storage_class
    policy = "Retain" if _retained(engine) else "Delete"
    return child(
        engine,
        STATEFUL_SET,
        f"{name}-{component}",
        component,
        spec={
            "serviceName": f"{name}-{component}",
            "selector": {"matchLabels": selector(name, component)},
            "persistentVolumeClaimRetentionPolicy": {"whenDeleted": policy, "whenScaled": "Retain"},
            "template": pods.template(engine, component, [store], terminationGracePeriodSeconds=60),
            "volumeClaimTemplates": [
                {
                    "apiVersion": "v1",
                    "kind": "PersistentVolumeClaim",
                    "metadata": {"name": "data"},
                    "spec": claim,
                }
            ],
        },
    )


def stores_secret(engine: Engine, *, postgresql: str, valkey: str) -> Object:
    """The passwords, made once. A volume that is kept keeps its Secret: no owner then."""
    return child(
        engine,
        SECRET,
        pods.stores_secret(engine),
        None,
        owned=not _retained(engine),
        type="Opaque",
        data={
            "postgresql-password": base64.b64encode(postgresql.encode()).decode(),
            "valkey-password": base64.b64encode(valkey.encode()).decode(),
        },
    )
