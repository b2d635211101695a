"""Who may talk to whom. A cluster without a policy controller ignores these."""

from __future__ import annotations

from wayfare_engine.resources import Engine
from wayfare_operator.desired.facts import Facts
from wayfare_operator.desired.metadata import (
    CHANNEL_HOST,
    CHANNEL_PORT,
    POSTGRESQL,
    POSTGRESQL_PORT,
    RECOVERY,
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

DNS: Object = {
    "ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}],
}


def tcp(port: int) -> list[Object]:
    """Ports of a rule: this one."""
    return [{"protocol": "TCP", "port": port}]


def _hosts_egress() -> Object:
    """To the hosts of channels, which may be in other namespaces."""
    labels = {"app.kubernetes.io/name": "wayfare", "app.kubernetes.io/component": CHANNEL_HOST}
    hosts = {"namespaceSelector": {}, "podSelector": {"matchLabels": labels}}
    return {"to": [hosts], "ports": tcp(CHANNEL_PORT)}


def _store_egress(engine: Engine) -> list[Object]:
    stores = engine.spec.stores
    if stores.managed is None or stores.object_store is not None:
        # The address stands in a Secret, which the operator does not read.
        return [{"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}, {"ipBlock": {"cidr": "::/0"}}]}]
    return [
        {
            "to": [{"podSelector": {"matchLabels": selector(engine.metadata.name, component)}}],
            "ports": tcp(port),
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
        "ports": tcp(WORKER_PORT),
    }
    egress = [DNS, *_store_egress(engine), _hosts_egress()]
    policies = [
        _policy(engine, SERVE, [{"ports": tcp(SERVE_PORT)}], egress),
        _policy(engine, WORKER, [from_operator], egress),
    ]
    if engine.spec.stores.object_store is not None:
        # Data steps of runs: to the stores, and to the engine that they look at.
        policies.append(_policy(engine, RECOVERY, [], egress))
    if engine.spec.stores.managed is not None:
        own_pods = [
            {"podSelector": {"matchLabels": selector(name, component)}}
            for component in (SERVE, WORKER, RECOVERY)
        ]
        policies += [
            _policy(engine, component, [{"from": own_pods, "ports": tcp(port)}], [])
            for component, port in ((POSTGRESQL, POSTGRESQL_PORT), (VALKEY, VALKEY_PORT))
        ]
    return policies
