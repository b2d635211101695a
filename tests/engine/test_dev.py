"""`wayfare dev`, as an author uses it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.plans import CUSTOMERS, write_customers
from tests.servers import web
from tests.servers.ports import free_port
from tests.servers.wait import until

HEAD = "apiVersion: wayfare.dev/v1alpha1\n"
MANIFESTS = (
    HEAD + "kind: Engine\nmetadata: {name: retail}\nspec: {stores: {managed: {}}, "
    "customers: {attributes: [{name: balance, type: double}]}}\n---\n"
    + HEAD
    + "kind: Segment\nmetadata: {name: savers}\nspec:\n  engineRef: {name: retail}\n"
    "  rule: customer.age >= 55\n---\n" + HEAD + "kind: Journey\nmetadata: {name: deposit}\nspec:\n"
    "  engineRef: {name: retail}\n  audience: segment('savers')\n  nodes:\n"
    "    - {name: offer, type: slot, slot: {name: banner, content: {title: First}, "
    "channelRef: {name: sms}}}\n---\n" + HEAD + "kind: Channel\nmetadata: {name: sms}\nspec: "
    "{engineRef: {name: retail}, medium: SMS, plugin: {name: somebodys}}\n"
)


class Dev:
    """A running `wayfare dev`."""

    def __init__(self, folder: Path) -> None:
        self.manifest = folder / "manifests/bank.yaml"
        self.manifest.parent.mkdir()
        self.manifest.write_text(MANIFESTS)
        customers = write_customers(folder / "customers.csv", CUSTOMERS)
        self.port = free_port()
        self.data = folder / "data"
        self._output = folder / "output"
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-c", "from wayfare_engine.cli import main; main()"),
                    *("dev", "-f", str(self.manifest.parent), "--customers", str(customers)),
                    *("--id", "id", "--port", str(self.port), "--data", str(self.data)),
                ],
                stdout=output,
                stderr=output,
                cwd=folder,
            )

    def output(self) -> str:
        assert self.process.poll() is None, self._output.read_text()
        return self._output.read_text()

    def key(self) -> str:
        found = until(
            lambda: re.search(r"API key: (wf_\S+)", self.output()), seconds=120, what="the key"
        )
        return found[1]

    def title(self, key: str) -> str:
        answer = web.post(
            f"http://127.0.0.1:{self.port}/v1/decisions",
            json={"customer": "anna", "slot": "banner"},
            headers={"Authorization": f"Bearer {key}"},
        )
        assert answer.status_code == 200, answer.text
        title: str = answer.json()["content"]["title"]
        return title


@pytest.fixture
def dev(tmp_path: Path) -> Iterator[Dev]:
    running = Dev(tmp_path)
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.process.send_signal(signal.SIGINT)
            running.process.wait(60)


def test_an_author_edits_a_journey_and_sees_the_answer_change(dev: Dev) -> None:
    key = dev.key()
    assert dev.title(key) == "First"

    second = MANIFESTS.replace("First", "Second")
    dev.manifest.write_text(second)
    until(lambda: dev.title(key) == "Second", what="the new answer")

    dev.manifest.write_text(second.replace("customer.age >= 55", "customer.agee >= 55"))
    until(lambda: "bank.yaml:11:" in dev.output(), what="the problem with its place")
    assert dev.title(key) == "Second"

    children = _children(dev.process.pid)
    assert children
    dev.process.send_signal(signal.SIGINT)
    assert dev.process.wait(60) == 0
    assert [pid for pid in children if Path(f"/proc/{pid}").exists()] == []


def test_stores_end_with_a_process_that_is_killed(dev: Dev) -> None:
    dev.key()
    children = _children(dev.process.pid)

    dev.process.kill()
    dev.process.wait()

    until(lambda: not [pid for pid in children if _alive(pid)], what="the stores' end", seconds=60)


def _children(pid: int) -> list[int]:
    found = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False
    )
    return [int(word) for word in found.stdout.split()]


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False
