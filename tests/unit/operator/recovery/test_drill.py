"""The objects of a drill, as golden YAML, and what is read from its canary.

After a wanted change: `UPDATE_GOLDEN=1 pytest tests/unit/operator/recovery/test_drill.py`.
"""

from __future__ import annotations

import json
import os
from base64 import b64decode
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from tests.unit.operator.recovery.test_jobs import plan, resource
from tests.unit.operator.test_desired import FACTS, SPECS, engine
from wayfare_engine.identity import parse
from wayfare_engine.recovery.drill.targets import Canary
from wayfare_engine.resources import RecoveryRun, RunKind
from wayfare_operator.desired import drill
from wayfare_operator.desired.drill_engine import isolated_engine
from wayfare_operator.desired.metadata import DRILL_LABEL
from wayfare_operator.kube.kinds import Object
from wayfare_operator.recovery.canary import ended, isolated, task_of
from wayfare_operator.recovery.jobs import Task, task_job

GOLDEN = Path(__file__).parents[1] / "golden" / "drill.yaml"
TOLD = {
    "targets": [
        {"what": "the API server", "host": "10.0.0.1", "port": 443, "reached": True},
        {"what": "the object store", "host": "vault.example", "port": 443, "reached": False},
    ],
    "store": "s3://recovery/retail",
    "options": {},
    "objects": {"production's lease": "lease/bank.retail/00000003"},
}


def run() -> RecoveryRun:
    """A drill."""
    spec = {"planRef": {"name": "dr"}, "kind": "Drill", "reason": "the yearly one"}
    made = resource("RecoveryRun", "rehearse", spec)
    assert isinstance(made, RecoveryRun)
    return made


def built(spec: str = "external") -> list[Object]:
    """Everything that a drill applies, in order."""
    parsed = engine(SPECS[spec])
    canary = task_of(TOLD, "rehearse", "bank")
    return [
        drill.anchor(run()),
        drill.wall(run(), parsed, plan()),
        *drill.stores(run(), parsed, FACTS),
        *isolated_engine(run(), parsed, FACTS, number=7, attempt=1, canary=canary),
    ]


class _Plain(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def golden() -> str:
    """As it is kept."""
    return str(yaml.dump_all(built(), Dumper=_Plain))


def named(kind: str, name: str, spec: str = "external") -> Object:
    """One of the objects."""
    (found,) = (
        each for each in built(spec) if (each["kind"], each["metadata"]["name"]) == (kind, name)
    )
    return found


def pod_of(name: str, spec: str = "external") -> Object:
    """The pod's spec of a Deployment."""
    found: Object = named("Deployment", name, spec)["spec"]["template"]["spec"]
    return found


def test_the_objects_of_a_drill_are_as_reviewed() -> None:
    text = golden()
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.write_text(text)
    assert text == GOLDEN.read_text()


@pytest.mark.parametrize("spec", SPECS)
def test_no_service_and_no_policy_of_production_selects_its_pods(spec: str) -> None:
    for name in ("rehearse-drill-stores", "rehearse-drill-engine"):
        labels = named("Deployment", name, spec)["spec"]["template"]["metadata"]["labels"]
        assert labels["app.kubernetes.io/instance"] == "rehearse"
        assert labels["app.kubernetes.io/component"].startswith("drill-")
        assert "wayfare.dev/engine" not in labels
        assert labels[DRILL_LABEL] == "rehearse"


def test_the_wall_lets_out_names_and_the_drill_alone() -> None:
    spec = named("NetworkPolicy", "rehearse-drill")["spec"]
    assert spec["podSelector"] == {"matchLabels": {DRILL_LABEL: "rehearse"}}
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    names, own = spec["egress"]
    assert {each["port"] for each in names["ports"]} == {53}
    assert own == {"to": [{"podSelector": {"matchLabels": {DRILL_LABEL: "rehearse"}}}]}


def test_the_wall_outlives_the_run() -> None:
    (owner,) = named("NetworkPolicy", "rehearse-drill")["metadata"]["ownerReferences"]
    assert owner["kind"] == "RecoveryPlan"


@pytest.mark.parametrize("spec", SPECS)
def test_its_pods_hold_no_credential_of_production_but_the_master_key(spec: str) -> None:
    secrets: set[str] = set()
    for name in ("rehearse-drill-stores", "rehearse-drill-engine"):
        pod = pod_of(name, spec)
        for container in (*pod.get("initContainers", ()), *pod["containers"]):
            assert "envFrom" not in container
            for each in container["env"]:
                reference = each.get("valueFrom", {}).get("secretKeyRef")
                if reference is not None:
                    secrets.add(reference["name"])
        secrets |= {each["secret"]["secretName"] for each in pod["volumes"] if "secret" in each}
        assert pod["automountServiceAccountToken"] is False
    assert secrets <= {"rehearse-drill", "keys"}


def test_nothing_of_the_engine_starts_before_the_canary_and_its_own_epoch() -> None:
    pod = pod_of("rehearse-drill-engine")
    assert [each["name"] for each in pod["initContainers"]] == ["canary", "isolate"]
    assert [each["name"] for each in pod["containers"]] == ["sink", "worker", "serve"]


def test_the_engine_writes_under_a_plan_and_into_a_store_of_its_own() -> None:
    for container in pod_of("rehearse-drill-engine")["containers"][1:]:
        env = {each["name"]: each.get("value") for each in container["env"]}
        assert env["WAYFARE_OBJECT_STORE_URL"] == "file:///var/lib/wayfare/store"
        assert env["WAYFARE_RECOVERY_PLAN"] == "bank.retail.drill-7"
        assert env["WAYFARE_SITE"] == "drill"
        assert env["WAYFARE_LEASE_TAKE_FIRST"] == "false"


def test_the_secret_goes_with_the_anchor_and_has_a_key_of_the_right_form() -> None:
    anchored = {"metadata": {"name": "rehearse-drill", "uid": "u-anchor"}}
    made = drill.secret(run(), anchored, tokens=("a", "b", "c"))
    (owner,) = made["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["uid"]) == ("ConfigMap", "u-anchor")
    assert sorted(made["data"]) == ["api-key", "postgresql-password", "valkey-password"]
    parse(b64decode(made["data"]["api-key"]).decode())


@pytest.mark.parametrize(
    ("kind", "step", "there"),
    [
        (RunKind.DRILL, "Fork", True),
        (RunKind.DRILL, "Verify", True),
        (RunKind.DRILL, "CatchUp", False),
        (RunKind.FAILOVER, "Verify", False),
    ],
)
def test_only_steps_at_the_copy_are_told_where_it_is(kind: RunKind, step: str, there: bool) -> None:
    job = task_job(
        Task("rehearse", 7, kind, step, 1, 60), plan(), engine(SPECS["external"]), FACTS, run()
    )
    (container,) = job["spec"]["template"]["spec"]["containers"]
    names = {each["name"] for each in container["env"]}
    assert ("WAYFARE_FORK_DSN" in names) is there
    assert ("WAYFARE_FORK_API_KEY" in names) is there


# -- the canary -----------------------------------------------------------------------------------

SHUT = {
    "tried": 2,
    "own": [["the drill's PostgreSQL", True, "it let us in"]],
    "ways": [["the API server", False, "no answer within 2 s"]],
}


def canaries(message: str, state: str = "state", **metadata: Any) -> list[Object]:
    """The engine's pod with what its canary said."""
    status = {"name": "canary", state: {"terminated": {"exitCode": 0, "message": message}}}
    return [{"metadata": {"name": "p", **metadata}, "status": {"initContainerStatuses": [status]}}]


@pytest.mark.parametrize("state", ["state", "lastState"])
def test_a_canary_that_did_not_get_out(state: str) -> None:
    found = ended(canaries(json.dumps(SHUT), state))
    assert found is not None
    assert found.word is not None
    assert found.word.shut


def test_a_canary_that_got_out() -> None:
    ways = [["the API server", True, "it let us in"]]
    found = ended(canaries(json.dumps({**SHUT, "ways": ways})))
    assert found is not None
    assert found.word is not None
    assert [each.what for each in found.word.open] == ["the API server"]
    assert not found.word.shut


@pytest.mark.parametrize(
    "more",
    [
        {"own": [["the drill's PostgreSQL", False, "no answer"]]},
        {"own": []},
        {"tried": 0, "ways": []},
    ],
)
def test_a_canary_whose_silence_proves_nothing(more: dict[str, Any]) -> None:
    found = ended(canaries(json.dumps({**SHUT, **more})))
    assert found is not None
    assert found.word is not None
    assert not found.word.shut


def test_a_canary_that_is_under_way_or_of_a_pod_that_goes() -> None:
    assert ended([]) is None
    assert ended([{"metadata": {"name": "p"}, "status": {}}]) is None
    assert ended(canaries(json.dumps(SHUT), deletionTimestamp="2026-01-01T00:00:00Z")) is None


def test_what_is_not_understood_is_no_proof() -> None:
    found = ended(canaries("Killed"))
    assert found is not None
    assert found.word is None


def test_the_report_says_how_each_way_was_shut_and_what_that_is_worth() -> None:
    found = ended(canaries(json.dumps(SHUT)))
    assert found is not None
    assert found.word is not None
    assert isolated(found.word, TOLD) == [
        {
            "what": "the API server",
            "how": "not reached: no answer within 2 s; from outside the drill it was reached",
        }
    ]


def test_the_canary_is_told_what_the_engine_itself_understands() -> None:
    told = msgspec.json.decode(task_of(TOLD, "rehearse", "bank"), type=Canary)
    assert [each.what for each in told.targets] == ["the API server", "the object store"]
    assert {each.host for each in told.own} == {"rehearse-drill-stores.bank.svc"}
    assert told.objects == TOLD["objects"]
