"""Each validation, on a real API server: an example that it accepts and one that it refuses."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.contract.examples import FOLDER, Case, cases, collection
from tests.servers.apiserver import Answer, ApiServer
from wayfare_engine.resources import API_VERSION, KINDS, ResourceError, crd, parse

CASES = cases()
_NODE_MEMBER = "needs the member slot, and no member of another type"
pytestmark = pytest.mark.contract


def submit(apiserver: ApiServer, case: Case) -> Answer:
    """Create the first object and change it in turn; the last answer. Leaves nothing behind."""
    path = collection(case.kind, "default")
    *before, last = case.objects
    if not before:
        return apiserver.send("POST", path, last, dryRun="All", fieldValidation="Strict")
    made = apiserver.send("POST", path, before[0], fieldValidation="Strict")
    assert made.status == 201, made.message
    own = f"{path}/{last['metadata']['name']}"
    try:
        version = made.body["metadata"]["resourceVersion"]
        changed = {**last, "metadata": {**last["metadata"], "resourceVersion": version}}
        return apiserver.send("PUT", own, changed, dryRun="All", fieldValidation="Strict")
    finally:
        assert apiserver.send("DELETE", own).status == 200


@pytest.mark.parametrize(
    "case", [each for each in CASES if each.refused is None], ids=lambda case: case.name
)
def test_the_api_server_accepts(apiserver: ApiServer, case: Case) -> None:
    answer = submit(apiserver, case)
    assert answer.status in (200, 201), answer.message


@pytest.mark.parametrize(
    "case", [each for each in CASES if each.refused], ids=lambda case: case.name
)
def test_the_api_server_refuses_and_says_why(apiserver: ApiServer, case: Case) -> None:
    answer = submit(apiserver, case)
    # 400: a field that does not exist; 422: a value that cannot work.
    assert answer.status in (400, 422), answer.body
    assert case.refused is not None
    assert case.refused in answer.message


def test_every_refused_example_has_an_accepted_twin() -> None:
    names = {path.name for path in FOLDER.glob("*/*")}
    refused = {name for name in names if name.endswith(".refuse.yaml")}
    assert {name.replace(".refuse.", ".accept.") for name in refused} <= names


@pytest.mark.parametrize("kind", KINDS)
def test_every_rule_of_a_kind_has_a_refused_example(kind: str) -> None:
    tried = [case.refused or "" for case in CASES if case.kind == kind]
    rules = set(_rules(crd(kind)))
    missing = [rule for rule in rules if not any(_shows(part, rule) for part in tried)]
    assert missing == []


def _shows(part: str, message: str) -> bool:
    # A message that names the culprit is made by an expression, which adds to the fixed one.
    return (
        part in message
        or part.startswith(message)
        or (_NODE_MEMBER in part and (message.startswith("a node has exactly one member")))
    )


def _rules(schema: Any) -> list[str]:
    if isinstance(schema, list):
        return [message for each in schema for message in _rules(each)]
    if not isinstance(schema, dict):
        return []
    own = [each["message"] for each in schema.get("x-kubernetes-validations", ())]
    return own + [message for each in schema.values() for message in _rules(each)]


@pytest.mark.parametrize(
    "case",
    [each for each in CASES if each.refused is None],
    ids=lambda case: case.name,
)
def test_the_models_accept_what_the_api_server_accepts(case: Case) -> None:
    for obj in case.objects:
        parse(obj)


@pytest.mark.parametrize(
    "case",
    # Refusals of a change need the object as it was, which only the API server has.
    [each for each in CASES if each.refused and len(each.objects) == 1],
    ids=lambda case: case.name,
)
def test_the_models_refuse_what_the_api_server_refuses(case: Case) -> None:
    with pytest.raises(ResourceError):
        parse(case.objects[-1])


_MINUTES, _HOURS = st.sampled_from((0, 30)), st.integers(0, 23)
_WEEKDAYS = st.sampled_from(("*", "*", "*", "1"))


def _windows(data: st.DataObject, name: str) -> list[dict[str, str]]:
    """Windows at some hour, mostly every day, in one of two time zones."""
    return [
        {
            "name": f"{name}-{i}",
            "schedule": f"{data.draw(_MINUTES)} {data.draw(_HOURS)} * * {data.draw(_WEEKDAYS)}",
            "duration": f"{data.draw(st.integers(1, 20))}h",
            "timeZone": data.draw(st.sampled_from(("UTC", "UTC", "Europe/Lisbon"))),
        }
        for i in range(data.draw(st.integers(1, 2)))
    ]


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_the_api_server_and_the_models_agree_on_a_plans_times(
    apiserver: ApiServer, data: st.DataObject
) -> None:
    [drill] = _windows(data, "drill")[:1]
    lease = {
        "ttl": f"{data.draw(st.integers(1, 30))}s",
        "handOver": f"{data.draw(st.integers(1, 5000))}ms",
        "clockErrorPercent": data.draw(st.sampled_from((0, 0.1, 0.25, 3, 10))),
    }
    spec = {
        "engineRef": {"name": "retail"},
        "sites": [{"name": "east"}, {"name": "west"}],
        "objectives": {"rto": f"{data.draw(st.integers(10, 60))}s", "rpo": "0s"},
        "lease": lease,
        "standby": {
            "mode": data.draw(st.sampled_from(("Cold", "Cold", "Warm"))),
            "windows": _windows(data, "wake"),
        },
        "blockedWindows": _windows(data, "blocked"),
        "drill": {"schedule": drill["schedule"], "timeZone": drill["timeZone"]},
    }
    plan = {
        "apiVersion": API_VERSION,
        "kind": "RecoveryPlan",
        "metadata": {"name": "drawn"},
        "spec": spec,
    }
    answer = apiserver.send("POST", collection("RecoveryPlan", "default"), plan, dryRun="All")
    assert (answer.status, _reason(plan) in answer.message) in ((201, True), (422, True))
    assert (answer.status == 201) == (_reason(plan) == "")


def _reason(made: dict[str, Any]) -> str:
    """Why the models refuse the object; empty when they do not."""
    try:
        parse(made)
    except ResourceError as refused:
        return refused.message
    return ""
