"""The lab's commands: what a person is told, and with which exit code."""

from __future__ import annotations

import os

import pytest
from typer.testing import CliRunner

from wayfare_lab import requirements
from wayfare_lab.cli import app

COMMANDS = [
    "up", "down", "status", "kubeconfig", "exec", "partition", "heal",
    "kill", "restore", "load-image", "build", "tools",
]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_every_command_has_an_example(command: str) -> None:
    result = CliRunner().invoke(app, [command, "--help"])
    assert result.exit_code == 0
    assert "Example:" in result.output


@pytest.mark.parametrize("command", ["up", "down", "status"])
def test_who_is_not_root_is_told_so(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    result = CliRunner().invoke(app, [command])
    assert result.exit_code == 3
    assert "it needs root" in result.output


def test_everything_that_is_missing_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda *_args, **_kwargs: None)
    missing = " ".join(requirements.lacking())
    assert all(package in missing for package in ("containerd", "runc", "nftables", "iproute2"))


def test_a_site_that_is_not_there_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    result = CliRunner().invoke(app, ["kubeconfig", "nowhere"])
    assert result.exit_code == 2
    assert "There is no site 'nowhere'" in result.output


def test_an_image_that_was_not_built_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    result = CliRunner().invoke(app, ["load-image", "localhost/nothing:1"])
    assert result.exit_code == 2
    assert "no image archive" in result.output
