"""Namespace events: their labels decide on grants by selector."""

from __future__ import annotations

from typing import Any

import kopf

from wayfare_operator.handlers.intake import on_event
from wayfare_operator.kube.kinds import NAMESPACE
from wayfare_operator.reconcile.namespaces import take_labels
from wayfare_operator.reconcile.world import World


def register(registry: kopf.OperatorRegistry, world: World) -> None:
    """Watch Namespaces; only an operator for the whole cluster may."""

    async def handle(event: Any) -> None:
        metadata = event["object"]["metadata"]
        gone = event["type"] == "DELETED"
        take_labels(world, metadata["name"], None if gone else metadata.get("labels") or {})

    on_event(registry, NAMESPACE, handle)
