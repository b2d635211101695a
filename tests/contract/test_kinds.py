"""How the kinds behave under kubectl and the API, on a real API server."""

from __future__ import annotations

import hashlib
import json
import re
import ssl
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.contract.examples import collection
from tests.servers.apiserver import ApiServer
from wayfare_engine.resources import API_VERSION, KINDS, parse, spec_digest

pytestmark = pytest.mark.contract

ENGINE: dict[str, Any] = {"stores": {"managed": {}}}
SEGMENT: dict[str, Any] = {"engineRef": {"name": "retail"}, "rule": "customer.age >= 55"}
CHANNEL: dict[str, Any] = {
    "engineRef": {"name": "retail"},
    "medium": "SMS",
    "plugin": {"name": "sandbox"},
}
PLAN: dict[str, Any] = {
    "engineRef": {"name": "retail"},
    "sites": [{"name": "east"}, {"name": "west"}],
    "objectives": {"rto": "15m", "rpo": "1m"},
}
RUN: dict[str, Any] = {"planRef": {"name": "retail"}, "kind": "Drill", "reason": "rehearsal"}
APPROVAL: dict[str, Any] = {
    "runRef": {"name": "drill-1"},
    "step": "Verify",
    "attempt": 1,
    "decision": "Approve",
    "approver": "anna",
    "reason": "looked at",
}


def slot(name: str, **content: Any) -> dict[str, Any]:
    return {"name": name, "type": "slot", "slot": {"name": "home-banner", "content": content}}


def journey(*nodes: dict[str, Any]) -> dict[str, Any]:
    return {"engineRef": {"name": "retail"}, "audience": "true", "nodes": list(nodes)}


def obj(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": spec}


@pytest.fixture
def namespace(apiserver: ApiServer, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace of the test's own; its objects are gone at the end."""
    digest = hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:12]
    name = f"contract-{digest}"
    apiserver.make_namespace(name)
    yield name
    for kind in KINDS:
        apiserver.send("DELETE", collection(kind, name))


def create(apiserver: ApiServer, namespace: str, made: dict[str, Any]) -> dict[str, Any]:
    answer = apiserver.send("POST", collection(made["kind"], namespace), made)
    assert answer.status == 201, answer.message
    return answer.body


def test_explain_shows_what_a_node_is(apiserver: ApiServer) -> None:
    shown = apiserver.kubectl("explain", "journey.spec.nodes").stdout
    assert "The steps. Each has a name, a type" in shown
    assert "For type slot: what is shown where." in shown
    assert "next\t<string>" in shown


def test_explain_says_what_every_kind_is(apiserver: ApiServer) -> None:
    for kind in KINDS.values():
        shown = apiserver.kubectl("explain", kind.singular).stdout
        assert "DESCRIPTION:" in shown
        assert "<empty>" not in shown


def test_get_wayfare_lists_all_kinds(apiserver: ApiServer, namespace: str) -> None:
    create(apiserver, namespace, obj("Engine", "retail", ENGINE))
    create(apiserver, namespace, obj("Segment", "mature", SEGMENT))
    create(apiserver, namespace, obj("Journey", "deposit", journey(slot("offer"))))
    create(apiserver, namespace, obj("Channel", "sms", CHANNEL))
    create(apiserver, namespace, obj("RecoveryPlan", "retail", PLAN))
    create(apiserver, namespace, obj("RecoveryRun", "drill-1", RUN))
    create(apiserver, namespace, obj("Approval", "yes", APPROVAL))
    shown = apiserver.kubectl("get", "wayfare", "-n", namespace, "-o", "name").stdout.split()
    assert sorted(shown) == [
        "approval.wayfare.dev/yes",
        "channel.wayfare.dev/sms",
        "engine.wayfare.dev/retail",
        "journey.wayfare.dev/deposit",
        "recoveryplan.wayfare.dev/retail",
        "recoveryrun.wayfare.dev/drill-1",
        "segment.wayfare.dev/mature",
    ]


@pytest.mark.parametrize(
    ("short", "kind"), [(each.short_name, each.name) for each in KINDS.values()]
)
def test_short_names_are_known(apiserver: ApiServer, short: str, kind: str) -> None:
    shown = apiserver.kubectl("get", short, "-n", "default").stderr
    assert shown.startswith("No resources found"), kind


def test_get_shows_a_segments_size_and_why_it_is_not_ready(
    apiserver: ApiServer, namespace: str
) -> None:
    made = create(apiserver, namespace, obj("Segment", "mature", SEGMENT))
    made["status"] = {
        "size": 1234,
        "asOf": "2026-01-01T00:00:00Z",
        "conditions": [
            {
                "type": "Ready",
                "status": "False",
                "reason": "Computing",
                "message": "",
                "lastTransitionTime": "2026-01-01T00:00:00Z",
            }
        ],
    }
    path = f"{collection('Segment', namespace)}/mature/status"
    assert apiserver.send("PUT", path, made).status == 200
    header, row = apiserver.kubectl("get", "wseg", "-n", namespace).stdout.splitlines()
    assert header.split() == ["NAME", "ENGINE", "SIZE", "AS", "OF", "READY", "REASON", "AGE"]
    assert row.split()[:3] == ["mature", "retail", "1234"]
    assert row.split()[4:6] == ["False", "Computing"]


def test_get_shows_a_journeys_priority(apiserver: ApiServer, namespace: str) -> None:
    create(apiserver, namespace, obj("Journey", "deposit", journey(slot("offer"))))
    header, row = apiserver.kubectl("get", "wj", "-n", namespace).stdout.splitlines()
    assert header.split() == ["NAME", "ENGINE", "PRIORITY", "READY", "REASON", "VERSION", "AGE"]
    assert row.split()[:3] == ["deposit", "retail", "100"]


def shown_cells(apiserver: ApiServer, namespace: str, kind: str) -> dict[str, str]:
    """What `kubectl get` shows of the only object, by column."""
    header, row = apiserver.kubectl("get", kind, "-n", namespace).stdout.splitlines()
    cells = [re.split(" {3,}", line.strip()) for line in (header, row)]
    return dict(zip(*cells, strict=True))


def test_get_shows_where_a_plan_stands(apiserver: ApiServer, namespace: str) -> None:
    made = create(apiserver, namespace, obj("RecoveryPlan", "retail", PLAN))
    made["status"] = {
        "phase": "Production",
        "actingSite": "east",
        "epoch": 3,
        "lag": {"rows": 12_000, "seconds": 79_200},
        "lastProven": {"run": "drill-1", "rtoSeconds": 48, "rpoRows": 0},
        "awake": {"hoursToday": 1.9},
        "conditions": [
            {
                "type": "ReadyToTakeOver",
                "status": "Unknown",
                "reason": "SiteUnknown",
                "message": "",
                "lastTransitionTime": "2026-01-01T00:00:00Z",
            }
        ],
    }
    path = f"{collection('RecoveryPlan', namespace)}/retail/status"
    assert apiserver.send("PUT", path, made).status == 200
    cells = shown_cells(apiserver, namespace, "wrp")
    assert cells.pop("AGE")
    assert cells == {
        "NAME": "retail",
        "PHASE": "Production",
        "ACTING": "east",
        "EPOCH": "3",
        "LAG": "79200",
        "READY TO TAKE OVER": "Unknown",
        "RTO": "48",
        "RPO": "0",
        "AWAKE": "1.9",
    }


def test_get_shows_how_far_a_run_is_and_what_it_reached(
    apiserver: ApiServer, namespace: str
) -> None:
    made = create(apiserver, namespace, obj("RecoveryRun", "failover-1", RUN))
    made["status"] = {
        "state": "Running",
        "step": "Route",
        "rto": {"seconds": 41.2},
        "rpo": {"rows": 17, "basis": "Estimated"},
        "verdict": "Passed",
    }
    path = f"{collection('RecoveryRun', namespace)}/failover-1/status"
    assert apiserver.send("PUT", path, made).status == 200
    cells = shown_cells(apiserver, namespace, "wrr")
    assert cells.pop("AGE")
    assert cells == {
        "NAME": "failover-1",
        "PLAN": "retail",
        "KIND": "Drill",
        "STEP": "Route",
        "STATE": "Running",
        "RTO": "41.2",
        "RPO": "17",
        "VERDICT": "Passed",
    }


def test_a_short_plan_is_safe(apiserver: ApiServer, namespace: str) -> None:
    """Nothing is taken over, applied or routed by itself unless somebody writes so."""
    spec = create(apiserver, namespace, obj("RecoveryPlan", "retail", PLAN))["spec"]
    assert spec["failover"] == {"mode": "Manual"}
    assert spec["takeover"] == "Lease"
    assert spec["configuration"] == "External"
    assert spec["traffic"] == {"type": "None"}
    assert "drill" not in spec
    assert spec["standby"]["mode"] == "Cold"
    assert spec["standby"]["windows"] == [
        {"name": "nightly", "schedule": "0 1 * * *", "duration": "2h", "timeZone": "UTC"}
    ]
    assert spec["lease"] == {"ttl": "12s", "handOver": "5s", "clockErrorPercent": 0.1}


def test_a_run_is_named_by_the_api_server_within_its_bound(
    apiserver: ApiServer, namespace: str
) -> None:
    unnamed = obj("RecoveryRun", "", RUN)
    unnamed["metadata"] = {"generateName": "d" * 25}
    made = create(apiserver, namespace, unnamed)
    assert len(made["metadata"]["name"]) == 30
    parse(made)
    parse(unnamed)
    unnamed["metadata"] = {"generateName": "d" * 26}
    refused = apiserver.send("POST", collection("RecoveryRun", namespace), unnamed)
    assert refused.status == 422
    assert "at most 30 of them, 25 before what generateName adds" in refused.message


def test_the_largest_plan_is_within_the_cost_of_its_rules(
    apiserver: ApiServer, namespace: str
) -> None:
    windows = [
        {"name": f"w{i}", "schedule": f"{i} 1 * * *", "duration": "1m", "timeZone": "UTC"}
        for i in range(8)
    ]
    blocked = [each | {"schedule": f"{i} 2 * * *"} for i, each in enumerate(windows)]
    spec = PLAN | {
        "standby": {"windows": windows},
        "blockedWindows": blocked,
        "drill": {"schedule": "0 3 * * *"},
    }
    create(apiserver, namespace, obj("RecoveryPlan", "widest", spec))


def test_a_short_engine_is_filled_with_defaults(apiserver: ApiServer, namespace: str) -> None:
    spec = create(apiserver, namespace, obj("Engine", "retail", ENGINE))["spec"]
    assert spec["serve"] == {"replicas": 2}
    assert spec["worker"] == {"replicas": 1}
    assert spec["autoscaling"] == {"maxReplicas": 10, "targetCPUUtilization": 70}
    assert spec["service"] == {"type": "ClusterIP"}
    assert spec["authentication"] == {"mode": "APIKey"}
    assert spec["allowedNamespaces"] == {"from": "Same"}
    assert spec["stores"] == {
        "managed": {"postgresql": {"size": "10Gi"}, "valkey": {"size": "1Gi"}},
        "deletionPolicy": "Retain",
    }


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        ("Engine", ENGINE),
        ("Segment", SEGMENT),
        ("Journey", journey(slot("offer", title="x"))),
        ("Channel", CHANNEL),
        ("RecoveryPlan", PLAN),
        ("RecoveryPlan", PLAN | {"drill": {"schedule": "0 6 * * 0"}, "traffic": {}}),
        ("RecoveryRun", RUN),
        ("RecoveryRun", RUN | {"scenario": {}}),
        ("Approval", APPROVAL),
    ],
)
def test_defaults_of_the_api_server_and_of_the_models_agree(
    apiserver: ApiServer, namespace: str, kind: str, spec: dict[str, Any]
) -> None:
    written = obj(kind, "same", spec)
    stored = create(apiserver, namespace, written)
    assert spec_digest(parse(stored).spec) == spec_digest(parse(written).spec)
    assert parse(stored).spec == parse(written).spec


def test_an_unknown_field_is_refused_by_kubectl(apiserver: ApiServer, namespace: str) -> None:
    made = obj("Journey", "typo", journey(slot("offer")) | {"prioritty": 5})
    refused = apiserver.kubectl(
        "apply", "-n", namespace, "-f", "-", stdin=json.dumps(made), check=False
    )
    assert refused.returncode != 0
    assert 'unknown field "spec.prioritty"' in refused.stderr


def test_an_unknown_field_from_another_client_is_pruned_with_a_warning(
    apiserver: ApiServer, namespace: str
) -> None:
    made = obj("Journey", "typo", journey(slot("offer")) | {"prioritty": 5})
    answer = apiserver.send("POST", collection("Journey", namespace), made)
    assert answer.status == 201
    assert any("spec.prioritty" in warning for warning in answer.warnings)
    assert "prioritty" not in answer.body["spec"]


def test_content_is_kept_as_it_was_written(apiserver: ApiServer, namespace: str) -> None:
    content = {"title": "3.1 %", "lines": [1, 2.5, None, True], "link": {"to": "/deposits"}}
    made = create(apiserver, namespace, obj("Journey", "any", journey(slot("a", **content))))
    assert made["spec"]["nodes"][0]["slot"]["content"] == content


def test_two_managers_apply_different_nodes_of_one_journey(
    apiserver: ApiServer, namespace: str
) -> None:
    path = f"{collection('Journey', namespace)}/shared"
    head = obj("Journey", "shared", journey(slot("head", title="head office")))
    branch = obj("Journey", "shared", {"nodes": [slot("branch", title="branch")]})
    assert apiserver.apply(path, head, manager="head-office").status == 201
    merged = apiserver.apply(path, branch, manager="branch")
    assert merged.status == 200, merged.message
    assert [node["name"] for node in merged.body["spec"]["nodes"]] == ["head", "branch"]


def test_a_field_of_another_manager_is_a_conflict(apiserver: ApiServer, namespace: str) -> None:
    path = f"{collection('Journey', namespace)}/shared"
    head = obj("Journey", "shared", journey(slot("offer")) | {"priority": 10})
    other = obj("Journey", "shared", {"priority": 20})
    assert apiserver.apply(path, head, manager="head-office").status == 201
    refused = apiserver.apply(path, other, manager="branch")
    assert refused.status == 409
    assert ".spec.priority" in refused.message


def test_a_journey_of_600_kilobytes_is_accepted(apiserver: ApiServer, namespace: str) -> None:
    nodes = [slot(f"offer-{i}", text="x" * 6000) for i in range(100)]
    made = obj("Journey", "big", journey(*nodes))
    assert len(json.dumps(made)) > 600_000
    stored = create(apiserver, namespace, made)
    assert parse(stored).spec == parse(made).spec
    applied = apiserver.kubectl(
        "apply", "--server-side", "-n", namespace, "-f", "-", stdin=json.dumps(made)
    )
    assert applied.returncode == 0


def test_the_largest_graph_is_within_the_cost_of_its_rules(
    apiserver: ApiServer, namespace: str
) -> None:
    """100 nodes, 16 branches each, every one leading to the node that is looked for longest."""
    last = "n" * 60 + "-99"
    branches = [{"name": f"b{i}", "when": "true", "next": last} for i in range(16)]
    nodes: list[dict[str, Any]] = [
        {
            "name": "n" * 60 + f"-{i:02}",
            "type": "decisionSplit",
            "next": last,
            "decisionSplit": {"branches": branches},
        }
        for i in range(100)
    ]
    create(apiserver, namespace, obj("Journey", "widest", journey(*nodes)))


def test_changing_status_leaves_the_generation(apiserver: ApiServer, namespace: str) -> None:
    made = create(apiserver, namespace, obj("Segment", "mature", SEGMENT))
    path = f"{collection('Segment', namespace)}/mature"
    changed = apiserver.send("PUT", f"{path}/status", made | {"status": {"size": 7}})
    assert changed.body["status"]["size"] == 7
    assert changed.body["metadata"]["generation"] == 1


def test_nobody_gets_in_without_a_certificate(apiserver: ApiServer) -> None:
    context = ssl.create_default_context(cafile=str(apiserver.authority.certificate))
    answer = httpx.get(f"{apiserver.url}/readyz", verify=context)
    assert answer.status_code == 401
