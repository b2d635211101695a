"""The demo where no cluster can be had: `wayfare dev`, the same code as one process."""

from __future__ import annotations

import asyncio
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import yaml
from psycopg.conninfo import make_conninfo

from demo.asking import Answers, Caller, caller, questions
from demo.cluster import EXAMPLES, NAMESPACE
from demo.report import Result
from demo.steps import WAYFARE, StepFailed, Steps

JOURNEY, NODE = "term-deposit", "offer"
NEEDED = (
    "The whole demo needs root on Linux (it then makes a Kubernetes site of its own), or any "
    "cluster: make demo CLUSTER=kubeconfig LOAD='kind load docker-image'."
)


class Dev:
    """A running `wayfare dev` and what it printed."""

    def __init__(self, process: subprocess.Popen[str], steps: Steps) -> None:
        self.process = process
        self._steps = steps
        self._said: list[str] = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        with self._steps.log.open("a", encoding="utf-8") as log:
            for line in self.process.stderr:
                self._said.append(line)
                log.write(re.sub(r"wf_\w{16}_[\w-]+", "wf_…", line))
                log.flush()

    def wait_for(self, pattern: str, *, seconds: float) -> str:
        """The first group of `pattern` once it was printed. Raises StepFailed."""
        deadline = time.monotonic() + seconds
        while True:
            found = re.search(pattern, "".join(self._said))
            if found:
                return found[1]
            if self.process.poll() is not None or time.monotonic() > deadline:
                said = "".join(self._said[-12:])
                raise StepFailed(f"`wayfare dev` does not serve:\n{said}")
            time.sleep(0.1)


def run_as_process(
    steps: Steps, customers: Path, why: str, *, asked: int
) -> tuple[Result, dict[str, Counter[str]]]:
    """Everything but Kubernetes; the result says so in `mode`."""
    say = steps.console.print
    say(f"\nNo Kubernetes here: {why}.", markup=False, style="bold")
    say("One process instead: the same compiler and engine over HTTP, with embedded PostgreSQL")
    say(f"and Valkey. No operator takes part. {NEEDED}\n", markup=False)
    with tempfile.TemporaryDirectory(prefix="wayfare-demo-") as folder:
        # The stores run as another account when we are root; it has to get through.
        Path(folder).chmod(0o711)
        manifests = Path(folder) / "bank"
        shutil.copytree(EXAMPLES, manifests)
        with running_dev(steps, manifests, customers, Path(folder) / "data") as (dev, url):
            with steps.step("wayfare dev") as note:
                key = dev.wait_for(r"API key: (\S+)", seconds=180)
                count = int(dev.wait_for(r"(\d+) customers \(", seconds=5))
                note.text = f"{count:,} customers, {url}"
            answers, seconds, explained = asyncio.run(
                _ask_edit_explain(steps, url, key, questions(count, asked), manifests)
            )
            segments = _segments(Path(dev.wait_for(r"data in (\S+)", seconds=1)))
    (plan,) = answers.plans()
    result = Result(
        customers=count,
        pods=0,
        segments=segments,
        decisions=answers.summary(),
        hot_reload_seconds=round(seconds, 3),
        plan_digest=plan,
        explained=explained,
        mode="process",
    )
    return result, answers.by_slot()


@contextmanager
def running_dev(
    steps: Steps, manifests: Path, customers: Path | None, data: Path, *more: str
) -> Iterator[tuple[Dev, str]]:
    """`wayfare dev`, with `more` arguments, and its address; ended afterwards. Without `customers`
    it has those that its data has."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [
            *(WAYFARE, "dev", "-f", str(manifests)),
            *(("--customers", str(customers)) if customers else ()),
            *("--port", str(port), "--data", str(data), *more),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        # Wide: nothing that is looked for is broken over two lines.
        env={**steps.environment, "COLUMNS": "500"},
    )
    try:
        yield Dev(process, steps), f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()


async def _ask_edit_explain(
    steps: Steps, url: str, key: str, asked: list[Any], manifests: Path
) -> tuple[Answers, float, dict[str, Any]]:
    async with caller(url, f"Bearer {key}") as client:
        with steps.step("decisions") as note:
            answers = await client.ask_all(asked)
            found = answers.summary()
            note.text = (
                f"{found['served']:,} of {found['requested']:,} served, "
                f"p50 {found['p50_ms']} ms, p99 {found['p99_ms']} ms"
            )
        if answers.failures:
            raise StepFailed(f"not every decision was served: {dict(answers.failures)}")
        with steps.step("edit a journey") as note:
            seconds = await _edit(client, answers, manifests / "journeys.yaml")
            note.text = f"{JOURNEY} answered anew after {seconds:.2f} s, no restart"
        with steps.step("explain") as note:
            won = answers.decision_won_by(f"{NAMESPACE}/{JOURNEY}", NODE)
            explained = await client.explain(won or answers.given[0][1]["decision_id"])
            note.text = f"decision {explained['decision_id']}"
    return answers, seconds, explained


async def _edit(client: Caller, answers: Answers, manifest: Path) -> float:
    shown = answers.won_by(f"{NAMESPACE}/{JOURNEY}", NODE)
    if shown is None:
        raise StepFailed(f"{JOURNEY} won no decision, so an edit of it could not be seen")
    title = "A term deposit at 3.4 %, edited just now"
    began = time.monotonic()
    _retitle(manifest, title)
    since = await client.until(
        shown,
        lambda status, answer: status == 200 and (answer["content"] or {}).get("title") == title,
        what="the edited journey is answered",
        seconds=30,
        in_a_row=3,
    )
    return since - began


def _retitle(manifest: Path, title: str) -> None:
    documents = list(yaml.safe_load_all(manifest.read_text(encoding="utf-8")))
    for document in documents:
        if document["metadata"]["name"] == JOURNEY:
            document["spec"]["nodes"][0]["slot"]["content"]["title"] = title
    manifest.write_text(yaml.safe_dump_all(documents, sort_keys=False), encoding="utf-8")


def dsn_of(data: Path) -> str:
    """The address of the embedded PostgreSQL of a running `wayfare dev`."""
    pid_file = data / "postgresql" / "pgdata" / "postmaster.pid"
    return make_conninfo(
        host="127.0.0.1",
        port=pid_file.read_text().splitlines()[3],
        user="wayfare",
        dbname="wayfare",
        password=(data / "postgresql-password").read_text().strip(),
    )


def _segments(data: Path) -> list[dict[str, Any]]:
    """Sizes, from the embedded PostgreSQL: no object has them where there is no operator."""
    with psycopg.connect(dsn_of(data)) as connection:
        rows = connection.execute(
            "SELECT DISTINCT ON (name) name, size FROM wayfare.segment_memberships "
            "WHERE name NOT LIKE '~%' ORDER BY name, as_of DESC"
        ).fetchall()
    return [{"name": name.rpartition("/")[2], "size": size} for name, size in rows]
