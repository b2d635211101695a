"""The plugin `webhook` reads its receiver's callbacks: a real host, with two keys in turn."""

from __future__ import annotations

import base64
import json
import os
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.servers.channel_host import HostProcess, channel_host
from wayfare_engine.channels.plugins.signing import signatures

OLD, NEW, SIGNING = (os.urandom(32) for _ in range(3))
SAID = {"state": "delivered", "send_key": "k-1", "at": "2026-11-20T08:00:00Z"}


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostProcess]:
    folder = tmp_path_factory.mktemp("webhook-receipts")
    for name, key in (("receipts-1", OLD), ("receipts-2", NEW), ("signing", SIGNING)):
        (folder / name).write_text(f"whsec_{base64.b64encode(key).decode()}")
    config = folder / "..config.json"
    config.write_text('{"url": "http://127.0.0.1:1/in"}')
    words = ("--plugin", "webhook", "--config", str(config), "--secrets-dir", str(folder))
    with channel_host(folder / "..run", *words) as running:
        yield running


def callback(
    host: HostProcess, body: Any, *keys: bytes, at: float | None = None, **headers: str
) -> httpx.Response:
    raw = body if isinstance(body, str) else json.dumps(body)
    name, stamp = uuid.uuid4().hex, int(time.time() if at is None else at)
    given = {
        "Webhook-Id": name,
        "Webhook-Timestamp": str(stamp),
        "Webhook-Signature": signatures(keys, name, stamp, raw.encode()),
    } | headers
    return host.client.post("/v1/receipt", json={"headers": given, "body": raw})


@pytest.mark.parametrize("keys", [(OLD,), (NEW,), (os.urandom(32), NEW)])
def test_either_key_proves_a_call(host: HostProcess, keys: tuple[bytes, ...]) -> None:
    answer = callback(host, SAID, *keys)
    assert (answer.status_code, answer.json()) == (200, [SAID])


def test_an_array_and_the_time_of_the_call(host: HostProcess) -> None:
    said = [{"state": "read", "provider_id": "m-1", "opt_out": True, "more": 1}, SAID]
    at = int(time.time())
    first, second = callback(host, said, NEW, at=at).json()
    assert (first["provider_id"], first["opt_out"], second) == ("m-1", True, SAID)
    assert first["at"].endswith("Z")


@pytest.mark.parametrize(
    ("body", "keys", "seconds", "headers"),
    [
        (SAID, (os.urandom(32),), 0, {}),
        (SAID, (SIGNING,), 0, {}),
        (SAID, (), 0, {}),
        (SAID, (NEW,), -301, {}),
        (SAID, (NEW,), 310, {}),
        (SAID, (NEW,), 0, {"Webhook-Timestamp": "1e9"}),
        (SAID, (NEW,), 0, {"Webhook-Id": ""}),
        ("{", (NEW,), 0, {}),
        ({"state": "eaten", "send_key": "k"}, (NEW,), 0, {}),
        ({"state": "sent"}, (NEW,), 0, {}),
        ([SAID] * 501, (NEW,), 0, {}),
    ],
)
def test_any_other_call_is_not_the_receivers(
    host: HostProcess, body: Any, keys: tuple[bytes, ...], seconds: float, headers: dict[str, str]
) -> None:
    answer = callback(host, body, *keys, at=time.time() + seconds, **headers)
    assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) == (
        400,
        "not-the-provider",
    )


def test_without_a_secret_nobody_is_believed(tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text('{"url": "http://127.0.0.1:1/in", "unsigned": true}')
    with channel_host(tmp_path / "run", "--plugin", "webhook", "--config", str(config)) as host:
        assert callback(host, SAID).status_code == 400
        assert callback(host, SAID, b"").status_code == 400
