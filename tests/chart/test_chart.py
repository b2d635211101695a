"""What the chart makes, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.servers.helm import CHART, helm, rendered

Object = dict[str, Any]


def only(objects: list[Object], kind: str, name: str | None = None) -> Object:
    """The one object of that kind (and name)."""
    found = [
        obj for obj in objects if obj["kind"] == kind and name in (None, obj["metadata"]["name"])
    ]
    assert len(found) == 1, [obj["metadata"]["name"] for obj in found]
    return found[0]


@pytest.fixture(scope="module")
def served_bank() -> list[Object]:
    return rendered("--set", "namespaces={bank}", "--set", "image.tag=abc", "--set", "site=east")


@pytest.fixture(scope="module")
def operator_container(served_bank: list[Object]) -> Object:
    pod = only(served_bank, "Deployment")["spec"]["template"]["spec"]
    assert len(pod["containers"]) == 1
    container: Object = pod["containers"][0]
    return container


def test_lint_finds_nothing() -> None:
    done = helm("lint", "--strict", str(CHART))
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_definitions_are_the_generated_ones_with_the_keep_policy() -> None:
    made = {
        obj["metadata"]["name"]: obj
        for obj in rendered()
        if obj["kind"] == "CustomResourceDefinition"
    }
    generated = {
        crd["metadata"]["name"]: crd
        for crd in map(
            yaml.safe_load,
            (path.read_text() for path in (CHART.parents[1] / "crds").glob("*.yaml")),
        )
    }
    assert made.keys() == generated.keys()
    assert len(made) == 7
    for name, crd in made.items():
        assert crd["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
        assert crd["spec"] == generated[name]["spec"]


def test_definitions_can_be_left_to_somebody_else() -> None:
    kinds = {obj["kind"] for obj in rendered("--set", "crds.install=false")}
    assert "CustomResourceDefinition" not in kinds


def test_policies_can_be_left_to_another_release() -> None:
    policy = "ValidatingAdmissionPolicy"
    kinds = [obj["kind"] for obj in rendered()]
    assert kinds.count(policy) == kinds.count(f"{policy}Binding") == 6
    without = {obj["kind"] for obj in rendered("--set", "policies.install=false")}
    assert not without & {policy, f"{policy}Binding"}


def test_two_operators_run_with_a_budget(served_bank: list[Object]) -> None:
    assert only(served_bank, "Deployment")["spec"]["replicas"] == 2
    assert only(served_bank, "PodDisruptionBudget")["spec"]["maxUnavailable"] == 1


def test_a_single_operator_has_no_budget_that_would_block_a_drain() -> None:
    kinds = [obj["kind"] for obj in rendered("--set", "operator.replicas=1")]
    assert "PodDisruptionBudget" not in kinds


def test_the_operator_is_told_what_it_needs(operator_container: Object) -> None:
    environment = {item["name"]: item.get("value") for item in operator_container["env"]}
    assert operator_container["image"] == "localhost/wayfare:abc"
    assert operator_container["args"] == ["operator", "run"]
    assert environment["WAYFARE_IMAGE"] == "localhost/wayfare:abc"
    assert environment["WAYFARE_NAMESPACES"] == "bank"
    assert environment["WAYFARE_OPERATOR_NAMESPACE"] == "wayfare-system"
    assert environment["WAYFARE_OPERATOR_SERVICE_ACCOUNT"] == "wayfare-operator"
    assert environment["WAYFARE_SITE"] == "east"


def test_the_operator_is_confined(served_bank: list[Object], operator_container: Object) -> None:
    pod = only(served_bank, "Deployment")["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    security = operator_container["securityContext"]
    assert security["readOnlyRootFilesystem"] is True
    assert security["allowPrivilegeEscalation"] is False
    assert security["capabilities"] == {"drop": ["ALL"]}


def test_the_control_token_is_for_engines_and_short_lived(
    served_bank: list[Object], operator_container: Object
) -> None:
    volumes = only(served_bank, "Deployment")["spec"]["template"]["spec"]["volumes"]
    token = next(volume for volume in volumes if volume["name"] == "control")
    source = token["projected"]["sources"][0]["serviceAccountToken"]
    assert source == {"audience": "wayfare-engine", "expirationSeconds": 600, "path": "token"}
    environment = {item["name"]: item.get("value") for item in operator_container["env"]}
    mount = next(m for m in operator_container["volumeMounts"] if m["name"] == "control")
    assert environment["WAYFARE_CONTROL_TOKEN_FILE"] == mount["mountPath"] + "/token"


def generated_rules() -> dict[str, list[Object]]:
    rules: dict[str, list[Object]] = yaml.safe_load(
        (CHART / "files" / "rbac-rules.yaml").read_text()
    )
    return rules


def test_rights_hold_in_the_named_namespaces_only(served_bank: list[Object]) -> None:
    rules = generated_rules()
    role = only(served_bank, "Role", "wayfare-operator")
    assert role["metadata"]["namespace"] == "bank"
    assert role["rules"] == rules["namespacedRules"] + rules["rules"]
    own = only(served_bank, "Role", "wayfare-operator-own")
    assert own["metadata"]["namespace"] == "wayfare-system"
    assert own["rules"] == rules["leaseRules"]
    cluster = only(served_bank, "ClusterRole", "wayfare-system-wayfare-operator")
    assert cluster["rules"] == rules["discoveryRules"]


def test_without_namespaces_the_release_serves_its_own() -> None:
    role = only(rendered(namespace="shop"), "Role", "wayfare-operator")
    assert role["metadata"]["namespace"] == "shop"


def test_cluster_wide_is_one_cluster_role() -> None:
    objects = rendered("--set", "clusterWide=true")
    rules = generated_rules()
    cluster = only(objects, "ClusterRole", "wayfare-system-wayfare-operator")
    assert cluster["rules"] == (rules["discoveryRules"] + rules["clusterRules"] + rules["rules"])
    assert [obj["metadata"]["name"] for obj in objects if obj["kind"] == "Role"] == [
        "wayfare-operator-own"
    ]
    container = only(objects, "Deployment")["spec"]["template"]["spec"]["containers"][0]
    assert {"name": "WAYFARE_NAMESPACES", "value": ""} in container["env"]


def test_every_binding_names_a_role_that_is_there_and_the_operators_account(
    served_bank: list[Object],
) -> None:
    roles = {
        (obj["kind"], obj["metadata"].get("namespace"), obj["metadata"]["name"])
        for obj in served_bank
        if obj["kind"] in ("Role", "ClusterRole")
    }
    account = only(served_bank, "ServiceAccount")["metadata"]
    for binding in served_bank:
        if binding["kind"] not in ("RoleBinding", "ClusterRoleBinding"):
            continue
        reference = binding["roleRef"]
        assert (
            reference["kind"],
            binding["metadata"].get("namespace"),
            reference["name"],
        ) in roles
        assert binding["subjects"] == [
            {
                "kind": "ServiceAccount",
                "name": account["name"],
                "namespace": account["namespace"],
            }
        ]


def test_no_right_is_a_wildcard_and_none_reads_secrets(served_bank: list[Object]) -> None:
    for role in (obj for obj in served_bank if obj["kind"] in ("Role", "ClusterRole")):
        for rule in role["rules"]:
            assert "*" not in [
                *rule["verbs"],
                *rule.get("resources", []),
                *rule.get("apiGroups", []),
            ]
            if "secrets" in rule.get("resources", []):
                assert not {"get", "list", "watch"} & set(rule["verbs"])


def test_the_policy_lets_the_operator_reach_workers_and_the_api_server(
    served_bank: list[Object],
) -> None:
    spec = only(served_bank, "NetworkPolicy")["spec"]
    ports = [port["port"] for rule in spec["egress"] for port in rule["ports"]]
    assert sorted(set(ports)) == [53, 443, 6443, 8081]
    assert (
        spec["podSelector"]["matchLabels"]
        == only(served_bank, "Deployment")["spec"]["selector"]["matchLabels"]
    )


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ("operator.replica=2", "replica"),
        ("operator.replicas=0", "replicas"),
        ("operator.replicas=two", "replicas"),
        ("image.pullPolicy=Sometimes", "pullPolicy"),
        ("image.tag=a b", "tag"),
        ("site=East", "site"),
        ("namespaces={Bank}", "namespaces"),
        ("namespaces={bank\\,shop}", "namespaces"),
        ("clusterWide=true,namespaces={bank}", "namespaces"),
        ("networkPolicy.apiServerPorts={70000}", "apiServerPorts"),
        ("unknown=1", "unknown"),
    ],
)
def test_a_wrong_value_is_refused_by_name(value: str, named: str) -> None:
    done = helm("template", "wayfare", str(CHART), "--set", value)
    assert done.returncode != 0
    assert named in done.stderr


def described(schema: Object, path: str = "") -> Iterator[tuple[str, Object]]:
    """Every property of a JSON schema, with its dotted path."""
    for name, property_ in schema.get("properties", {}).items():
        yield f"{path}{name}", property_
        yield from described(property_, f"{path}{name}.")


def test_every_value_is_described() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    known = dict(described(schema))
    assert [path for path, property_ in known.items() if not property_.get("description")] == []

    def leaves(values: Object, path: str = "") -> Iterator[str]:
        for name, value in values.items():
            yield f"{path}{name}"
            if isinstance(value, dict) and f"{path}{name}" not in ("operator.resources",):
                yield from leaves(value, f"{path}{name}.")

    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert [path for path in leaves(values) if path not in known] == []
