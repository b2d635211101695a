"""A bundle is what people wrote, without what differs from site to site."""

from __future__ import annotations

import copy
import random
from typing import Any

import pytest

from tests.runs.making import AT, PLAN
from tests.servers.faultstore import Answer, Drop, FaultStore
from wayfare_engine import runs
from wayfare_engine.objectstore import ObjectStore, StoreUnavailable
from wayfare_engine.runs import bundle, bundles, drift
from wayfare_engine.runs.bundle import Override

JOURNEY: dict[str, Any] = {
    "apiVersion": "wayfare.dev/v1alpha1",
    "kind": "Journey",
    "metadata": {
        "name": "loan",
        "namespace": "bank",
        "labels": {"team": "credit", "helm.sh/chart": "x-1"},
        "annotations": {"wayfare.dev/author": "ana"},
    },
    "spec": {
        "priority": 5,
        "nodes": [{"name": "welcome", "wait": "2h"}, {"name": "end", "goal": {"rate": 0.5}}],
    },
}
#: What an API server, clients and tools add to it.
ADDED = {
    "uid": "8b1f",
    "resourceVersion": "4711",
    "generation": 3,
    "creationTimestamp": "2026-03-01T00:00:00Z",
    "managedFields": [{"manager": "kubectl", "operation": "Apply"}],
    "finalizers": ["x"],
    "ownerReferences": [{"uid": "1"}],
    "selfLink": "/x",
}


def served(one: dict[str, Any] = JOURNEY) -> dict[str, Any]:
    """The object as an API server gives it."""
    found = copy.deepcopy(one)
    found["metadata"] |= copy.deepcopy(ADDED)
    found["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"] = "{}"
    found["status"] = {"conditions": [{"type": "Ready"}]}
    return found


def engine(**spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "wayfare.dev/v1alpha1",
        "kind": "Engine",
        "metadata": {"name": "retail", "namespace": "bank"},
        "spec": {"serve": {"replicas": 3, "cpu": "2"}, "caps": {"day": 2}} | spec,
    }


def test_what_only_a_site_has_is_not_in_the_digest() -> None:
    east, west = bundle.export([served()]), bundle.export([JOURNEY])
    assert bundle.digest(east) == bundle.digest(west)
    assert east == [
        {
            "apiVersion": "wayfare.dev/v1alpha1",
            "kind": "Journey",
            "metadata": {
                "name": "loan",
                "namespace": "bank",
                "labels": {"team": "credit"},
                "annotations": {"wayfare.dev/author": "ana"},
            },
            "spec": JOURNEY["spec"],
        }
    ]


def test_neither_order_nor_form_of_numbers_is_in_the_digest() -> None:
    objects = [served(), engine(weight=1), engine(weight=1) | {"kind": "Channel"}]
    digest = bundle.digest(bundle.export(objects))
    dice = random.Random(1)
    for _ in range(10):
        dice.shuffle(objects)
        turned = [dict(reversed(list(one.items()))) for one in objects]
        assert bundle.digest(bundle.export(turned)) == digest
    assert bundle.digest(bundle.export(turned_floats(objects))) == digest


def turned_floats(objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    found = copy.deepcopy(objects)
    for one in found:
        if "weight" in one["spec"]:
            one["spec"]["weight"] = 1.0
    return found


@pytest.mark.parametrize(
    "change",
    [
        lambda one: one["spec"].update(priority=6),
        lambda one: one["spec"]["nodes"].reverse(),
        lambda one: one["spec"]["nodes"][0].update(wait="3h"),
        lambda one: one["spec"].update(paused=True),
        lambda one: one["metadata"]["labels"].update(team="sales"),
        lambda one: one["metadata"]["annotations"].clear(),
        lambda one: one["metadata"].update(name="loans"),
        lambda one: one.update(apiVersion="wayfare.dev/v1"),
    ],
)
def test_whatever_people_wrote_is_in_the_digest(change: Any) -> None:
    changed = served()
    change(changed)
    assert bundle.digest(bundle.export([changed])) != bundle.digest(bundle.export([served()]))


@pytest.mark.parametrize(
    ("version", "kind"),
    [
        ("v1", "Secret"),
        ("v1", "ConfigMap"),
        ("apps/v1", "Deployment"),
        ("wayfare.dev/v1alpha1", "RecoveryRun"),
        ("wayfare.dev/v1alpha1", "Approval"),
        ("wayfare.dev.example/v1", "Journey"),
        ("", ""),
    ],
)
def test_what_no_bundle_holds_is_refused_by_name(version: str, kind: str) -> None:
    other = {"apiVersion": version, "kind": kind, "metadata": {"name": "x"}, "data": {"k": "dg=="}}
    with pytest.raises(runs.NotForBundles, match="x is in no configuration") as refused:
        bundle.export([served(), other])
    assert "dg==" not in str(refused.value)


def test_what_sites_override_is_outside_the_digest_at_all_of_them() -> None:
    overrides = [
        Override("Engine", "retail", {"serve": {"replicas": 3}, "stores": {"dsn": "east"}}),
        Override("Engine", "retail", {"serve": {"replicas": 1}, "stores": {"dsn": "west"}}),
        Override("Engine", "other", {"caps": {}}),
        Override("Journey", "retail", {"caps": {}}),
    ]
    east = bundle.export([engine(stores={"dsn": "east"})], overrides)
    west = bundle.export([engine(serve={"replicas": 1, "cpu": "2"})], overrides)
    assert bundle.digest(east) == bundle.digest(west)
    assert east[0]["spec"] == {"serve": {"cpu": "2"}, "caps": {"day": 2}}
    assert drift.compare(east, west) == ()


def test_a_bundle_is_applied_with_the_sites_own_overrides() -> None:
    both = [
        Override("Engine", "retail", {"serve": {"replicas": 3}}),
        Override("Engine", "retail", {"serve": {"replicas": 1, "zone": None}, "log": {"level": 2}}),
    ]
    (exported,) = bundle.export([engine()], both)
    west = bundle.placed(exported, [both[1]])
    assert west["spec"] == {
        "serve": {"cpu": "2", "replicas": 1},
        "caps": {"day": 2},
        "log": {"level": 2},
    }
    (again,) = bundle.export([west], both)
    assert again == exported, "what was applied there is the bundle again"


def test_an_override_of_a_whole_object_and_of_what_is_not_there() -> None:
    whole = [Override("Engine", "retail", {"serve": {}, "nothing": {"at": {"all": 1}}})]
    (exported,) = bundle.export([engine()], whole)
    assert exported["spec"] == {"caps": {"day": 2}}


def test_an_object_that_is_in_it_twice_is_an_error() -> None:
    with pytest.raises(ValueError, match="twice"):
        bundle.digest(bundle.export([served(), served()]))


@pytest.mark.parametrize(
    ("metadata", "tool"),
    [
        (
            {"annotations": {"argocd.argoproj.io/tracking-id": "app:wayfare.dev/Journey:b/l"}},
            "Argo",
        ),
        ({"labels": {"argocd.argoproj.io/instance": "app"}}, "Argo CD"),
        ({"labels": {"kustomize.toolkit.fluxcd.io/name": "apps"}}, "Flux"),
        ({"labels": {"helm.toolkit.fluxcd.io/namespace": "apps"}}, "Flux"),
        ({"managedFields": [{"manager": "kubectl"}, {"manager": "argocd-controller"}]}, "Argo CD"),
        ({"managedFields": [{"manager": "kustomize-controller"}]}, "Flux"),
    ],
)
def test_objects_that_a_gitops_tool_keeps_are_refused(metadata: dict[str, Any], tool: str) -> None:
    kept = engine()
    kept["metadata"] |= metadata
    with pytest.raises(
        runs.ConfigConflict, match=f"{tool}.* keeps Engine bank/retail.*configuration: External"
    ):
        bundle.refuse_tracked([served(), kept])
    (exported,) = bundle.export([kept])
    assert exported["metadata"] == {"name": "retail", "namespace": "bank"}, "and it is not drift"


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"labels": None, "annotations": None, "managedFields": None},
        {"labels": {"app.kubernetes.io/instance": "retail"}},
        {"labels": {"app.kubernetes.io/managed-by": "Helm"}},
        {"managedFields": [{"manager": "kubectl-client-side-apply"}, {"operation": "Apply"}]},
    ],
)
def test_objects_that_people_and_charts_apply_are_not(metadata: dict[str, Any]) -> None:
    own = engine()
    own["metadata"] |= metadata
    bundle.refuse_tracked([own])
    assert bundle.tracked_by(own) is None


def test_a_long_list_of_conflicts_is_told_short() -> None:
    label = {"kustomize.toolkit.fluxcd.io/name": "apps"}
    many = [engine() for _ in range(9)]
    for number, one in enumerate(many):
        one["metadata"] = {"name": f"e{number}", "namespace": "b", "labels": label}
    with pytest.raises(runs.ConfigConflict, match=r"Engine b/e4 and 4 more: with") as refused:
        bundle.refuse_tracked(many)
    assert len(refused.value.objects) == 9


def test_a_bundle_is_kept_by_its_digest_and_named_as_current(
    store: ObjectStore, faults: FaultStore
) -> None:
    exported = bundle.export([served(), engine()])
    assert bundles.read_current(store, PLAN) is None
    faults.rule("a", Drop(), methods="PUT", times=1)
    digest = bundles.put(store, exported)
    assert digest == bundle.digest(exported) == bundles.put(store, exported)
    assert list(bundles.get(store, digest)) == exported
    current = bundles.Current(digest=digest, at=AT, site="east")
    bundles.put_current(store, PLAN, current)
    assert bundles.read_current(store, PLAN) == current


def test_a_bundle_that_was_not_written_is_not_said_to_be(
    store: ObjectStore, faults: FaultStore
) -> None:
    faults.rule("a", Answer(503, "SlowDown"), methods="PUT")
    with pytest.raises(StoreUnavailable):
        bundles.put(store, bundle.export([served()]))


def test_a_bundle_that_was_changed_is_named(direct: ObjectStore) -> None:
    digest = bundles.put(direct, bundle.export([served()]))
    path = f"bundles/{digest.removeprefix('sha256:')}"
    direct.put(path, b"[]")
    with pytest.raises(runs.RecordDamaged, match=f"object {path} .* is not what its name"):
        bundles.get(direct, digest)
    direct.delete(path)
    with pytest.raises(runs.EvidenceMissing):
        bundles.get(direct, digest)
