"""What a worker needs to check the operator's token without asking the API server."""

from __future__ import annotations

from wayfare_engine.resources import Engine
from wayfare_operator.desired.facts import Facts
from wayfare_operator.desired.metadata import WORKER, child
from wayfare_operator.kube.kinds import CONFIG_MAP, Object


def control_config(engine: Engine, facts: Facts) -> Object:
    """ConfigMap NAME-control: the issuer and its public keys."""
    return child(
        engine,
        CONFIG_MAP,
        f"{engine.metadata.name}-control",
        WORKER,
        data={"issuer": facts.issuer, "jwks.json": facts.jwks},
    )
