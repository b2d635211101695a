"""Names, labels and shapes of a drill's objects. Pure."""

from __future__ import annotations

from typing import Any

from wayfare_engine.resources import Engine, RecoveryRun
from wayfare_operator.desired import pods
from wayfare_operator.desired.metadata import (
    DRILL_ENGINE,
    DRILL_LABEL,
    DRILL_STORES,
    MANAGED_BY,
    MANAGED_BY_LABEL,
    POSTGRESQL_PORT,
    RUN_LABEL,
    owner,
    selector,
)
from wayfare_operator.kube.kinds import DEPLOYMENT, SERVICE, Kind, Object

DATA = "/var/lib/wayfare"


def anchor_name(run: str) -> str:
    """Name of the ConfigMap that owns the drill's Secret, of the Secret, and of the policy."""
    return f"{run}-drill"


def stores_name(run: str) -> str:
    """Name of the stores' Deployment and Service."""
    return f"{run}-{DRILL_STORES}"


def engine_name(run: str) -> str:
    """Name of the engine's Deployment and Service."""
    return f"{run}-{DRILL_ENGINE}"


def stores_host(run: str, namespace: str) -> str:
    """Where the copy is."""
    return f"{stores_name(run)}.{namespace}.svc"


def engine_host(run: str, namespace: str) -> str:
    """Where the isolated engine and its sink answer."""
    return f"{engine_name(run)}.{namespace}.svc"


def dsn(run: str, namespace: str) -> str:
    """The copy, without its password."""
    return f"postgresql://wayfare@{stores_host(run, namespace)}:{POSTGRESQL_PORT}/wayfare"


def made(run: RecoveryRun, kind: Kind, name: str, component: str | None, **fields: Any) -> Object:
    """An object of the drill, which the run owns; `fields` stand beside its metadata."""
    given = labels(run, component) if component is not None else common(run)
    metadata = {
        "name": name,
        "namespace": run.metadata.namespace,
        "labels": given,
        "ownerReferences": [owner(run)],
    }
    return {"apiVersion": kind.api_version, "kind": kind.name, "metadata": metadata, **fields}


def common(run: RecoveryRun) -> dict[str, str]:
    """Labels of everything of the drill."""
    name = run.metadata.name
    return {MANAGED_BY_LABEL: MANAGED_BY, RUN_LABEL: name, DRILL_LABEL: name}


def labels(run: RecoveryRun, component: str) -> dict[str, str]:
    """No label of an engine's own pods: no Service of production leads here, and no policy of
    production lets these pods in or out."""
    return {**selector(run.metadata.name, component), **common(run)}


def service(run: RecoveryRun, name: str, component: str, ports: tuple[int, ...]) -> Object:
    """Headless, so that policies see the pods' own addresses; the pods find each other before
    they are ready."""
    return made(
        run,
        SERVICE,
        name,
        component,
        spec={
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": selector(run.metadata.name, component),
            "ports": [
                {"name": f"p{port}", "port": port, "targetPort": port, "protocol": "TCP"}
                for port in ports
            ],
        },
    )


def deployment(
    run: RecoveryRun,
    engine: Engine,
    name: str,
    component: str,
    template: Object,
    marks: dict[str, str] | None = None,
) -> Object:
    """One pod, and never two of it at once. `marks`: labels of the pod alone."""
    metadata = {"labels": {**labels(run, component), **(marks or {})}}
    pod = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": pods.POD_SECURITY,
        "terminationGracePeriodSeconds": 5,
        **template,
    }
    return made(
        run,
        DEPLOYMENT,
        name,
        component,
        spec={
            "replicas": 1,
            "selector": {"matchLabels": selector(run.metadata.name, component)},
            "revisionHistoryLimit": 0,
            "strategy": {"type": "Recreate"},
            "template": pods.placed(engine, {"metadata": metadata, "spec": pod}),
        },
    )
