"""Finding plugins, and settings from files."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.channels.conftest import install
from tests.servers.command import arguments, clean_environment, wayfare
from wayfare_engine.channels.discovery import UnknownPlugin, installed, load
from wayfare_engine.channels.plugin import BadConfig
from wayfare_engine.channels.plugins.sink import Sink
from wayfare_engine.channels.settings import read_settings

TOP = Path(__file__).parents[2]


def listed(*path: Path) -> dict[str, dict[str, Any]]:
    environment = clean_environment({"PYTHONPATH": os.pathsep.join(map(str, (*path, TOP)))})
    done = subprocess.run(
        arguments("channel", "plugins", "--json"),
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return {one["name"]: one for one in json.loads(done.stdout)}


def test_a_plugin_that_is_broken_is_listed_with_its_cause_beside_the_others(tmp_path: Path) -> None:
    entries = """[wayfare.channels]
absent = tests.channels.does_not_exist:Plugin
failing = failing_plugin:Plugin
function = tests.channels.conftest:install
misnamed = wayfare_engine.channels.plugins.sink:Sink
unfinished = failing_plugin_2:Unfinished
boastful = failing_plugin_2:Boastful
odd = failing_plugin_2:Odd
sink = tests.channels.scripted:Scripted
"""
    install(tmp_path, "bad-channels", entries)
    (tmp_path / "failing_plugin.py").write_text("1 / 0\n")
    (tmp_path / "failing_plugin_2.py").write_text(
        "from wayfare_engine.channels.plugin import ChannelPlugin\n"
        "from wayfare_engine.channels import Query\n"
        "from wayfare_engine.channels.plugins.sink import Sink\n"
        "class Unfinished(ChannelPlugin):\n    name = 'unfinished'\n"
        "class Boastful(Sink):\n    name, dedupe = 'boastful', Query()\n"
        "class Odd(Sink):\n    name, batch_size = 'odd', 0\n"
    )
    found = listed(tmp_path)
    assert found["webhook"]["problem"] is None
    assert found["absent"]["package"] == "bad-channels 1.0"
    problems = {name: one["problem"] or "" for name, one in found.items()}
    assert "ModuleNotFoundError" in problems["absent"]
    assert "ZeroDivisionError" in problems["failing"]
    assert "no class of ChannelPlugin" in problems["function"]
    assert "name" in problems["misnamed"]
    assert "open, send" in problems["unfinished"]
    assert "query, and its dedupe is Query" in problems["boastful"]
    assert "$.batch_size" in problems["odd"]
    assert "each bring one" in problems["sink"]


def test_an_unknown_name_says_which_there_are() -> None:
    with pytest.raises(UnknownPlugin, match="kafka, sink, sms, smtp, webhook"):
        load("smoke-signal")
    done = wayfare("channel", "host", "--plugin", "smoke-signal")
    assert (done.returncode, "sink, sms, smtp, webhook" in done.stderr) == (2, True)


def test_an_open_that_fails_is_told_by_its_class_only(tmp_path: Path) -> None:
    install(tmp_path, "failing-open", "[wayfare.channels]\nfailing = failing_open:Failing\n")
    (tmp_path / "failing_open.py").write_text(
        "from wayfare_engine.channels.plugins.sink import Sink\n"
        "class Failing(Sink):\n"
        "    name = 'failing'\n"
        "    @classmethod\n"
        "    def open(cls, settings):\n"
        "        raise KeyError(settings.secrets['token'])\n"
    )
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "token").write_text("hidden")
    words = ("--plugin", "failing", "--secrets-dir", str(tmp_path / "secrets"))
    done = subprocess.run(
        arguments("channel", "host", *words),
        env=clean_environment({"PYTHONPATH": str(tmp_path)}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, "KeyError" in done.stderr, "hidden" in done.stderr) == (3, True, False)


def test_what_wayfare_brings() -> None:
    assert load("sink") is Sink
    names = ("kafka", "sink", "sms", "smtp", "webhook")
    assert {one.name: one.problem for one in installed()} == dict.fromkeys(names)


def test_a_folder_of_secrets_is_read_as_kubernetes_mounts_it(tmp_path: Path) -> None:
    version = tmp_path / "..2026"
    version.mkdir()
    (version / "token").write_text("a b\n")
    (tmp_path / "..data").symlink_to(version.name)
    (tmp_path / "token").symlink_to("..data/token")
    (tmp_path / ".hidden").write_text("x")
    assert read_settings(None, tmp_path).secrets == {"token": "a b"}


@pytest.mark.parametrize(
    ("config", "secret", "said"),
    [
        (b"[1]", None, "object"),
        (b"{", None, "not JSON"),
        (b"\xff", None, "JSON"),
        (b'"' + b"x" * 1024 * 1024 + b'"', None, "more than"),
        (None, b"\xff hidden", "UTF-8"),
        (None, b"hidden" * 20_000, "more than"),
    ],
)
def test_files_that_cannot_be_used(
    tmp_path: Path, config: bytes | None, secret: bytes | None, said: str
) -> None:
    file, folder = tmp_path / "config.json", tmp_path / "secrets"
    folder.mkdir()
    file.write_bytes(b"{}" if config is None else config)
    if secret is not None:
        (folder / "token").write_bytes(secret)
    with pytest.raises(BadConfig, match=said) as raised:
        read_settings(file, folder)
    assert str(tmp_path) in str(raised.value)
    assert "hidden" not in str(raised.value)


def test_a_file_that_is_not_there_is_said_by_the_command(tmp_path: Path) -> None:
    absent = str(tmp_path / "absent")
    for option in ("--config", "--secrets-dir"):
        done = wayfare("channel", "host", "--plugin", "sink", option, absent)
        assert (done.returncode, absent in done.stderr) == (2, True)
