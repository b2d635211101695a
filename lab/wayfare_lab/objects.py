"""What a fresh site gets through its API server: access rights, DNS, a storage class."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from wayfare_lab.layout import Site
from wayfare_lab.settings import STORAGE_CLASS

_RBAC = "/apis/rbac.authorization.k8s.io/v1"
LAST_BINDING = "lab:kubelet-clients"
"""The binding that is applied after all the others."""

_READ = ["get", "list", "watch"]

Rule = tuple[str, list[str], list[str]]
"""API group, resources, verbs."""

_ROLES: dict[str, tuple[str, list[Rule]]] = {
    "lab:coredns": (
        "system:coredns",
        [
            ("", ["services", "pods", "namespaces", "endpoints"], _READ),
            ("discovery.k8s.io", ["endpointslices"], _READ),
        ],
    ),
    "lab:network-policy": (
        "system:network-policy",
        [
            ("", ["pods", "namespaces"], _READ),
            ("networking.k8s.io", ["networkpolicies"], _READ),
        ],
    ),
    "lab:volumes": (
        "system:lab-volumes",
        [("", ["persistentvolumes"], [*_READ, "create"])],
    ),
}


def initial(site: Site) -> Iterator[tuple[str, dict[str, Any]]]:
    """Path and content of every object, in the order in which they are to be applied."""
    for name, (user, rules) in _ROLES.items():
        yield _cluster_role(name, rules)
        yield _cluster_role_binding(name, name, "User", user)
    yield _cluster_role_binding(
        LAST_BINDING, "system:kubelet-api-admin", "Group", "wayfare:kubelet-clients"
    )
    yield _storage_class()
    yield from _dns(site)


def _cluster_role(name: str, rules: list[Rule]) -> tuple[str, dict[str, Any]]:
    return f"{_RBAC}/clusterroles/{name}", {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": name},
        "rules": [
            {"apiGroups": [group], "resources": resources, "verbs": verbs}
            for group, resources, verbs in rules
        ],
    }


def _cluster_role_binding(
    name: str, role: str, kind: str, subject: str
) -> tuple[str, dict[str, Any]]:
    return f"{_RBAC}/clusterrolebindings/{name}", {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": subject}],
    }


def _storage_class() -> tuple[str, dict[str, Any]]:
    return f"/apis/storage.k8s.io/v1/storageclasses/{STORAGE_CLASS}", {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {
            "name": STORAGE_CLASS,
            "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
        },
        "provisioner": "kubernetes.io/no-provisioner",
        "reclaimPolicy": "Retain",
        "volumeBindingMode": "WaitForFirstConsumer",
    }


def _dns(site: Site) -> Iterator[tuple[str, dict[str, Any]]]:
    """The DNS service; behind it is a process of the node, not a pod."""
    labels = {"k8s-app": "kube-dns", "kubernetes.io/name": "CoreDNS"}
    protocols = {"dns": "UDP", "dns-tcp": "TCP"}
    yield (
        "/api/v1/namespaces/kube-system/services/kube-dns",
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "kube-dns", "namespace": "kube-system", "labels": labels},
            "spec": {
                "clusterIP": str(site.dns_service),
                "ports": [
                    {"name": name, "port": 53, "targetPort": 53, "protocol": protocol}
                    for name, protocol in protocols.items()
                ],
            },
        },
    )
    yield (
        "/apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices/kube-dns-lab",
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": "kube-dns-lab",
                "namespace": "kube-system",
                "labels": {
                    "kubernetes.io/service-name": "kube-dns",
                    "endpointslice.kubernetes.io/managed-by": "wayfare-lab",
                },
            },
            "addressType": "IPv4",
            "endpoints": [{"addresses": [str(site.address.ip)], "conditions": {"ready": True}}],
            "ports": [
                {"name": name, "port": 53, "protocol": protocol}
                for name, protocol in protocols.items()
            ],
        },
    )
