"""Running a command in an engine's pod when there is no cluster to run it in."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.servers.ports import free_port
from wayfare_engine.cli import application as cli
from wayfare_engine.cli.cluster import NotFound, kubectl

_COMMANDS = [
    ["import", "customers", __file__, "--engine", "bank/retail"],
    ["keys", "create", "--engine", "bank/retail"],
    ["keys", "list", "--engine", "bank/retail"],
    ["keys", "revoke", "0123456789abcdef", "--engine", "bank/retail"],
]


@pytest.fixture(autouse=True)
def _needs_kubectl() -> None:
    try:
        kubectl()
    except NotFound:
        pytest.skip("kubectl is neither on PATH nor built by the lab")


def _kubeconfig(folder: Path, server: str, *, context: str = "a") -> Path:
    file = folder / "kubeconfig"
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "a", "cluster": {"server": server}}],
        "users": [{"name": "a", "user": {"token": "none"}}],
        "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
        "current-context": context,
    }
    file.write_text(json.dumps(content))
    return file


@pytest.mark.parametrize("arguments", _COMMANDS, ids=lambda words: " ".join(words[:2]))
def test_a_cluster_that_is_away_is_one_sentence(
    arguments: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    server = f"https://127.0.0.1:{free_port()}"
    file = _kubeconfig(tmp_path, server)
    monkeypatch.setenv("KUBECONFIG", str(file))

    assert cli.run(arguments) == 3

    shown = capfd.readouterr()
    assert shown.out == ""
    # All of it: none of kubectl's own lines is there.
    assert shown.err == (
        "wayfare: engine bank/retail could not be asked, because the Kubernetes cluster at "
        f"{server} could not be reached (KUBECONFIG={file}; connection refused): set KUBECONFIG "
        "to the file of a running cluster, or give --dsn instead of --engine to reach PostgreSQL "
        "directly.\n"
    )


@pytest.mark.parametrize("given", ["missing", "broken", "no such context"])
def test_a_kubeconfig_that_leads_nowhere_is_one_sentence(
    given: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    file = _kubeconfig(tmp_path, "https://127.0.0.1:1", context="b")
    if given == "missing":
        file.unlink()
    elif given == "broken":
        file.write_text("{bad")
    monkeypatch.setenv("KUBECONFIG", str(file))

    assert cli.run(["keys", "list", "--engine", "bank/retail"]) == 3

    shown = capfd.readouterr().err
    assert shown.count("\n") == 1
    assert shown.startswith("wayfare: engine bank/retail could not be asked")
    assert f"KUBECONFIG={file}" in shown


def test_a_server_that_answers_no_is_left_to_kubectl(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    program = tmp_path / "kubectl"
    program.write_text(
        "#!/bin/sh\necho 'Error from server (Forbidden): you may not do this' >&2; exit 1\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("WAYFARE_KUBECTL", str(program))

    assert cli.run(["keys", "list", "--engine", "bank/retail"]) == 1

    assert capfd.readouterr().err == "Error from server (Forbidden): you may not do this\n"


def test_without_any_configuration_the_sentence_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = kubectl()
    monkeypatch.setenv("WAYFARE_KUBECTL", program)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"):
        monkeypatch.delenv(name, raising=False)
    done = subprocess.run(
        ["wayfare", "keys", "list", "--engine", "bank/retail"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 3
    assert "KUBECONFIG is not set" in done.stderr
    assert done.stderr.count("\n") == 1
