"""Channels with a real kubelet: plugins that are not there, secrets that come later, and who may
reach a host."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.e2e.product import ENGINE, NAMESPACE, Product
from tests.servers.wait import until

# The first of them waits for the whole demo.
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(2000)]


def channel(
    name: str, plugin: str, config: dict[str, Any] | None = None, **spec: Any
) -> dict[str, Any]:
    """A Channel of the demo's engine."""
    configured = {} if config is None else {"config": config}
    return {
        "apiVersion": "wayfare.dev/v1alpha1",
        "kind": "Channel",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "engineRef": {"name": ENGINE},
            "medium": "Other",
            "plugin": {"name": plugin, **configured},
            **spec,
        },
    }


def not_ready(product: Product, name: str, reason: str) -> str:
    """Wait for Ready=False with this reason; its message."""

    def fact() -> str | None:
        found = product.condition("channel", name, "Ready")
        said = found is not None and (found["status"], found["reason"]) == ("False", reason)
        return str(found["message"]) if found is not None and said else None

    return until(fact, seconds=120, what=f"channel/{name} {reason}", every=0.5)


@pytest.fixture
def gone(product: Product) -> Any:
    names: list[str] = []
    yield names
    for name in names:
        product.kubectl("delete", "channel.wayfare.dev", name, "-n", NAMESPACE, "--wait=false")


def test_a_plugin_that_is_not_installed_is_told_with_those_that_are(
    product: Product, gone: list[str]
) -> None:
    gone.append("smoke")
    product.apply(channel("smoke", "smoke-signals"))
    message = not_ready(product, "smoke", "PluginUnknown")
    assert "smoke-signals" in message
    assert "webhook" in message
    product.wait_condition("channel", "sms", "Ready", "True")


def test_a_bad_address_is_told(product: Product, gone: list[str]) -> None:
    gone.append("nowhere")
    product.apply(channel("nowhere", "webhook", {"url": "nowhere at all", "unsigned": True}))
    assert "url" in not_ready(product, "nowhere", "InvalidSpec")


def test_a_secret_that_comes_later_is_waited_for(product: Product, gone: list[str]) -> None:
    gone.append("later")
    reference = {"name": "later", "key": "signing"}
    config = {"url": "http://receiver.outside.svc/mail"}
    secrets = [{"name": "signing", "secretRef": reference}]
    product.apply(channel("later", "webhook", config, secretRefs=secrets))
    assert "signing" in not_ready(product, "later", "SecretMissing")
    key = "whsec_" + "c2VjcmV0IG9mIHRoZSBjaGFubmVsIGxhdGVy"
    product.apply(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "later", "namespace": NAMESPACE},
            "stringData": {"signing": key},
        }
    )
    # The kubelet waits longer before each new start; what it waits for is there.
    product.wait_condition("channel", "later", "Ready", "True", seconds=240)
    product.kubectl("delete", "secret", "later", "-n", NAMESPACE)
    said = product.kubectl("get", "channel.wayfare.dev", "later", "-n", NAMESPACE, "-o", "yaml")
    assert key not in said


def test_only_the_engine_reaches_a_host(product: Product) -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "stranger", "namespace": NAMESPACE},
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 0,
            "containers": [
                {
                    "name": "stranger",
                    "image": product.get("deployment", f"{ENGINE}-serve")["spec"]["template"][
                        "spec"
                    ]["containers"][0]["image"],
                    "command": ["sleep", "600"],
                }
            ],
        },
    }
    product.apply(pod)
    ask = (
        "import urllib.request; print(urllib.request.urlopen("
        "'http://sms-channel:8082/v1/describe', timeout=3).status)"
    )
    try:
        product.kubectl(
            *("wait", "--for=condition=Ready", "pod/stranger", "-n", NAMESPACE, "--timeout=60s")
        )
        said = product.kubectl(
            *("exec", "stranger", "-n", NAMESPACE, "--", "python3", "-c", ask), check=False
        )
        assert "timed out" in said
        worker = product.kubectl(
            *("exec", f"deploy/{ENGINE}-worker", "-c", "worker", "-n", NAMESPACE, "--"),
            *("python3", "-c", ask),
        )
        assert worker.strip() == "200"
    finally:
        product.kubectl("delete", "pod", "stranger", "-n", NAMESPACE, "--wait=false")


def test_a_send_by_api_goes_the_whole_way(product: Product) -> None:
    with product.client() as client:
        body = {
            "channel": f"{NAMESPACE}/mail",
            "customer_id": "7",
            "key": f"e2e-{time.time_ns()}",
            "content": {"text": "hello"},
        }
        answer = client.post("/v1/sends", json=body)
        assert answer.status_code == 200, answer.text
        (made,) = answer.json()["sends"]
        until(
            lambda: client.get(f"/v1/sends/{made['send_key']}").json().get("outcome") == "Accepted",
            what="it is accepted",
            seconds=60,
        )
