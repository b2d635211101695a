"""Hosts of scripted plugins; the plugins are installed in a folder that is on the path."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.servers.channel_host import HostProcess, channel_host

ENTRIES = """[wayfare.channels]
scripted = tests.channels.scripted:Scripted
asked = tests.channels.scripted:Asked
broken = tests.channels.does_not_exist:Plugin
"""


def install(folder: Path, package: str, entries: str) -> Path:
    """A package of this name on the path `folder`, with these entry points."""
    info = folder / f"{package}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(entries)
    return folder


@pytest.fixture(scope="package")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install(tmp_path_factory.mktemp("packages"), "scripted-channels", ENTRIES)


@dataclass
class Effects:
    """What a scripted plugin wrote down."""

    file: Path

    def lines(self) -> list[str]:
        return self.file.read_text().splitlines() if self.file.exists() else []

    def of(self, send_key: str) -> list[str]:
        """What happened to a key: begun, effect, told to end."""
        return [
            line.rpartition(f" {send_key} ")[0] for line in self.lines() if f" {send_key} " in line
        ]

    def remaining(self, send_key: str) -> float:
        """What the plugin was told that was left."""
        return next(float(x.split()[-1]) for x in self.lines() if x.startswith(f"begun {send_key}"))


@dataclass
class Running:
    """A host and what its plugin did."""

    host: HostProcess
    effects: Effects
    folder: Path


def _running(packages: Path, folder: Path, plugin: str, *more: str) -> Iterator[Running]:
    config = folder / "config.json"
    config.write_text(json.dumps({"effects": str(folder / "effects")}))
    words = ("--plugin", plugin, "--config", str(config), *more)
    with channel_host(folder / "host", *words, path=[packages]) as host:
        yield Running(host, Effects(folder / "effects"), folder)


@pytest.fixture(scope="package")
def scripted(packages: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One host of `scripted` with H = 2 s and four sends at a time, for all."""
    folder = tmp_path_factory.mktemp("scripted")
    more = ("--hand-over-seconds", "2", "--concurrency", "4")
    yield from _running(packages, folder, "scripted", *more)


@pytest.fixture(scope="package")
def asked(packages: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One host of `asked`, for all."""
    yield from _running(packages, tmp_path_factory.mktemp("asked"), "asked")


@pytest.fixture
def own(packages: Path, tmp_path: Path) -> Iterator[Running]:
    """A host of `scripted` for one test, which may stop and end it."""
    more = ("--hand-over-seconds", "2")
    yield from _running(packages, tmp_path, "scripted", *more)
