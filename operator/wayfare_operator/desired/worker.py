"""The pods that work in the background: migrations first, then memberships and plans."""

from __future__ import annotations

from wayfare_engine.resources import Engine
from wayfare_operator.desired import pods
from wayfare_operator.desired.facts import Facts
from wayfare_operator.desired.metadata import WORKER, WORKER_PORT, child, selector
from wayfare_operator.kube.kinds import DEPLOYMENT, Object

_CONTROL_FOLDER = "/etc/wayfare/control"


def worker_deployment(engine: Engine, facts: Facts) -> Object:
    """Deployment NAME-worker, without `replicas`."""
    name = engine.metadata.name
    env = pods.environment(engine, facts)
    store_env, store_env_from = pods.object_store(engine, facts)
    key_env, key_mounts, key_volumes = pods.master_key(engine)
    migrate = pods.container(
        engine,
        facts,
        "migrate",
        ["wayfare", "migrate"],
        env=env,
        resources=pods.resources(None, "50m", "256Mi"),
    )
    ready = {"httpGet": {"path": "/readyz", "port": "control"}}
    alive = {"httpGet": {"path": "/livez", "port": "control"}}
    worker = pods.container(
        engine,
        facts,
        "worker",
        ["wayfare", "worker"],
        env=[
            *env,
            *store_env,
            *key_env,
            {"name": "WAYFARE_CONTROL_JWKS_FILE", "value": f"{_CONTROL_FOLDER}/jwks.json"},
            {"name": "WAYFARE_CONTROL_ISSUER", "value": facts.issuer},
            {"name": "WAYFARE_CONTROL_SUBJECT", "value": facts.control_subject},
        ],
        **({"envFrom": store_env_from} if store_env_from else {}),
        mounts=[
            {"name": "control", "mountPath": _CONTROL_FOLDER, "readOnly": True},
            *key_mounts,
        ],
        ports=[{"name": "control", "containerPort": WORKER_PORT, "protocol": "TCP"}],
        resources=pods.resources(engine.spec.worker.resources, "250m", "1Gi"),
        startupProbe={**alive, "periodSeconds": 1, "failureThreshold": 120, "timeoutSeconds": 2},
        readinessProbe={**ready, "periodSeconds": 2, "failureThreshold": 2, "timeoutSeconds": 2},
        livenessProbe={**alive, "periodSeconds": 10, "failureThreshold": 6, "timeoutSeconds": 5},
    )
    return child(
        engine,
        DEPLOYMENT,
        f"{name}-worker",
        WORKER,
        spec={
            "selector": {"matchLabels": selector(name, WORKER)},
            "revisionHistoryLimit": 3,
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1},
            },
            "template": pods.template(
                engine,
                WORKER,
                [worker],
                overlay=engine.spec.worker.pod_overlay,
                volumes=[
                    {"name": "control", "configMap": {"name": f"{name}-control"}},
                    *key_volumes,
                ],
                initContainers=[migrate],
                serviceAccountName=f"{name}-worker",
                terminationGracePeriodSeconds=30,
                topologySpreadConstraints=pods.spread(engine, WORKER),
            ),
        },
    )
