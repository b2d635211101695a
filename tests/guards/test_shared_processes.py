"""Four worker processes with a Valkey that is really killed, and one worker that is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.guards.conftest import address
from tests.servers.wait import until
from wayfare_engine.store.embedded import EmbeddedValkey

WORKERS = 4
ROOT = Path(__file__).parents[2]


class Workers:
    """The processes, the channel's state (see `worker`), and what they see."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.killed: set[int] = set()
        argv = [sys.executable, "-m", "tests.guards.worker", str(folder), str(WORKERS), url]
        self.process = subprocess.Popen(argv, cwd=ROOT)

    def seen(self) -> list[list[str]]:
        """Of each living worker: shared or alone, the state, the changes so far."""
        files = [
            self.folder / f"{number}.state"
            for number in range(WORKERS)
            if number not in self.killed
        ]
        return [file.read_text().split() if file.exists() else ["", ""] for file in files]

    def all_see(self, *words: str) -> None:
        """Wait until each begins with these words."""
        until(
            lambda: all(seen[: len(words)] == list(words) for seen in self.seen()),
            what=f"all see {words}",
            every=0.02,
        )

    def all_saw(self, change: str) -> None:
        """Wait until each has seen the change."""
        until(lambda: all(change in seen[2:] for seen in self.seen()), what=change, every=0.02)

    def lines(self, name: str) -> list[str]:
        file = self.folder / name
        return file.read_text().split() if file.exists() else []

    def end(self) -> None:
        (self.folder / "end").touch()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@pytest.fixture
def workers(tmp_path: Path, mortal_valkey: EmbeddedValkey) -> Iterator[Workers]:
    running = Workers(tmp_path, address(mortal_valkey))
    try:
        running.all_see("shared", "Closed")
        yield running
    finally:
        running.end()


def test_four_workers_have_one_probe_at_a_time(workers: Workers) -> None:
    (workers.folder / "down").touch()
    workers.all_saw("Open")
    until(lambda: len(workers.lines("probes")) >= 8, what="8 probes", every=0.02)
    (workers.folder / "down").unlink()
    workers.all_see("shared", "Closed")
    assert workers.lines("overlaps") == []


def test_the_probe_of_a_killed_worker_goes_to_another(workers: Workers) -> None:
    (workers.folder / "die").touch()
    (workers.folder / "down").touch()
    number, pid = until(lambda: workers.lines("holder"), what="a held probe", every=0.02)
    os.kill(int(pid), signal.SIGKILL)
    workers.killed.add(int(number))
    (workers.folder / "die").unlink()
    (workers.folder / "down").unlink()
    workers.all_see("shared", "Closed")
    assert len(workers.lines("probes")) >= 3


def test_without_valkey_they_go_on_alone_and_agree_when_it_is_back(
    workers: Workers, mortal_valkey: EmbeddedValkey
) -> None:
    mortal_valkey.kill()
    workers.all_see("alone", "Closed")
    (workers.folder / "down").touch()
    workers.all_saw("Open")
    assert {seen[0] for seen in workers.seen()} == {"alone"}
    mortal_valkey.start()
    until(lambda: {seen[0] for seen in workers.seen()} == {"shared"}, what="all share", every=0.02)
    (workers.folder / "down").unlink()
    workers.all_see("shared", "Closed")
    assert workers.lines("overlaps") == []
