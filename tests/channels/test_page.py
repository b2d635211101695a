"""docs/channel-plugins.md is true: its plugin is short, and keeps the contract."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

from tests.channels.conftest import install
from tests.servers.channel_host import channel_host
from tests.servers.command import arguments, clean_environment, wayfare
from tests.servers.hook import running_hook

PAGE = (Path(__file__).parents[2] / "docs" / "channel-plugins.md").read_text()


def block(language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return str(found)


def entries() -> str:
    """The page's entry point as an installed package has it."""
    header, *lines = block("toml").splitlines()
    assert header == '[project.entry-points."wayfare.channels"]'
    return "\n".join(["[wayfare.channels]", *(line.replace('"', "") for line in lines), ""])


def test_the_page_s_plugin_keeps_the_contract(tmp_path: Path) -> None:
    code = block("python")
    assert len(code.splitlines()) < 40
    package = install(tmp_path / "package", "gateway", entries())
    (package / "gateway.py").write_text(code)
    with running_hook() as gateway:
        gateway.status, gateway.body = 200, b'{"id": "m-1"}'
        (tmp_path / "gateway.json").write_text(json.dumps({"url": gateway.url}))
        (tmp_path / "secrets").mkdir()
        (tmp_path / "secrets" / "token").write_text("t0ken\n")
        words = ["--plugin", "gateway", "--config", str(tmp_path / "gateway.json")]
        words += ["--secrets-dir", str(tmp_path / "secrets")]
        with channel_host(tmp_path / "host", *words, path=[package]) as host:
            done = wayfare("channel", "conform", host.url)
            assert done.returncode == 0, done.stdout
            gateway.status = 422
            assert host.send("refused").json()["result"] == "Rejected"
            gateway.status = 500
            assert host.send("doubt").status_code == 500
    assert len(gateway.received) > 20
    first = gateway.received[0]
    assert (first.path, first.headers["authorization"]) == ("/messages", "Bearer t0ken")
    assert first.headers["idempotency-key"].startswith("conform-")


def test_the_page_s_plugin_says_which_secret_it_misses(tmp_path: Path) -> None:
    package = install(tmp_path / "package", "gateway", entries())
    (package / "gateway.py").write_text(block("python"))
    (tmp_path / "gateway.json").write_text('{"url": "http://127.0.0.1:9"}')
    config = str(tmp_path / "gateway.json")
    done = subprocess.run(
        arguments("channel", "host", "--plugin", "gateway", "--config", config),
        env=clean_environment({"PYTHONPATH": str(package)}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, "'token'" in done.stderr) == (2, True)
