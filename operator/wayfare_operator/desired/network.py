"""Who may talk to whom. A cluster without a policy controller ignores these."""

from __future__ import annotations

from wayfare_engine.resources import Engine
from wayfare_operator.desired.facts import Facts
from wayfare_operator.desired.metadata import (
    POSTGRESQL,
    POSTGRESQL_PORT,
    SERVE,
    SERVE_PORT,
    VALKEY,
    VALKEY_PORT,
    WORKER,
    WORKER_PORT,
    child,
    selector,
)
from wayfare_operator.kube.kinds import NETWORK_POLICY, Object

_DNS: Object = {
    "ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}],
}


def _tcp(port: int) -> list[Object]:
    return [{"protocol": "TCP", "port": port}]


def _store_egress(engine: Engine) -> list[Object]:
    if engine.spec.stores.managed is None:
        # The address stands in a Secret, which the operator does not read.
        return [{"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}, {"ipBlock": {"cidr": "::/0"}}]}]
    return [
        {
            "to": [{"podSelector": {"matchLabels": selector(engine.metadata.name, component)}}],
            "ports": _tcp(port),
        }
        for component, port in ((POSTGRESQL, POSTGRESQL_PORT), (VALKEY, VALKEY_PORT))
    ]


def _policy(engine: Engine, component: str, ingress: list[Object], egress: list[Object]) -> Object:
    name = engine.metadata.name
    return child(
        engine,
        NETWORK_POLICY,
        f"{name}-{component}",
        component,
        spec={
            "podSelector": {"matchLabels": selector(name, component)},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": ingress,
            "egress": egress,
        },
    )


def network_policies(engine: Engine, facts: Facts) -> list[Object]:
    """One policy a component: decisions from anywhere, control from the operator, stores inside."""
    name = engine.metadata.name
    from_operator: Object = {
        "from": [
            {
                "namespaceSelector": {
                    "matchLabels": {"kubernetes.io/metadata.name": facts.operator_namespace}
                }
            }
        ],
        "ports": _tcp(WORKER_PORT),
    }
    egress = [_DNS, *_store_egress(engine)]
    policies = [
        _policy(engine, SERVE, [{"ports": _tcp(SERVE_PORT)}], egress),
        _policy(engine, WORKER, [from_operator], egress),
    ]
    if engine.spec.stores.managed is not None:
        own_pods = [
            {"podSelector": {"matchLabels": selector(name, component)}}
            for component in (SERVE, WORKER)
        ]
        policies += [
            _policy(engine, component, [{"from": own_pods, "ports": _tcp(port)}], [])
            for component, port in ((POSTGRESQL, POSTGRESQL_PORT), (VALKEY, VALKEY_PORT))
        ]
    return policies
