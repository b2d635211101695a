"""What the operator may do: exactly what it uses. The chart's ClusterRole is made from this.

No Secret can be read, listed or watched; `create` makes the passwords of managed stores.
`python -m wayfare_operator.rbac` prints the rules as YAML for the chart, and with `--table` as the
table in docs/operator.md.
"""

from __future__ import annotations

import sys
from typing import Any

import yaml

Rule = dict[str, list[str]]

_WATCHED = ["get", "list", "watch"]
_CHILD = ["get", "list", "watch", "create", "patch", "delete"]
_GROUP = "wayfare.dev"

RULES: list[Rule] = [
    {
        "apiGroups": [_GROUP],
        "resources": [
            "engines",
            "segments",
            "journeys",
            "channels",
            "recoveryplans",
            "recoveryruns",
            "approvals",
        ],
        "verbs": _WATCHED,
    },
    {
        "apiGroups": [_GROUP],
        "resources": [
            "engines/status",
            "segments/status",
            "journeys/status",
            "channels/status",
            "recoveryplans/status",
            "recoveryruns/status",
            "approvals/status",
        ],
        "verbs": ["patch"],
    },
    # Drills by schedule, and runs beyond the plan's history. Admission asks for the verb as well.
    {"apiGroups": [_GROUP], "resources": ["recoveryruns"], "verbs": ["create", "delete"]},
    {"apiGroups": [_GROUP], "resources": ["recoveryplans"], "verbs": ["drill"]},
    {"apiGroups": ["apps"], "resources": ["deployments", "statefulsets"], "verbs": _CHILD},
    # Sleep and wake.
    {
        "apiGroups": ["apps"],
        "resources": ["deployments/scale", "statefulsets/scale"],
        "verbs": ["patch"],
    },
    {"apiGroups": ["postgresql.cnpg.io"], "resources": ["clusters"], "verbs": ["get", "patch"]},
    # Data steps of runs.
    {
        "apiGroups": ["batch"],
        "resources": ["jobs"],
        "verbs": ["get", "list", "watch", "create", "delete"],
    },
    # Step Route, where the plan's traffic is an HTTPRoute.
    {
        "apiGroups": ["gateway.networking.k8s.io"],
        "resources": ["httproutes"],
        "verbs": ["get", "patch"],
    },
    {
        "apiGroups": [""],
        "resources": ["configmaps", "serviceaccounts", "services"],
        "verbs": _CHILD,
    },
    {"apiGroups": ["policy"], "resources": ["poddisruptionbudgets"], "verbs": _CHILD},
    {"apiGroups": ["autoscaling"], "resources": ["horizontalpodautoscalers"], "verbs": _CHILD},
    {"apiGroups": ["networking.k8s.io"], "resources": ["networkpolicies"], "verbs": _CHILD},
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "watch"]},
    {
        "apiGroups": ["discovery.k8s.io"],
        "resources": ["endpointslices"],
        "verbs": ["list", "watch"],
    },
    # What pods can be given here, for the other site's operator to know.
    {"apiGroups": [""], "resources": ["resourcequotas"], "verbs": ["list"]},
    {"apiGroups": [""], "resources": ["secrets"], "verbs": ["create"]},
    {"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create"]},
]
"""In each served namespace: in a Role of it, or in the ClusterRole."""

BUNDLE_RULES: list[Rule] = [
    {
        "apiGroups": [_GROUP],
        "resources": ["engines", "segments", "journeys", "channels"],
        "verbs": ["create", "update", "delete"],
    },
]
"""In each served namespace, where the chart's `recovery.bundles` is true: what a RecoveryPlan with
`configuration: Bundle` needs at the site that stands by. Without it no spec can be changed."""

NAMESPACE_RULES: list[Rule] = [
    {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["list", "watch"]},
]
"""Only for the whole cluster: labels of namespaces, for grants by selector."""

CAPACITY_RULES: list[Rule] = [
    {"apiGroups": [""], "resources": ["nodes"], "verbs": ["list"]},
]
"""For the cluster, where the chart gives the operator an object store: whether a site can take the
load is known only from what its nodes have, and a run waits for a person when it is not known."""

NAMESPACED_RULES: list[Rule] = [
    {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get"]},
]
"""Instead of NAMESPACE_RULES, in the Role of each served namespace: that namespace alone."""

LEASE_RULES: list[Rule] = [
    {
        "apiGroups": ["coordination.k8s.io"],
        "resources": ["leases"],
        "verbs": ["get", "create", "update"],
    },
]
"""In the operator's own namespace."""

DISCOVERY_RULES: list[Rule] = [
    {
        "nonResourceURLs": ["/.well-known/openid-configuration", "/openid/v1/jwks"],
        "verbs": ["get"],
    },
]
"""For the cluster: the public keys by which workers check the operator's token."""

MIGRATION_RULES: list[Rule] = [
    {
        "apiGroups": [_GROUP],
        "resources": [
            "engines",
            "segments",
            "journeys",
            "channels",
            "recoveryplans",
            "recoveryruns",
            "approvals",
        ],
        "verbs": ["list", "update"],
    },
]
"""For the administrator who runs `wayfare crds migrate`; not for the operator."""


def as_document() -> dict[str, Any]:
    """The rules by where they apply, as the chart reads them."""
    return {
        "rules": RULES,
        "bundleRules": BUNDLE_RULES,
        "clusterRules": NAMESPACE_RULES,
        "capacityRules": CAPACITY_RULES,
        "namespacedRules": NAMESPACED_RULES,
        "leaseRules": LEASE_RULES,
        "discoveryRules": DISCOVERY_RULES,
    }


def as_yaml() -> str:
    """The generated file."""
    header = "# Generated by python -m wayfare_operator.rbac; do not edit.\n"
    return header + str(yaml.dump(as_document(), Dumper=_Plain, sort_keys=False))


def as_table() -> str:
    """The same rules as the table in docs/operator.md."""
    lines = ["| Where | Resources | Verbs |", "|---|---|---|"]
    for where, rules in as_document().items():
        for rule in rules:
            things = rule.get("resources") or rule.get("nonResourceURLs") or []
            names = ", ".join(f"`{each}`" for each in things)
            lines.append(f"| {_WHERE[where]} | {names} | {', '.join(rule['verbs'])} |")
    return "\n".join(lines) + "\n"


_WHERE = {
    "rules": "each served namespace",
    "bundleRules": "each served namespace, with `recovery.bundles`",
    "clusterRules": "the cluster, when all of it is served",
    "capacityRules": "the cluster, with `recovery.objectStore.secretName`",
    "namespacedRules": "each served namespace, when they are listed",
    "leaseRules": "the operator's namespace",
    "discoveryRules": "the cluster",
}


class _Plain(yaml.SafeDumper):
    """No anchors: equal lists are written out."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


if __name__ == "__main__":
    sys.stdout.write(as_table() if "--table" in sys.argv else as_yaml())
