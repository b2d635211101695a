"""The conformance test passes what keeps the contract, and names what does not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.channels.conftest import Running
from tests.channels.plain_host import FLAWS, plain_host
from tests.servers.channel_host import channel_host
from tests.servers.command import wayfare
from tests.servers.hook import running_hook
from tests.servers.ports import free_port
from wayfare_engine.channels.conform import Outcome, conform
from wayfare_engine.channels.conform.checks import CHECKS


async def tried(url: str) -> list[Outcome]:
    return await conform(url, prefix="conform-t", payload={"text": "x"}, address=None, seconds=10)


def states(outcomes: list[Outcome]) -> dict[str, str]:
    return {one.name: one.state for one in outcomes}


def failed(outcomes: list[Outcome]) -> dict[str, str]:
    return {one.name: one.detail for one in outcomes if one.state == "failed"}


async def test_the_sink_keeps_the_contract(tmp_path: Path) -> None:
    config, file = tmp_path / "sink.json", tmp_path / "sends.jsonl"
    config.write_text(json.dumps({"file": str(file)}))
    with channel_host(tmp_path / "host", "--plugin", "sink", "--config", str(config)) as host:
        outcomes = await tried(host.url)
    assert failed(outcomes) == {}
    skipped = {name for name, state in states(outcomes).items() if state == "skipped"}
    assert skipped == {"query", "receipt"}
    sent = [json.loads(line)["what"] for line in file.read_text().splitlines()]
    assert len(sent) > 25
    assert all(one["test"] for one in sent)
    keys = {one["send_key"] for one in sent}
    assert not [key for key in keys if "late" in key or "malformed" in key or "preview" in key]


async def test_the_webhook_keeps_the_contract(tmp_path: Path) -> None:
    with running_hook() as hook:
        config = tmp_path / "hook.json"
        config.write_text(json.dumps({"url": hook.url, "unsigned": True}))
        words = ("--plugin", "webhook", "--config", str(config))
        with channel_host(tmp_path / "host", *words) as host:
            outcomes = await tried(host.url)
        assert failed(outcomes) == {}
        assert len(hook.received) > 20
        assert all(got.body["data"]["test"] for got in hook.received)


async def test_a_host_that_can_be_asked_keeps_the_contract(asked: Running) -> None:
    outcomes = await tried(asked.host.url)
    assert failed(outcomes) == {}
    assert states(outcomes)["query"] == states(outcomes)["receipt"] == "passed"


async def test_full_hosts_keep_the_contract(scripted: Running) -> None:
    assert failed(await tried(scripted.host.url)) == {}


@pytest.mark.parametrize("dedupe", ["Key", "Query", "None"])
async def test_a_host_in_another_language_may_keep_the_contract(dedupe: str) -> None:
    with plain_host(dedupe) as (url, host):
        assert failed(await tried(url)) == {}
        assert all(what["test"] for what in host.sends)


@pytest.mark.parametrize("flaw", FLAWS)
async def test_what_is_wrong_is_named(flaw: str) -> None:
    check, dedupe = FLAWS[flaw]
    with plain_host(dedupe, flaw) as (url, _):
        outcomes = await tried(url)
    assert check in failed(outcomes)
    assert failed(outcomes)[check]


def test_every_check_can_fail() -> None:
    assert {check for check, _ in FLAWS.values()} == set(CHECKS)


@pytest.mark.parametrize(
    "flaw",
    [
        "looks at no age",
        "looks at no boot",
        "makes time",
        "refuses new fields",
        "reads any length",
        "sorts a batch",
        "sends a preview",
        "no clock on errors",
    ],
)
async def test_only_what_is_wrong_is_named(flaw: str) -> None:
    check, dedupe = FLAWS[flaw]
    with plain_host(dedupe, flaw) as (url, _):
        names = set(failed(await tried(url)))
    # A batch has late sends, too.
    assert names - {"batch"} == {check} - {"batch"}


def test_the_command_says_what_is_wrong() -> None:
    with plain_host("Key") as (url, _):
        good = wayfare("channel", "conform", url, "--json")
    with plain_host("Key", "looks at no boot") as (url, _):
        bad, table = (
            wayfare("channel", "conform", url, "--json"),
            wayfare("channel", "conform", url),
        )
    assert (good.returncode, json.loads(good.stdout)["ok"]) == (0, True)
    said: dict[str, Any] = json.loads(bad.stdout)
    assert (bad.returncode, said["ok"]) == (1, False)
    assert [one["name"] for one in said["checks"] if one["state"] == "failed"] == ["late-foreign"]
    assert table.returncode == 1
    assert "failed: late-foreign" in table.stdout


def test_nothing_there_is_a_sentence() -> None:
    done = wayfare("channel", "conform", f"http://user:hidden@127.0.0.1:{free_port()}")
    assert done.returncode == 3
    assert "no channel host answers at 127.0.0.1:" in done.stderr
    assert "hidden" not in done.stderr
    assert wayfare("channel", "conform", "nonsense").returncode == 3
    assert wayfare("channel", "conform", "http://x", "--payload", "[").returncode == 2
