"""A drill's stores and the wall around all of its pods. Pure.

The stores' pod holds the copy and a Valkey. Nothing leads out of a drill's pods but to each other;
the isolated engine is in `drill_engine`. Volumes go with their pods.
"""

from __future__ import annotations

import base64
import hashlib

from wayfare_engine.resources import Engine, RecoveryPlan, RecoveryRun, RunKind
from wayfare_operator.desired import pods
from wayfare_operator.desired.drill_parts import (
    DATA,
    anchor_name,
    deployment,
    dsn,
    engine_host,
    made,
    service,
    stores_name,
)
from wayfare_operator.desired.facts import Facts
from wayfare_operator.desired.metadata import (
    CHANNEL_PORT,
    DRILL_LABEL,
    DRILL_STORES,
    POSTGRESQL,
    POSTGRESQL_PORT,
    RECOVERY,
    SERVE_PORT,
    VALKEY,
    VALKEY_PORT,
    owner,
    sealed,
    selector,
)
from wayfare_operator.desired.network import DNS
from wayfare_operator.kube.kinds import CONFIG_MAP, NETWORK_POLICY, SECRET, Object

_AT_COPY = frozenset({"Fork", "ReplayDecisions", "Verify", "Measure"})
"""Data steps of a drill that work at the copy."""


def task_environment(run: str, engine: Engine, step: str, kind: RunKind) -> list[Object]:
    """How a data step of a drill finds the copy, the engine on it and the sink; else nothing."""
    if kind is not RunKind.DRILL or step not in _AT_COPY:
        return []
    namespace, secret = engine.metadata.namespace, anchor_name(run)
    host = engine_host(run, namespace)
    return [
        {"name": "WAYFARE_FORK_DSN", "value": dsn(run, namespace)},
        pods.from_secret("WAYFARE_FORK_PASSWORD", secret, "postgresql-password"),
        {"name": "WAYFARE_FORK_ENGINE_URL", "value": f"http://{host}:{SERVE_PORT}"},
        {"name": "WAYFARE_FORK_SINK_URL", "value": f"http://{host}:{CHANNEL_PORT}"},
        pods.from_secret("WAYFARE_FORK_API_KEY", secret, "api-key"),
    ]


def anchor(run: RecoveryRun) -> Object:
    """The ConfigMap that stands for the drill: what it owns goes with it, and no right to delete
    Secrets is needed."""
    data = {"run": run.metadata.name}
    return sealed(made(run, CONFIG_MAP, anchor_name(run.metadata.name), None, data=data))


def secret(run: RecoveryRun, anchored: Object, *, tokens: tuple[str, str, str]) -> Object:
    """Passwords of the drill's stores, and the one API key that its engine knows."""
    obj = made(run, SECRET, anchor_name(run.metadata.name), None)
    postgresql, valkey, key = tokens
    values = {
        "postgresql-password": postgresql,
        "valkey-password": valkey,
        "api-key": _api_key(key),
    }
    obj["metadata"]["ownerReferences"] = [
        {
            "apiVersion": CONFIG_MAP.api_version,
            "kind": CONFIG_MAP.name,
            "name": anchored["metadata"]["name"],
            "uid": anchored["metadata"]["uid"],
        }
    ]
    data = {name: base64.b64encode(text.encode()).decode() for name, text in values.items()}
    return {**obj, "type": "Opaque", "data": data}


def stores(run: RecoveryRun, engine: Engine, facts: Facts) -> list[Object]:
    """The pod of the stores, and its name."""
    name = run.metadata.name
    return [
        sealed(built)
        for built in (
            service(run, stores_name(name), DRILL_STORES, (POSTGRESQL_PORT, VALKEY_PORT)),
            _stores_deployment(run, engine, facts),
        )
    ]


def wall(run: RecoveryRun, engine: Engine, plan: RecoveryPlan) -> Object:
    """In: the drill's own pods, and the pods of data steps. Out: names, and the drill's own pods.

    Nothing else, no object store and no API server. Other policies that select these pods could
    open a way; that is what the canary is for. The plan owns it and not the run: when somebody
    deletes the run, the garbage collector takes what the run owns in any order, and a pod that
    ends is still a pod.
    """
    own = {"podSelector": {"matchLabels": {DRILL_LABEL: run.metadata.name}}}
    steps = {"podSelector": {"matchLabels": selector(engine.metadata.name, RECOVERY)}}
    obj = made(
        run,
        NETWORK_POLICY,
        anchor_name(run.metadata.name),
        None,
        spec={
            "podSelector": {"matchLabels": {DRILL_LABEL: run.metadata.name}},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"from": [own, steps]}],
            "egress": [DNS, {"to": [own]}],
        },
    )
    obj["metadata"]["ownerReferences"] = [owner(plan)]
    return sealed(obj)


def _stores_deployment(run: RecoveryRun, engine: Engine, facts: Facts) -> Object:
    name = run.metadata.name
    containers = [
        _store(run, engine, facts, POSTGRESQL, POSTGRESQL_PORT, "512Mi"),
        _store(run, engine, facts, VALKEY, VALKEY_PORT, "256Mi"),
    ]
    volumes = [{"name": "tmp", "emptyDir": {}}, {"name": "data", "emptyDir": {}}]
    template = {"containers": containers, "volumes": volumes}
    return deployment(run, engine, stores_name(name), DRILL_STORES, template)


def _store(
    run: RecoveryRun, engine: Engine, facts: Facts, component: str, port: int, memory: str
) -> Object:
    probe: Object = {"tcpSocket": {"port": port}}
    password = f"WAYFARE_{component.upper()}_PASSWORD"
    data = f"{DATA}/{component}"
    return pods.container(
        engine,
        facts,
        component,
        ["wayfare", "store", component, "--data", data, "--port", str(port)],
        env=[
            pods.from_secret(password, anchor_name(run.metadata.name), f"{component}-password"),
            {"name": "HOME", "value": "/tmp"},  # noqa: S108
        ],
        mounts=[{"name": "data", "mountPath": DATA}],
        ports=[{"name": component, "containerPort": port, "protocol": "TCP"}],
        resources=pods.resources(None, "100m", memory),
        startupProbe={**probe, "periodSeconds": 1, "failureThreshold": 180},
        readinessProbe={**probe, "periodSeconds": 2, "failureThreshold": 3},
    )


def _api_key(token: str) -> str:
    """`wf_<id>_<secret>` out of random text."""
    name = hashlib.sha256(f"id {token}".encode()).hexdigest()[:16]
    digest = hashlib.sha256(f"secret {token}".encode()).digest()
    return f"wf_{name}_{base64.urlsafe_b64encode(digest).decode().rstrip('=')}"
