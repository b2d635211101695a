"""The engine of a drill: serve, worker and a sink in one pod, over the copy. Pure.

Its object store is a folder of the pod. Before they start, a canary in the same pod must have
failed to get out. Nothing of it has a credential of production but the key that opens attributes.
"""

from __future__ import annotations

from wayfare_engine.resources import Engine, RecoveryRun
from wayfare_operator.desired import pods
from wayfare_operator.desired.channel import HAND_OVER_SECONDS
from wayfare_operator.desired.drill_parts import (
    DATA,
    anchor_name,
    deployment,
    dsn,
    engine_name,
    service,
    stores_host,
)
from wayfare_operator.desired.facts import Facts
from wayfare_operator.desired.metadata import (
    ATTEMPT_LABEL,
    CHANNEL_PORT,
    DRILL_ENGINE,
    SERVE_PORT,
    VALKEY_PORT,
    WORKER_PORT,
    sealed,
)
from wayfare_operator.kube.kinds import Object

SITE = "drill"
"""What the isolated engine calls its site."""
CANARY = "canary"
_CONTROL_FOLDER = "/etc/wayfare/control"


def plan_id(engine: Engine, number: int) -> str:
    """The plan id of the drill in its own store."""
    return f"{engine.metadata.namespace}.{engine.metadata.name}.drill-{number}"


def isolated_engine(
    run: RecoveryRun, engine: Engine, facts: Facts, *, number: int, attempt: int, canary: str
) -> list[Object]:
    """The engine on the copy. `canary`: JSON of what its canary tries. Another attempt is another
    pod, so that a canary is never taken for that of an attempt before."""
    ports = (SERVE_PORT, WORKER_PORT, CHANNEL_PORT)
    return [
        sealed(built)
        for built in (
            service(run, engine_name(run.metadata.name), DRILL_ENGINE, ports),
            _engine_deployment(run, engine, facts, number, attempt, canary),
        )
    ]


def _engine_deployment(
    run: RecoveryRun, engine: Engine, facts: Facts, number: int, attempt: int, canary: str
) -> Object:
    key_env, key_mounts, key_volumes = pods.master_key(engine)
    env = [*_environment(run, engine, number), *key_env]
    mounts = [{"name": "store", "mountPath": DATA}, *key_mounts]
    small = pods.resources(None, "50m", "256Mi")
    before = [
        pods.container(
            engine,
            facts,
            CANARY,
            ["wayfare", "recovery", "canary"],
            env=[
                {"name": "WAYFARE_CANARY", "value": canary},
                {"name": "HOME", "value": "/tmp"},  # noqa: S108
            ],
            resources=small,
        ),
        pods.container(
            engine,
            facts,
            "isolate",
            ["wayfare", "recovery", "isolate"],
            env=env,
            mounts=mounts,
            resources=small,
            terminationMessagePolicy="FallbackToLogsOnError",
        ),
    ]
    containers = [
        _sink(engine, facts),
        _worker(engine, facts, env, mounts),
        _serve(engine, facts, env, mounts),
    ]
    volumes = [
        {"name": "tmp", "emptyDir": {}},
        {"name": "store", "emptyDir": {}},
        {"name": "control", "configMap": {"name": f"{engine.metadata.name}-control"}},
        *key_volumes,
    ]
    template = {"initContainers": before, "containers": containers, "volumes": volumes}
    marks = {ATTEMPT_LABEL: str(attempt)}
    name = engine_name(run.metadata.name)
    return deployment(run, engine, name, DRILL_ENGINE, template, marks)


def _environment(run: RecoveryRun, engine: Engine, number: int) -> list[Object]:
    """As an engine's pods have it, and nothing of it leads to production."""
    name, namespace = run.metadata.name, run.metadata.namespace
    secret_name = anchor_name(name)
    values = {
        "HOME": "/tmp",  # noqa: S108
        "WAYFARE_SITE": SITE,
        "WAYFARE_POSTGRESQL_DSN": dsn(name, namespace),
        "WAYFARE_VALKEY_URL": f"redis://{stores_host(name, namespace)}:{VALKEY_PORT}/0",
        "WAYFARE_OBJECT_STORE_URL": f"file://{DATA}/store",
        "WAYFARE_RECOVERY_PLAN": plan_id(engine, number),
        "WAYFARE_LEASE_TAKE_FIRST": "false",
        "WAYFARE_STANDBY_FOLLOW": "false",
        "WAYFARE_CHECKPOINT_SECONDS": "0",
        "WAYFARE_SNAPSHOT_SECONDS": "0",
    }
    return [
        *pods.identity(engine),
        *({"name": each, "value": value} for each, value in values.items()),
        pods.from_secret("WAYFARE_POSTGRESQL_PASSWORD", secret_name, "postgresql-password"),
        pods.from_secret("WAYFARE_VALKEY_PASSWORD", secret_name, "valkey-password"),
    ]


def _sink(engine: Engine, facts: Facts) -> Object:
    """The host of every channel."""
    return pods.container(
        engine,
        facts,
        "sink",
        [
            *("wayfare", "channel", "host", "--plugin", "sink"),
            *("--host", "0.0.0.0", "--port", str(CHANNEL_PORT)),  # noqa: S104 - a pod's own
            *("--hand-over-seconds", str(HAND_OVER_SECONDS), "--concurrency", "1000"),
        ],
        env=[{"name": "HOME", "value": "/tmp"}],  # noqa: S108
        ports=[{"name": "contract", "containerPort": CHANNEL_PORT, "protocol": "TCP"}],
        resources=pods.resources(None, "50m", "256Mi"),
        **_probes("contract"),
    )


def _worker(engine: Engine, facts: Facts, env: list[Object], mounts: list[Object]) -> Object:
    return pods.container(
        engine,
        facts,
        "worker",
        ["wayfare", "worker"],
        env=[
            *env,
            {"name": "WAYFARE_CONTROL_JWKS_FILE", "value": f"{_CONTROL_FOLDER}/jwks.json"},
            {"name": "WAYFARE_CONTROL_ISSUER", "value": facts.issuer},
            {"name": "WAYFARE_CONTROL_SUBJECT", "value": facts.control_subject},
        ],
        mounts=[{"name": "control", "mountPath": _CONTROL_FOLDER, "readOnly": True}, *mounts],
        ports=[{"name": "control", "containerPort": WORKER_PORT, "protocol": "TCP"}],
        resources=pods.resources(engine.spec.worker.resources, "250m", "1Gi"),
        **_probes("control"),
    )


def _serve(engine: Engine, facts: Facts, env: list[Object], mounts: list[Object]) -> Object:
    return pods.container(
        engine,
        facts,
        "serve",
        ["wayfare", "serve"],
        env=[*env, {"name": "WAYFARE_DRAIN_SECONDS", "value": "0"}],
        mounts=mounts,
        ports=[{"name": "http", "containerPort": SERVE_PORT, "protocol": "TCP"}],
        resources=pods.resources(engine.spec.serve.resources, "250m", "512Mi"),
        **_probes("http"),
    )


def _probes(port: str) -> Object:
    ready = {"httpGet": {"path": "/readyz", "port": port}, "timeoutSeconds": 2}
    alive = {"httpGet": {"path": "/livez", "port": port}, "timeoutSeconds": 2}
    return {
        "startupProbe": {**alive, "periodSeconds": 1, "failureThreshold": 180},
        "readinessProbe": {**ready, "periodSeconds": 2, "failureThreshold": 2},
    }
