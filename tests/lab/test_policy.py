"""NetworkPolicies in the lab: what they deny really fails, what they allow really passes."""

from __future__ import annotations

from typing import Any

import pytest

from tests.lab.workloads import fetch, pod, service, wait_ready
from tests.servers.lab import LabSite
from tests.servers.wait import until

pytestmark = pytest.mark.lab

_DNS = {
    "to": [
        {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
            "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
        }
    ],
    "ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}],
}


@pytest.fixture
def namespace(site: LabSite) -> str:
    """A namespace with a server `web` (port 8080, named http), and clients `friend` and `other`."""
    name = site.namespace("policy")
    named = {"ports": [{"name": "http", "containerPort": 8080}]}
    site.apply(
        pod("web", name, "serve", container=named),
        service("web", name),
        pod("friend", name, "sleep"),
        pod("other", name, "sleep"),
    )
    for each in ("web", "friend", "other"):
        wait_ready(site, name, each)
    return name


def _policy(name: str, namespace: str, pods: dict[str, str], **rules: Any) -> dict[str, Any]:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "podSelector": {"matchLabels": pods},
            "policyTypes": [kind.capitalize() for kind in rules],
            **rules,
        },
    }


def _reaches(site: LabSite, namespace: str, client: str) -> bool:
    return fetch(site, namespace, client, "http://web/") == "web"


def _wait(site: LabSite, namespace: str, client: str, *, reaches: bool) -> None:
    until(
        lambda: _reaches(site, namespace, client) is reaches,
        seconds=60,
        what=f"{client} {'reaches' if reaches else 'does not reach'} web",
    )


def test_without_a_policy_all_pods_reach_each_other(site: LabSite, namespace: str) -> None:
    _wait(site, namespace, "friend", reaches=True)
    _wait(site, namespace, "other", reaches=True)


def test_ingress_is_denied_but_for_whom_a_policy_names(site: LabSite, namespace: str) -> None:
    friends = {"from": [{"podSelector": {"matchLabels": {"app": "friend"}}}]}
    port = {"ports": [{"port": "http"}]}
    site.apply(_policy("web", namespace, {"app": "web"}, ingress=[friends | port]))
    _wait(site, namespace, "other", reaches=False)
    _wait(site, namespace, "friend", reaches=True)


def test_a_port_that_a_policy_does_not_name_is_denied(site: LabSite, namespace: str) -> None:
    site.apply(_policy("web", namespace, {"app": "web"}, ingress=[{"ports": [{"port": 9}]}]))
    _wait(site, namespace, "friend", reaches=False)


def test_egress_is_denied_but_to_what_a_policy_names(site: LabSite, namespace: str) -> None:
    web = {"to": [{"podSelector": {"matchLabels": {"app": "web"}}}]}
    site.apply(
        _policy("friend", namespace, {"app": "friend"}, egress=[web, _DNS]),
        _policy("other", namespace, {"app": "other"}, egress=[_DNS]),
    )
    _wait(site, namespace, "other", reaches=False)
    _wait(site, namespace, "friend", reaches=True)


def test_egress_to_dns_needs_to_be_allowed(site: LabSite, namespace: str) -> None:
    web = {"to": [{"podSelector": {"matchLabels": {"app": "web"}}}]}
    site.apply(_policy("friend", namespace, {"app": "friend"}, egress=[web]))
    _wait(site, namespace, "friend", reaches=False)
    address = site.get("pod", "web", "-n", namespace)["status"]["podIP"]
    assert fetch(site, namespace, "friend", f"http://{address}:8080/") == "web"


def test_an_address_block_is_allowed_but_for_its_exceptions(site: LabSite, namespace: str) -> None:
    nobody = {"ipBlock": {"cidr": "::/0"}}

    def block(*excepted: str) -> dict[str, Any]:
        inside = {"cidr": "10.77.64.0/20"} | ({"except": list(excepted)} if excepted else {})
        return _policy(
            "web", namespace, {"app": "web"}, ingress=[{"from": [{"ipBlock": inside}, nobody]}]
        )

    other = site.get("pod", "other", "-n", namespace)["status"]["podIP"]
    site.apply(block(f"{other}/32"))
    _wait(site, namespace, "other", reaches=False)
    _wait(site, namespace, "friend", reaches=True)


def test_a_namespace_is_let_in_by_its_labels(site: LabSite, namespace: str) -> None:
    outside = site.namespace("outside")
    site.apply(pod("client", outside, "sleep"))
    wait_ready(site, outside, "client")
    url = f"http://web.{namespace}/"
    selector = {"matchLabels": {"kubernetes.io/metadata.name": outside}}
    site.apply(
        _policy(
            "web", namespace, {"app": "web"}, ingress=[{"from": [{"namespaceSelector": selector}]}]
        )
    )
    _wait(site, namespace, "friend", reaches=False)
    until(lambda: fetch(site, outside, "client", url) == "web", seconds=60)


def test_the_nodes_probes_pass_a_policy_that_denies_all(site: LabSite, namespace: str) -> None:
    site.apply(_policy("web", namespace, {}, ingress=[]))
    _wait(site, namespace, "friend", reaches=False)
    probe = {"readinessProbe": {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1}}
    site.apply(pod("probed", namespace, "serve", container=probe))
    wait_ready(site, namespace, "probed")


def test_a_policy_that_goes_denies_nothing_more(site: LabSite, namespace: str) -> None:
    site.apply(_policy("web", namespace, {"app": "web"}, ingress=[]))
    _wait(site, namespace, "friend", reaches=False)
    site.kubectl("delete", "networkpolicy", "web", "-n", namespace)
    _wait(site, namespace, "friend", reaches=True)
