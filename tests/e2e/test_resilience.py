"""Things are deleted, edited, killed and restarted while requests flow."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.e2e.product import ENGINE, NAMESPACE, Product, load
from tests.servers.wait import until

# The first of them waits for the whole demo.
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(2000)]


def test_a_rolling_restart_loses_no_request(product: Product) -> None:
    before = {pod["metadata"]["uid"] for pod in product.serve_pods()}
    with load(product) as result:
        product.kubectl("rollout", "restart", f"deployment/{ENGINE}-serve", "-n", NAMESPACE)
        until(
            lambda: (
                product.serve_ready(2)
                and not before & {pod["metadata"]["uid"] for pod in product.serve_pods()}
            ),
            seconds=120,
            what="the new pods",
            every=0.5,
        )
    assert result.lost == []
    assert result.answered > 100


def test_a_deleted_deployment_comes_back_and_no_ready_pod_loses_a_request(
    product: Product,
) -> None:
    """Old pods go on for ten seconds; a busy machine may need longer for new ones. In between
    nobody is ready, and only then may nobody answer."""
    before = {pod["metadata"]["uid"] for pod in product.serve_pods()}
    seen = [(time.monotonic(), product.ready_endpoints())]
    with load(product) as result, watching(product, seen):
        product.kubectl("delete", "deployment", f"{ENGINE}-serve", "-n", NAMESPACE, "--wait=false")
        until(
            lambda: (
                product.serve_ready(2)
                and not before & {pod["metadata"]["uid"] for pod in product.serve_pods()}
            ),
            seconds=120,
            what="a new deployment with new pods",
            every=0.5,
            ignoring=(AssertionError,),
        )
    nobody = [
        (before[0], after[0])
        for before, after in itertools.pairwise(seen)
        if 0 in (before[1], after[1])
    ]
    lost = [
        said
        for said, at in zip(result.lost, result.lost_at, strict=True)
        # A request waits for 5 s at most, and rules of a node follow the endpoints by seconds.
        if not any(start - 3 <= at <= end + 8 for start, end in nobody)
    ]
    assert lost == []
    assert result.answered > 100


@contextmanager
def watching(product: Product, seen: list[tuple[float, int]]) -> Iterator[None]:
    """Note how many pods the Service leads to, again and again."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.2):
            count = product.ready_endpoints()
            seen.append((time.monotonic(), count))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(30)


def test_an_edited_child_is_put_right(product: Product) -> None:
    product.kubectl(
        "patch", "service", ENGINE, "-n", NAMESPACE, "--type=merge",
        "-p", json.dumps({"spec": {"selector": {"app.kubernetes.io/component": "nobody"}}}),
    )  # fmt: skip
    until(
        lambda: (
            product.get("service", ENGINE)["spec"]["selector"]["app.kubernetes.io/component"]
            == "serve"
        ),
        seconds=20,
        what="the selector put right",
    )


def test_decisions_go_on_without_postgresql_and_say_so(product: Product) -> None:
    with load(product, threads=2) as result:
        product.kubectl(
            "delete", "pod", f"{ENGINE}-postgresql-0", "-n", NAMESPACE,
            "--grace-period=0", "--force",
        )  # fmt: skip
        until(
            lambda: (
                product.get("statefulset", f"{ENGINE}-postgresql")["status"].get("readyReplicas")
                == 1
            ),
            seconds=90,
            what="PostgreSQL back",
            every=0.5,
        )
        with product.client() as client:
            until(
                lambda: client.get("/readyz").json().get("degraded") == [],
                seconds=60,
                what="the engine content again",
                every=0.5,
            )
    assert result.lost == []


def test_the_operator_killed_goes_on_where_it_was(product: Product) -> None:
    product.kubectl(
        "delete", "pod", "-n", "wayfare-system",
        "-l", "app.kubernetes.io/component=operator", "--grace-period=0", "--force",
    )  # fmt: skip
    product.kubectl(
        "patch", "journey", "term-deposit", "-n", NAMESPACE, "--type=merge",
        "-p", json.dumps({"spec": {"description": "edited while no operator ran"}}),
    )  # fmt: skip
    product.wait_condition("journey", "term-deposit", "Ready", "True")


def test_hot_reload_changes_the_answer_and_drops_nothing(product: Product) -> None:
    pods = {pod["metadata"]["uid"] for pod in product.serve_pods()}
    journey: dict[str, Any] = {
        "apiVersion": "wayfare.dev/v1alpha1",
        "kind": "Journey",
        "metadata": {"name": "e2e-reload", "namespace": NAMESPACE},
        "spec": {
            "engineRef": {"name": ENGINE},
            "audience": "true",
            "nodes": [
                {
                    "name": "offer",
                    "type": "slot",
                    "slot": {"name": "e2e-reload", "content": {"version": 1}},
                }
            ],
        },
    }
    body = {"customer": "1", "slot": "e2e-reload", "context": {}}
    try:
        product.apply(journey)
        product.wait_condition("journey", "e2e-reload", "Ready", "True")
        with load(product) as result, product.client() as client:
            assert client.post("/v1/decisions", json=body).json()["content"] == {"version": 1}
            journey["spec"]["nodes"][0]["slot"]["content"] = {"version": 2}
            product.apply(journey)
            product.wait_condition("journey", "e2e-reload", "Ready", "True")
            assert client.post("/v1/decisions", json=body).json()["content"] == {"version": 2}
        assert result.lost == []
        assert len(result.plans) == 2
        assert {pod["metadata"]["uid"] for pod in product.serve_pods()} == pods
    finally:
        product.kubectl("delete", "journey", "e2e-reload", "-n", NAMESPACE)
