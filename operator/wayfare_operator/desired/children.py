"""Everything that an Engine consists of."""

from __future__ import annotations

from wayfare_engine.resources import Engine
from wayfare_operator.desired.control import control_config
from wayfare_operator.desired.facts import Facts
from wayfare_operator.desired.identity import service_accounts
from wayfare_operator.desired.metadata import sealed
from wayfare_operator.desired.network import network_policies
from wayfare_operator.desired.serve import autoscaler, disruption_budget, serve_deployment
from wayfare_operator.desired.services import serve_service, worker_service
from wayfare_operator.desired.stores import managed_stores
from wayfare_operator.desired.worker import worker_deployment
from wayfare_operator.kube.kinds import Object


def children(engine: Engine, facts: Facts) -> list[Object]:
    """All children, in the order in which they are applied: what others need comes first."""
    return [
        sealed(built)
        for built in (
            *service_accounts(engine),
            control_config(engine, facts),
            serve_service(engine),
            worker_service(engine),
            *network_policies(engine, facts),
            *managed_stores(engine, facts),
            worker_deployment(engine, facts),
            serve_deployment(engine, facts),
            disruption_budget(engine),
            autoscaler(engine),
        )
    ]
