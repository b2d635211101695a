"""Service accounts of the pods: an identity with no rights and no token."""

from __future__ import annotations

from wayfare_engine.resources import Engine
from wayfare_operator.desired.metadata import SERVE, WORKER, child
from wayfare_operator.kube.kinds import SERVICE_ACCOUNT, Object


def service_accounts(engine: Engine) -> list[Object]:
    """One account for serve and one for worker."""
    return [
        child(
            engine,
            SERVICE_ACCOUNT,
            f"{engine.metadata.name}-{component}",
            component,
            automountServiceAccountToken=False,
        )
        for component in (SERVE, WORKER)
    ]
