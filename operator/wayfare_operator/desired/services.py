"""Services: the address of an engine, and that of its worker."""

from __future__ import annotations

from wayfare_engine.resources import Engine
from wayfare_operator.desired.metadata import (
    SERVE,
    SERVE_PORT,
    WORKER,
    WORKER_PORT,
    child,
    selector,
)
from wayfare_operator.kube.kinds import SERVICE, Object


def serve_service(engine: Engine) -> Object:
    """Service NAME: port 80 to the serve pods."""
    declared = engine.spec.service
    port: Object = {"name": "http", "port": 80, "targetPort": SERVE_PORT, "protocol": "TCP"}
    if declared.node_port is not None:
        port["nodePort"] = declared.node_port
    name = engine.metadata.name
    return child(
        engine,
        SERVICE,
        name,
        SERVE,
        annotations=dict(declared.annotations),
        spec={"type": declared.type, "selector": selector(name, SERVE), "ports": [port]},
    )


def worker_service(engine: Engine) -> Object:
    """Service NAME-worker: the control API."""
    name = engine.metadata.name
    return child(
        engine,
        SERVICE,
        f"{name}-worker",
        WORKER,
        spec={
            "type": "ClusterIP",
            "selector": selector(name, WORKER),
            "ports": [
                {
                    "name": "control",
                    "port": WORKER_PORT,
                    "targetPort": WORKER_PORT,
                    "protocol": "TCP",
                }
            ],
        },
    )
