"""The chart's admission policies and roles, on a real API server: who may do what in recovery."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart.test_install import install
from tests.contract.examples import collection
from tests.servers.apiserver import Answer, ApiServer, running_apiserver
from tests.servers.helm import CHART
from tests.servers.wait import until
from wayfare_engine.resources import API_VERSION, RunKind
from wayfare_engine.resources.phases import NO_RETURN

pytestmark = pytest.mark.contract

Object = dict[str, Any]

EXAMPLES = sorted((CHART.parents[1] / "examples" / "recovery").glob("*.yaml"))
AUTHOR = "wayfare.dev/author"
RBAC = "/apis/rbac.authorization.k8s.io/v1/namespaces"
ROLES = {"dora": "wayfare-drill", "rita": "wayfare-recover", "anna": "wayfare-approve"}
VERBS = [str(kind).lower() for kind in RunKind]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """With the chart installed, its policies at work, and users who have its roles in `bank`."""
    with running_apiserver(tmp_path_factory.mktemp("policies-api")) as started:
        started.make_namespace("bank")
        install(started)
        for user, role in ROLES.items():
            bind(started, user, "ClusterRole", role)
        for user in ("pam", "paul"):
            bind(started, user, "ClusterRole", "wayfare-admin")
        until(lambda: at_work(started), seconds=60, what="the policies are at work")
        yield started


def at_work(server: ApiServer) -> bool:
    """Whether every policy refuses: they are read a moment after they are there."""
    waiting = "warming"
    server.make_namespace(waiting)
    server.send("POST", collection("RecoveryPlan", waiting), plan("p", takeover="Statement"))
    server.send("POST", collection("RecoveryRun", waiting), run("first", "admin", plan_name="q"))
    asked = [
        run("a", None, plan_name="x"),
        run("b", "admin", plan_name="q"),
        run("c", "admin", kind="Failover", plan_name="p"),
        approval("d", "nobody"),
    ]
    refused = [try_(server, None, obj, waiting).status in (403, 422) for obj in asked]
    own = f"{collection('RecoveryPlan', waiting)}/p"
    set_status(server, own, {"phase": "Drill"})
    refused.append(server.send("DELETE", own, dryRun="All").status == 422)
    asleep = plan("e", standby={"workloads": [{"kind": "Cluster", "name": "db"}]})
    refused.append("may not patch" in try_(server, "pam", asleep).message)
    return all(refused)


def bind(server: ApiServer, user: str, kind: str, role: str) -> None:
    made = server.send(
        "POST",
        f"{RBAC}/bank/rolebindings",
        {
            "metadata": {"name": f"{user}-{role}"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role},
            "subjects": [{"kind": "User", "name": user, "apiGroup": "rbac.authorization.k8s.io"}],
        },
    )
    assert made.status == 201, made.message


def allow(server: ApiServer, user: str, name: str, *rules: Object) -> None:
    """Give a user rights of his own in `bank`."""
    role = {"metadata": {"name": name}, "rules": list(rules)}
    assert server.send("POST", f"{RBAC}/bank/roles", role).status == 201
    bind(server, user, "Role", name)


def obj(kind: str, name: str, spec: Object, **annotations: str) -> Object:
    metadata: Object = {"name": name, "annotations": annotations}
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": spec}


def run(
    name: str, author: str | None, kind: str = "Drill", plan_name: str = "retail", **spec: Any
) -> Object:
    annotations = {AUTHOR: author} if author else {}
    spec = {"planRef": {"name": plan_name}, "kind": kind, "reason": "a test", **spec}
    return obj("RecoveryRun", name, spec, **annotations)


def approval(name: str, approver: str) -> Object:
    spec = {
        "runRef": {"name": "failover-1"},
        "step": "Verify",
        "attempt": 1,
        "decision": "Approve",
        "approver": approver,
        "reason": "a test",
    }
    return obj("Approval", name, spec)


def plan(name: str, **spec: Any) -> Object:
    return obj(
        "RecoveryPlan",
        name,
        {
            "engineRef": {"name": "retail"},
            "sites": [{"name": "east"}, {"name": "west"}],
            "objectives": {"rto": "15m", "rpo": "1m"},
            **spec,
        },
    )


def try_(server: ApiServer, user: str | None, made: Object, namespace: str = "bank") -> Answer:
    """Ask for the object to be made, without making it."""
    path = collection(made["kind"], namespace)
    return server.send("POST", path, made, user=user, dryRun="All")


def make(server: ApiServer, made: Object) -> str:
    """Make the object as the administrator; its path."""
    path = collection(made["kind"], "bank")
    if made["kind"] == "RecoveryRun":
        made["metadata"]["annotations"] = {AUTHOR: "admin"}
    answer = server.send("POST", path, made)
    assert answer.status == 201, answer.message
    return f"{path}/{made['metadata']['name']}"


def set_status(server: ApiServer, path: str, status: Object) -> None:
    found = server.send("GET", path).body
    answer = server.send("PUT", f"{path}/status", {**found, "status": status})
    assert answer.status == 200, answer.message


# -- runs ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", RunKind)
def test_who_has_every_verb_may_make_every_run(server: ApiServer, kind: RunKind) -> None:
    made = try_(server, "rita", run("r", "rita", kind))
    assert made.status == 201, made.message


@pytest.mark.parametrize("kind", RunKind)
def test_who_may_drill_may_drill_only(server: ApiServer, kind: RunKind) -> None:
    answer = try_(server, "dora", run("r", "dora", kind))
    if kind is RunKind.DRILL:
        assert answer.status == 201, answer.message
    else:
        assert answer.status == 403
        assert f"dora may not make a {kind}" in answer.message
        assert f"the verb {kind.lower()} on recoveryplans/retail" in answer.message


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_is_given_for_one_plan_by_its_name(server: ApiServer, verb: str) -> None:
    user, kind = f"only-{verb}", verb.capitalize()
    allow(
        server,
        user,
        user,
        {"apiGroups": ["wayfare.dev"], "resources": ["recoveryruns"], "verbs": ["create"]},
        {
            "apiGroups": ["wayfare.dev"],
            "resources": ["recoveryplans"],
            "resourceNames": ["retail"],
            "verbs": [verb],
        },
    )
    until(
        lambda: try_(server, user, run("r", user, kind)).status == 201,
        what="the new right is known",
    )
    assert try_(server, user, run("r", user, kind, plan_name="cards")).status == 403
    for other in RunKind:
        if other != kind:
            assert try_(server, user, run("r", user, other)).status == 403


def test_a_run_names_who_made_it(server: ApiServer) -> None:
    without = try_(server, "dora", run("r", None))
    assert without.status == 403
    assert "its annotation wayfare.dev/author has to be dora" in without.message
    forged = try_(server, "dora", run("r", "rita"))
    assert forged.status == 403
    assert "has to be dora, and is rita" in forged.message


def test_a_runs_author_cannot_be_changed_afterwards(server: ApiServer) -> None:
    path = make(server, run("authored", "admin", plan_name="authored"))
    stored = server.send("GET", path).body
    labelled = {**stored, "metadata": {**stored["metadata"], "labels": {"seen": "yes"}}}
    assert server.send("PUT", path, labelled, dryRun="All").status == 200
    for other in ({}, {AUTHOR: "rita"}):
        changed = {**stored, "metadata": {**stored["metadata"], "annotations": other}}
        answer = server.send("PUT", path, changed, dryRun="All")
        assert answer.status == 403
        assert "author of a run cannot change" in answer.message


def test_a_second_run_is_refused_by_the_name_of_the_first(server: ApiServer) -> None:
    path = make(server, run("first-of-two", "admin", plan_name="two"))
    second = run("second", "rita", "Switchover", plan_name="two")

    def refused() -> bool:
        answer = try_(server, "rita", second)
        return answer.status == 422 and (
            "RecoveryRun first-of-two (Drill) is open on plan two" in answer.message
        )

    until(refused, what="the first run is known")
    assert try_(server, "rita", run("r", "rita", plan_name="other")).status == 201
    set_status(server, path, {"state": "Failed"})  # waits for another try: still open
    until(refused, what="the failed run is known")


@pytest.mark.parametrize(
    "status",
    [
        {"state": "Succeeded"},
        {"state": "Rejected"},
        {"state": "Abandoned"},
        {"state": "Failed", "evidence": f"sha256:{'0' * 64}"},
    ],
    ids=["succeeded", "rejected", "abandoned", "failed"],
)
def test_a_run_that_has_ended_bars_none(server: ApiServer, status: Object) -> None:
    name = f"ended-{status['state'].lower()}"
    path = make(server, run(name, "admin", plan_name=name))
    second = run("second", "rita", plan_name=name)
    until(lambda: try_(server, "rita", second).status == 422, what="the run is known")
    set_status(server, path, status)
    until(lambda: try_(server, "rita", second).status == 201, what="its end is known")


def test_a_failover_needs_a_statement_where_the_plan_says_so(server: ApiServer) -> None:
    make(server, plan("by-statement", takeover="Statement"))
    failover = run("f", "rita", "Failover", plan_name="by-statement")

    def refused() -> bool:
        answer = try_(server, "rita", failover)
        return answer.status == 422 and (
            "plan by-statement has takeover: Statement" in answer.message
        )

    until(refused, what="the plan is known")
    failover["spec"]["statement"] = {"text": "East has no power since 10:12; I am in its hall."}
    assert try_(server, "rita", failover).status == 201
    by_lease = run("f", "rita", "Failover", plan_name="retail")
    assert try_(server, "rita", by_lease).status == 201


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_examples_are_accepted_from_who_is_named_in_them(server: ApiServer, path: Path) -> None:
    [example] = yaml.safe_load_all(path.read_text(encoding="utf-8"))
    named = {
        "RecoveryPlan": None,
        "RecoveryRun": (example["metadata"].get("annotations") or {}).get(AUTHOR),
        "Approval": example["spec"].get("approver"),
    }
    answer = try_(server, named[example["kind"]], example)
    assert answer.status == 201, answer.message


# -- approvals ----------------------------------------------------------------------------------


def test_nobody_decides_for_another(server: ApiServer) -> None:
    assert try_(server, "anna", approval("a", "anna")).status == 201
    forged = try_(server, "anna", approval("a", "rita"))
    assert forged.status == 403
    assert "spec.approver has to be anna, and is rita" in forged.message


def test_a_decision_needs_the_verb_approve(server: ApiServer) -> None:
    allow(
        server,
        "eve",
        "eve",
        {"apiGroups": ["wayfare.dev"], "resources": ["approvals"], "verbs": ["create"]},
    )

    def refused() -> bool:
        answer = try_(server, "eve", approval("a", "eve"))
        return answer.status == 403 and "needs the verb approve" in answer.message

    until(refused, what="eve may create Approvals, and is refused by the policy")
    assert try_(server, "rita", approval("a", "rita")).status == 403


# -- plans --------------------------------------------------------------------------------------


SLEEPING = [
    ("StatefulSet", "apps", "statefulsets/scale", "scale (patch its scale)"),
    ("Deployment", "apps", "deployments/scale", "scale (patch its scale)"),
    ("Cluster", "postgresql.cnpg.io", "clusters", "patch"),
]


@pytest.mark.parametrize(("kind", "group", "resource", "verb"), SLEEPING)
def test_a_plan_names_only_workloads_that_its_author_could_scale(
    server: ApiServer, kind: str, group: str, resource: str, verb: str
) -> None:
    name = f"db-{kind.lower()}"
    asleep = plan("retail", standby={"workloads": [{"kind": kind, "name": name}]})
    refused = try_(server, "pam", asleep)
    assert refused.status == 403
    assert f"names {kind} {name}, which pam may not {verb}" in refused.message
    allow(
        server,
        "paul",
        f"may-{name}",
        {
            "apiGroups": [group],
            "resources": [resource],
            "resourceNames": [name],
            "verbs": ["patch"],
        },
    )
    until(lambda: try_(server, "paul", asleep).status == 201, what="paul may scale it")


def test_sixteen_workloads_are_within_the_cost_of_a_policy(server: ApiServer) -> None:
    workloads = [{"kind": "StatefulSet", "name": f"db-{i}"} for i in range(16)]
    answer = try_(server, None, plan("widest", standby={"workloads": workloads}))
    assert answer.status == 201, answer.message
    allow(
        server,
        "pam",
        "all-but-the-last",
        {
            "apiGroups": ["apps"],
            "resources": ["statefulsets/scale"],
            "resourceNames": [f"db-{i}" for i in range(15)],
            "verbs": ["patch"],
        },
    )

    def all_but_the_last() -> bool:
        message = try_(server, "pam", plan("widest", standby={"workloads": workloads})).message
        return "StatefulSet db-15" in message and "db-14" not in message

    until(all_but_the_last, what="pam may scale all but the last")


def test_who_leaves_the_workloads_as_they_are_needs_no_right_on_them(server: ApiServer) -> None:
    path = make(server, plan("kept", standby={"workloads": [{"kind": "Cluster", "name": "db"}]}))
    stored = server.send("GET", path).body
    changed = {**stored, "spec": {**stored["spec"], "objectives": {"rto": "30m", "rpo": "1m"}}}
    answer = server.send("PUT", path, changed, user="pam", dryRun="All")
    assert answer.status == 200, answer.message
    more = [{"kind": "Cluster", "name": "db"}, {"kind": "Deployment", "name": "web"}]
    changed["spec"] = {**stored["spec"], "standby": {"workloads": more}}
    assert server.send("PUT", path, changed, user="pam", dryRun="All").status == 403


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (
            {"traffic": {"type": "Service", "service": {"name": "front"}}},
            "traffic.service names Service front, which pam may not patch",
        ),
        (
            {
                "traffic": {
                    "type": "HTTPRoute",
                    "httpRoute": {
                        "name": "front",
                        "backends": [
                            {"site": "east", "service": "a"},
                            {"site": "west", "service": "b"},
                        ],
                    },
                }
            },
            "traffic.httpRoute names HTTPRoute front, which pam may not patch",
        ),
        (
            {
                "checks": {
                    "custom": [
                        {
                            "name": "balances",
                            "level": "Business",
                            "job": {"template": {"spec": {}}},
                        }
                    ]
                }
            },
            "checks.custom has a Job, and pam may not create Jobs in namespace bank",
        ),
        (
            {
                "sites": [
                    {"name": "east"},
                    {
                        "name": "west",
                        "overrides": [
                            {"kind": "Engine", "name": "retail", "spec": {}},
                            {"kind": "Journey", "name": "deposit", "spec": {}},
                        ],
                    },
                ]
            },
            "sites[].overrides changes journeys, which pam may not update in namespace bank",
        ),
    ],
    ids=["service", "http-route", "job", "override"],
)
def test_a_plan_does_nothing_that_its_author_could_not(
    server: ApiServer, spec: Object, said: str
) -> None:
    refused = try_(server, "pam", plan("retail", **spec))
    assert refused.status == 403
    assert said in refused.message
    assert "changes engines" not in refused.message  # the role wayfare-admin may
    assert try_(server, None, plan("retail", **spec)).status == 201


# -- deletion -----------------------------------------------------------------------------------


def test_a_plan_is_deleted_in_production_only(server: ApiServer) -> None:
    path = make(server, plan("deleted"))
    assert server.send("DELETE", path, dryRun="All").status == 200
    set_status(server, path, {"phase": "Emergency"})
    refused = server.send("DELETE", path)
    assert refused.status == 422
    assert "the plan is in phase Emergency" in refused.message
    set_status(server, path, {"phase": "Production"})
    assert server.send("DELETE", path).status == 200


@pytest.mark.parametrize("step", sorted({step for step in NO_RETURN.values() if step}))
def test_a_run_is_not_deleted_past_its_point_of_no_return(server: ApiServer, step: str) -> None:
    name = f"no-return-{step.lower()}"[:30]
    path = make(server, run(name, "admin", "Failover", plan_name=name))
    steps = [{"name": "Verify", "state": "Succeeded"}, {"name": step, "state": "Pending"}]
    set_status(server, path, {"state": "Running", "steps": steps})
    assert server.send("DELETE", path, dryRun="All").status == 200
    begun = [steps[0], {"name": step, "state": "Running"}]
    set_status(server, path, {"state": "Running", "steps": begun})
    refused = server.send("DELETE", path)
    assert refused.status == 422
    assert "past its point of no return" in refused.message
    set_status(server, path, {"state": "Succeeded", "steps": begun})
    assert server.send("DELETE", path).status == 200


@pytest.mark.parametrize("account", ["namespace-controller", "generic-garbage-collector"])
def test_deleting_a_namespace_waits_for_nothing(server: ApiServer, account: str) -> None:
    path = make(server, plan(f"left-by-{account.split('-')[0]}"))
    set_status(server, path, {"phase": "Emergency"})
    user = f"system:serviceaccount:kube-system:{account}"
    assert server.send("DELETE", path, user=user).status == 200


def test_deleting_the_definition_of_a_kind_waits_for_nothing(tmp_path: Path) -> None:
    with running_apiserver(tmp_path) as own:
        own.make_namespace("bank")
        install(own)
        own.kubectl("wait", "--for=condition=Established", "crd/recoveryplans.wayfare.dev")
        path = make(own, plan("left"))
        set_status(own, path, {"phase": "Emergency"})
        until(
            lambda: own.send("DELETE", path, dryRun="All").status == 422,
            seconds=60,
            what="the policy is at work",
        )
        own.kubectl("delete", "crd", "recoveryplans.wayfare.dev", "--timeout=60s")
        assert own.send("GET", path).status == 404
