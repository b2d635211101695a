"""`make rebuild`: a site is lost with its disk, and rebuilt from the bucket alone. A recorded run.

    python -m demo.rebuild [--customers FILE] [--rows 45211] [--sends 8000] [--json FILE]

Decisions and sends for real customers are journaled to an S3 server. Then the processes are killed
and PostgreSQL's folder is deleted, and an empty PostgreSQL is brought to what the bucket holds by
`wayfare journal catch-up`. Everything is compared with a copy from before; the rebuilt site takes
the next epoch, sends what was left, and explains the decisions that the lost one made.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import aiohttp
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from demo import recorded_site as site
from demo.asking import Answers, Question, caller, questions
from demo.cluster import EXAMPLES
from demo.process import Dev, dsn_of, running_dev
from demo.rebuild_report import Report, megabytes, show
from demo.steps import TOP, StepFailed, Steps
from tests.harness.site import PLAN, take
from tests.servers.bank import bank_csv
from tests.servers.objects import ObjectServer, running_objects
from tests.servers.receivers import running_receivers
from wayfare_engine import logs
from wayfare_engine.api.events import MOST
from wayfare_engine.dev.stores import data_folder, running_stores
from wayfare_engine.lease.epochs import read_acting
from wayfare_engine.objectstore import open_store
from wayfare_engine.objectstore.marker import claim
from wayfare_engine.store.migrate import migrate

SHARED = TOP.parent / "shared" / "data" / "bank-full.csv"
EXPLAINED = 50
#: What is kept of the site before it is lost: the digests of its projections, in the bucket.
BEFORE = "digests/before-the-loss"
_EVENTS, _CHANGED = 5_000, 1_000
_ASKED_AT_ONCE = 2_000


class Recording:
    """One run, over servers that are there already."""

    def __init__(
        self, steps: Steps, objects: ObjectServer, sends: site.Sends, url: str, folder: Path
    ) -> None:
        self.steps = steps
        self.report = Report()
        self._objects = objects
        self._sends = sends
        self._url = url
        self._folder = folder
        self._manifests = folder / "bank"
        shutil.copytree(EXAMPLES, self._manifests)

    def run(self, customers: Path, *, sends: int) -> None:
        """All steps, one after the other. Raises StepFailed."""
        with self._dev(customers, "lost") as (dev, url):
            key, dsn, data = self._started(dev)
            answers = self._decide(url, key)
            self._tell(url, key, dsn)
            self._send_some(dsn, min(sends, self.report.customers))
            self._seal(dsn)
            before = self._copy(dsn)
            records = self._explained(url, key, answers)
            with self.steps.step("kill, delete the disk") as note:
                self.report.deleted_bytes = site.destroy(dev, data)
                note.text = f"PostgreSQL's folder is gone, {megabytes(self.report.deleted_bytes)}"
        with running_stores(data_folder(self._folder / "rebuilt")) as (postgresql, _):
            self._rebuild(postgresql.dsn)
            self._compare(before, postgresql.dsn)
            self._go_on(postgresql.dsn)
        self._explain_again(records)
        self.report.store_bytes = site.stored(self._objects, self._url)
        self.report.seconds = {name: round(s, 2) for name, s in self.steps.seconds.items()}

    def _dev(self, customers: Path | None, name: str) -> Any:
        more = ("--store", self._url)
        return running_dev(self.steps, self._manifests, customers, self._folder / name, *more)

    def _started(self, dev: Dev) -> tuple[str, str, Path]:
        with self.steps.step("a site with customers") as note:
            key = dev.wait_for(r"API key: (\S+)", seconds=180)
            count = self.report.customers = int(dev.wait_for(r"(\d+) customers \(", seconds=5))
            data = Path(dev.wait_for(r"data in (\S+)", seconds=5))
            note.text = f"{count:,} customers, everything is journaled to an S3 bucket"
        return key, dsn_of(data), data

    def _decide(self, url: str, key: str) -> Answers:
        count = self.report.customers
        with self._progress("decisions", count) as (note, told):
            answers = asyncio.run(_ask(url, key, questions(count, count), told))
            if answers.failures:
                raise StepFailed(f"not every decision was made: {dict(answers.failures)}")
            self.report.decisions = len(answers.given)
            note.text = f"{len(answers.given):,}, one a customer, {answers.summary()['p50_ms']} ms"
        return answers

    def _tell(self, url: str, key: str, dsn: str) -> None:
        """Events over HTTP, and changes of each other kind of state."""
        customers = [str(n) for n in range(1, min(_EVENTS, self.report.customers) + 1)]
        with self._progress("events, changes", len(customers)) as (note, told):
            asyncio.run(_post_events(url, key, customers, told))
            self.report.events = len(customers)
            self.report.changes = site.change(dsn, customers[:_CHANGED])
            note.text = f"{len(customers):,} events journaled, {self.report.changes:,} changes"

    def _send_some(self, dsn: str, sends: int) -> None:
        """Plan all, hand over half of them, and kill those that do it."""
        # The site's own worker takes the first epoch, for the channels that it has.
        site.wait_until(
            lambda: read_acting(self._store, PLAN, 1) is not None, "the right to act", seconds=60
        )
        customers = [str(number) for number in range(1, sends + 1)]
        with self._progress("plan sends", sends) as (note, told):
            planned = self._sends.plan(dsn, customers, told)
            note.text = f"{planned:,} intents"
        with self._progress("send, kill in between", sends) as (note, told):
            self._sends.start(dsn, 1)

            def half() -> bool:
                told(done := self._sends.effects().total())
                return done >= sends // 2

            site.wait_until(half, "half of the sends are received", seconds=240)
            self._sends.kill()
            received = self._sends.effects().total()
            self.report.sends |= {"planned": planned, "received_before": received}
            note.text = f"{received:,} were received when the senders were killed"

    def _seal(self, dsn: str) -> None:
        with self.steps.step("all is in the bucket") as note:
            made = self.report.decisions
            decided = "SELECT count(*) FROM wayfare.ledger WHERE kind = 'decision'"
            site.wait_until(lambda: site.count(dsn, decided) == made, "rows", seconds=30)
            self.report.sealed_rows = site.wait_sealed(dsn)
            [found] = site.command(self.steps, "journal", "verify", "--store", self._url)
            if not found["ok"]:
                raise StepFailed(f"the journal does not verify: {found}")
            note.text = f"{self.report.sealed_rows:,} rows sealed and verified"

    def _copy(self, dsn: str) -> site.Copy:
        with self.steps.step("copy, to compare with") as note:
            copy = site.copy_of(dsn)
            kept = ("--dsn", dsn, "--store", self._url, "--site", site.SITE, "--out", BEFORE)
            site.command(self.steps, "ledger", "digest", *kept)
            rows = sum(map(len, copy.projections.values()))
            note.text = f"{rows:,} rows of {len(copy.projections)} projections, and their digests"
        return copy

    def _explained(self, url: str, key: str, answers: Answers) -> dict[str, Any]:
        step = max(1, len(answers.given) // EXPLAINED)
        ids = [str(answer["decision_id"]) for _, answer in answers.given[::step]]
        return asyncio.run(_explain(url, key, ids))

    def _rebuild(self, dsn: str) -> None:
        with self.steps.step("rebuild an empty database") as note:
            migrate(dsn)
            arguments = ("--dsn", dsn, "--store", self._url, "--plan", PLAN, "--history")
            said = site.command(self.steps, "journal", "catch-up", *arguments)
            self.report.catch_up = said[0]
            self.report.history_rows = next(one["history"] for one in said if "history" in one)
            rate = said[0].get("rows_per_second") or 0
            note.text = (
                f"journal catch-up: {sum(said[0]['rows'].values()):,} rows, {rate:,} a second"
            )

    def _compare(self, before: site.Copy, dsn: str) -> None:
        with self.steps.step("compare") as note:
            after = site.copy_of(dsn)
            self.report.projections = site.compare_projections(before, after)
            if (before.ledger_rows, before.ledger_digest) != (
                after.ledger_rows,
                after.ledger_digest,
            ):
                raise StepFailed("the ledger's rows are not as before")
            if before.customers != after.customers:
                raise StepFailed(f"{after.customers} customers, and {before.customers} before")
            self.report.ledger_equal = True
            [found] = site.command(self.steps, "ledger", "diff", BEFORE, dsn, "--store", self._url)
            if not (found["equal"] and found["samePoint"]):
                raise StepFailed(f"wayfare ledger diff is not empty: {found}")
            self.report.ledger_diff = {
                "exchanges": found["exchanges"],
                "bytes": found["bytes"],
                "differences": sum(len(t["differences"]) for t in found["tables"].values()),
            }
            rows = sum(self.report.projections.values())
            note.text = (
                f"{rows:,} rows of projections and {after.ledger_rows:,} of the ledger equal; "
                "wayfare ledger diff is empty"
            )

    def _go_on(self, dsn: str) -> None:
        with self.steps.step("take the next epoch") as note:
            self.report.epoch = take(self._sends.settings(dsn, 0), self._store)
            note.text = f"epoch {self.report.epoch}, after the wait for the lost holder"
        planned = self.report.sends["planned"]
        sealing = site.sealing(dsn, self._store)
        with self._progress("send what was left", planned) as (note, told), sealing:
            self._sends.start(dsn, self.report.epoch)

            def ended() -> bool:
                told(site.count(dsn, site.ENDED))
                return site.count(dsn, site.ENDED) == planned

            site.wait_until(ended, "every send has an outcome", seconds=240)
            self._sends.kill()
            effects = self._sends.effects()
            self.report.contacted_twice = sum(n > 1 for n in effects.values())
            if self.report.contacted_twice:
                raise StepFailed(f"{self.report.contacted_twice} were contacted twice")
            outcomes = site.outcomes(dsn)
            accepted = [one for one, outcome in outcomes.items() if outcome == "Accepted"]
            if foreign := effects.keys() - outcomes.keys():
                raise StepFailed(f"{len(foreign)} sends were received and never planned")
            if missing := set(accepted) - effects.keys():
                raise StepFailed(f"{len(missing)} sends are told as accepted and were not received")
            unknown = planned - len(accepted)
            self.report.sends |= {"received": len(effects), "unknown": unknown}
            note.text = f"{len(effects):,} received, none twice; {unknown} unknown, listed"

    def _explain_again(self, before: dict[str, Any]) -> None:
        with (
            self.steps.step("explain decisions") as note,
            self._dev(None, "rebuilt") as (dev, url),
        ):
            key = dev.wait_for(r"API key: (\S+)", seconds=180)
            after = asyncio.run(_explain(url, key, list(before)))
            wrong = [one for one in before if before[one] != after[one]]
            if wrong:
                raise StepFailed(f"{wrong[0]} is explained otherwise: {after[wrong[0]]}")
            self.report.explained = len(after)
            note.text = (
                f"{len(after)} of before the loss, by the rebuilt site, field by field equal"
            )

    @property
    def _store(self) -> Any:
        return open_store(self._url, options=self._objects.options)

    @contextmanager
    def _progress(self, name: str, total: int) -> Iterator[tuple[Any, Callable[[int], None]]]:
        """A step that tells how far it is; without a terminal a line each fifth."""
        console, shown = self.steps.console, [0]
        with self.steps.step(name, quiet=False) as note:
            if console.is_terminal:
                columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
                with Progress(*columns, console=console, transient=True) as bar:
                    task = bar.add_task(name, total=total)
                    yield note, lambda done: bar.update(task, completed=done)
                return

            def told(done: int) -> None:
                if done * 5 // max(1, total) > shown[0]:
                    shown[0] = done * 5 // max(1, total)
                    console.print(f"  {name}: {done:,} of {total:,}", markup=False)

            yield note, told


async def _ask(url: str, key: str, asked: list[Question], told: Callable[[int], None]) -> Answers:
    answers = Answers()
    async with caller(url, f"Bearer {key}") as client:
        for start in range(0, len(asked), _ASKED_AT_ONCE):
            some = await client.ask_all(asked[start : start + _ASKED_AT_ONCE])
            answers.given += some.given
            answers.seconds += some.seconds
            answers.failures.update(some.failures)
            told(start + some.requested)
    return answers


async def _post_events(
    url: str, key: str, customers: list[str], told: Callable[[int], None]
) -> None:
    headers = {"Authorization": f"Bearer {key}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        for start in range(0, len(customers), MOST):
            some = customers[start : start + MOST]
            events = [
                {"customer": one, "name": "logged_in", "client_id": f"recorded/{one}"}
                for one in some
            ]
            # Each batch twice: what is sent again is the same row.
            for repeat in (False, True):
                to = f"{url}/v1/events?ack=journaled&wait=30"
                async with session.post(to, json=events) as response:
                    answer = await response.json()
                if response.status != 200:
                    raise StepFailed(f"events: {response.status} {answer}")
                if {one["repeat"] for one in answer["events"]} != {repeat}:
                    raise StepFailed("an event was taken twice, or not at all")
            told(start + len(some))


async def _explain(url: str, key: str, ids: Sequence[str]) -> dict[str, Any]:
    async with caller(url, f"Bearer {key}") as client:
        return {one: await client.explain(one) for one in ids}


def record(steps: Steps, customers: Path, *, sends: int) -> Report:
    """The whole run, with servers of its own that are gone afterwards."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="wayfare-rebuild-")))
        # The stores run as another account when we are root; it has to get through.
        folder.chmod(0o711)
        objects = stack.enter_context(running_objects())
        receivers = stack.enter_context(running_receivers(folder / "receivers", limit=2.0))
        url = objects.url()
        steps.environment |= objects.options | {
            "WAYFARE_SITE": site.SITE,
            "WAYFARE_RECOVERY_PLAN": PLAN,
        }
        claim(open_store(url, options=objects.options), PLAN)
        outgoing = site.Sends(receivers, objects, url, folder)
        stack.callback(outgoing.kill)
        recording = Recording(steps, objects, outgoing, url, folder)
        recording.run(customers, sends=sends)
        return recording.report


def head_of(customers: Path, rows: int, into: Path) -> Path:
    """The file's first customers."""
    lines = customers.read_text(encoding="utf-8").splitlines(keepends=True)
    into.write_text("".join(lines[: rows + 1]), encoding="utf-8")
    return into


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m demo.rebuild", description=__doc__)
    parser.add_argument("--customers", type=Path, help="CSV; the bank's file when not given")
    parser.add_argument("--rows", type=int, help="only so many of them")
    parser.add_argument("--sends", type=int, default=8_000, help="how many get a send")
    parser.add_argument("--json", type=Path, default=TOP / "build" / "rebuild.json")
    given = parser.parse_args(argv)
    named = given.customers or os.environ.get("WAYFARE_BANK_CSV")
    customers = Path(named) if named else SHARED if SHARED.exists() else bank_csv()
    console = Console(highlight=False, soft_wrap=True)
    if not console.is_terminal:
        console.width = 120
    logs.configure("error", readable=True)
    steps = Steps(console, TOP / "build" / "rebuild.log")
    began = time.monotonic()
    try:
        with tempfile.TemporaryDirectory() as folder:
            if given.rows:
                customers = head_of(customers, given.rows, Path(folder) / "customers.csv")
            report = record(steps, customers.resolve(), sends=given.sends)
    except StepFailed as failed:
        console.print(f"\n{steps.current}: failed. {failed}", markup=False, style="red")
        console.print(f"Every command and what it said: {steps.log}", markup=False)
        return 1
    except KeyboardInterrupt:
        console.print("\nstopped; nothing is left running")
        return 130
    report.seconds["all"] = round(time.monotonic() - began, 2)
    given.json.parent.mkdir(parents=True, exist_ok=True)
    given.json.write_text(json.dumps(asdict(report), indent=2) + "\n", encoding="utf-8")
    console.print()
    show(report, console)
    console.print(f"\n{given.json} written, {report.seconds['all']:.0f} s in all", markup=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
