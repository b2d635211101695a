"""The pods that answer: Deployment, budget, autoscaler."""

from __future__ import annotations

from wayfare_engine.resources import Engine
from wayfare_operator.desired import pods
from wayfare_operator.desired.facts import Facts
from wayfare_operator.desired.metadata import SERVE, SERVE_PORT, child, selector
from wayfare_operator.kube.kinds import AUTOSCALER, DEPLOYMENT, DISRUPTION_BUDGET, Object

_PRE_STOP_SECONDS = 15
"""Long enough for new pods to be ready even when all old ones were deleted at once: a pod that is
ready while it ends is still sent requests where no other is ready."""

_DRAIN_SECONDS = 5
_GRACE_SECONDS = 50


def autoscaling_bounds(engine: Engine) -> tuple[int, int]:
    """(least, most) replicas of serve."""
    least = engine.spec.autoscaling.min_replicas or engine.spec.serve.replicas
    return least, max(least, engine.spec.autoscaling.max_replicas)


def initial_replicas(engine: Engine) -> int:
    """Replicas at creation; afterwards the autoscaler or `/scale` decides."""
    return max(engine.spec.serve.replicas, autoscaling_bounds(engine)[0])


def serve_deployment(engine: Engine, facts: Facts) -> Object:
    """Deployment NAME-serve, without `replicas`.

    A pod leaves the Service before it is told to stop (preStop), goes on answering while the
    news spreads, and no old pod goes before a new one is ready.
    """
    name = engine.metadata.name
    key_env, key_mounts, key_volumes = pods.master_key(engine)
    receipts_env, receipts_mounts, receipts_volumes = pods.receipt_secrets(engine)
    store_env, store_env_from = pods.object_store(engine, facts)
    probe = {"httpGet": {"path": "/readyz", "port": "http"}}
    alive = {"httpGet": {"path": "/livez", "port": "http"}}
    serve = pods.container(
        engine,
        facts,
        "serve",
        ["wayfare", "serve"],
        env=[
            *pods.environment(engine, facts),
            *store_env,
            {"name": "WAYFARE_DRAIN_SECONDS", "value": str(_DRAIN_SECONDS)},
            *key_env,
            *receipts_env,
        ],
        mounts=[*key_mounts, *receipts_mounts],
        **({"envFrom": store_env_from} if store_env_from else {}),
        ports=[{"name": "http", "containerPort": SERVE_PORT, "protocol": "TCP"}],
        resources=pods.resources(engine.spec.serve.resources, "250m", "512Mi"),
        startupProbe={**alive, "periodSeconds": 1, "failureThreshold": 120, "timeoutSeconds": 2},
        readinessProbe={**probe, "periodSeconds": 2, "failureThreshold": 2, "timeoutSeconds": 2},
        livenessProbe={**alive, "periodSeconds": 10, "failureThreshold": 6, "timeoutSeconds": 5},
        lifecycle={"preStop": {"sleep": {"seconds": _PRE_STOP_SECONDS}}},
    )
    return child(
        engine,
        DEPLOYMENT,
        f"{name}-serve",
        SERVE,
        spec={
            "selector": {"matchLabels": selector(name, SERVE)},
            "revisionHistoryLimit": 3,
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1},
            },
            "template": pods.template(
                engine,
                SERVE,
                [serve],
                overlay=engine.spec.serve.pod_overlay,
                volumes=[*key_volumes, *receipts_volumes],
                serviceAccountName=f"{name}-serve",
                terminationGracePeriodSeconds=_GRACE_SECONDS,
                topologySpreadConstraints=pods.spread(engine, SERVE),
            ),
        },
    )


def disruption_budget(engine: Engine) -> Object:
    """At most one serve pod is evicted at a time."""
    name = engine.metadata.name
    return child(
        engine,
        DISRUPTION_BUDGET,
        f"{name}-serve",
        SERVE,
        spec={
            "maxUnavailable": 1,
            "selector": {"matchLabels": selector(name, SERVE)},
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    )


def autoscaler(engine: Engine) -> Object:
    """HorizontalPodAutoscaler NAME-serve on CPU."""
    least, most = autoscaling_bounds(engine)
    target = engine.spec.autoscaling.target_cpu_utilization
    return child(
        engine,
        AUTOSCALER,
        f"{engine.metadata.name}-serve",
        SERVE,
        spec={
            "scaleTargetRef": {
                "apiVersion": DEPLOYMENT.api_version,
                "kind": DEPLOYMENT.name,
                "name": f"{engine.metadata.name}-serve",
            },
            "minReplicas": least,
            "maxReplicas": most,
            "metrics": [
                {
                    "type": "Resource",
                    "resource": {
                        "name": "cpu",
                        "target": {"type": "Utilization", "averageUtilization": target},
                    },
                }
            ],
        },
    )
