"""Drills back to back while production serves: what a caller waits meanwhile, and what is left.

Each site is kept on a processor of its own, as two machines would be; the caller shares
production's, and the vault and whoever watches the drill the other one. Latencies of a drill are
held against those of the time just before it. Beside them stands what work on the other processor
does that has nothing to do with Wayfare, a busy loop and programs that start: two processors of one
machine share more than two machines do.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

import httpx

from demo.cluster import ENGINE, NAMESPACE
from demo.keys import make_key
from demo.recovery import callers, story
from demo.recovery.callers import Door
from demo.steps import TOP
from tests.e2e.sites import Sites, clock
from tests.servers.forking import context
from wayfare_engine.objectstore import open_store

BETWEEN_SECONDS = 20.0
P50_RATIO, P99_RATIO = 1.2, 2.0
GROWS = {"Job of a run", "Pod of a run"}
"""What each run adds by its nature: the Jobs of runs that are kept, and the pods of these."""
OF_A_RUN = {"RecoveryRun", "Job"}
"""Kinds of owners."""
_DATABASES = """
import json, time, psycopg
from wayfare_engine.settings import load_settings
with psycopg.connect(load_settings().direct_dsn, autocommit=True) as connection:
    seen = []
    for _ in range(5):
        seen.append(connection.execute(
            "SELECT (SELECT count(*) FROM pg_database), count(*) FROM pg_stat_activity "
            "WHERE backend_type = 'client backend'"
        ).fetchone())
        time.sleep(1)
    print(json.dumps([min(each) for each in zip(*seen)]))
"""
"""How many databases and connections production's PostgreSQL has at least, for some seconds."""
KINDS = (
    "jobs,pods,deployments,statefulsets,services,configmaps,secrets,networkpolicies,"
    "persistentvolumeclaims"
)


@dataclass
class Window:
    """What callers waited in one stretch of time, in milliseconds."""

    waited: list[float] = field(default_factory=list)

    @property
    def p50(self) -> float:
        """The median."""
        return statistics.median(self.waited)

    @property
    def p99(self) -> float:
        """One in a hundred waited longer."""
        return statistics.quantiles(self.waited, n=100)[98]


@dataclass
class Rehearsed:
    """Windows between and during drills, and beside each kind of other work; what there was of each
    kind of object after each drill."""

    between: list[Window] = field(default_factory=list)
    beside: dict[str, list[Window]] = field(default_factory=dict)
    during: list[Window] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    left: list[Counter[str]] = field(default_factory=list)
    sent: int = 0

    def ratio(self, which: str, windows: Sequence[Window] | None = None) -> float:
        """Of the medians over the windows, those during drills unless others are given."""
        some, between = (
            statistics.median(float(getattr(each, which)) for each in each_of)
            for each_of in (self.during if windows is None else windows, self.between)
        )
        return some / between

    def grown(self) -> dict[str, tuple[int, int]]:
        """Of what there is more after the last drill than after the first, what each run does not
        add by its nature."""
        first, last = self.left[0], self.left[-1]
        return {
            kind: (first[kind], last[kind])
            for kind in last
            if last[kind] > first[kind] and kind not in GROWS
        }

    def told(self) -> str:
        """For the log."""
        shown = [
            f"{each.p50:.1f}/{each.p99:.1f}"
            for pair in zip(self.between, self.during, strict=True)
            for each in pair
        ]
        beside = ""
        for work, windows in self.beside.items():
            floor = [f"{self.ratio(which, windows):.2f}" for which in ("p50", "p99")]
            beside += f", beside {work} {' and '.join(floor)}"
        return (
            f"{len(self.seconds)} drills of {statistics.median(self.seconds):.0f} s; p50/p99 ms "
            f"between and during: {' '.join(shown)}; ratios {self.ratio('p50'):.2f} and "
            f"{self.ratio('p99'):.2f}{beside}; outside {self.sent} sends"
        )


def rehearse(sites: Sites, count: int) -> Rehearsed:
    """So many drills, one after the other; what callers wait between them, and beside other work.
    Nothing else should run on the machine."""
    found = Rehearsed()
    since, cpus = clock(), sorted(os.sched_getaffinity(0))
    with _apart(sites):
        _wait_asleep(sites)
        for _ in range(count):
            with _asking(sites.door, cpus[:1]) as window:
                time.sleep(BETWEEN_SECONDS)
            found.between.append(window)
            for name, work in OTHER_WORK.items():
                with _working(work, cpus[-1]), _asking(sites.door, cpus[:1]) as window:
                    time.sleep(BETWEEN_SECONDS)
                found.beside.setdefault(name, []).append(window)
            _drill(sites, found, cpus[:1])
    _count_sent(sites, found, since)
    return found


def rehearse_beside_others(sites: Sites, count: int) -> Rehearsed:
    """So many drills, one after the other, on a machine that has other work: what callers waited is
    of no use for a ratio."""
    found = Rehearsed()
    since, cpus = clock(), sorted(os.sched_getaffinity(0))
    _wait_asleep(sites)
    for _ in range(count):
        _drill(sites, found, cpus)
    _count_sent(sites, found, since)
    return found


def _drill(sites: Sites, found: Rehearsed, cpus: list[int]) -> None:
    """One drill, while a caller asks production; then what is left of it."""
    with _asking(sites.door, cpus) as window:
        ended = sites.run(sites.west, "drill")
    found.during.append(window)
    found.seconds.append(story.whole(ended) or 0.0)
    _wait_asleep(sites)
    found.left.append(_left(sites))


def _count_sent(sites: Sites, found: Rehearsed, since: float) -> None:
    # Production sends meanwhile, and is told apart by its site.
    found.sent = sum(one.site != sites.east.site for one in sites.arrivals(since))


@contextmanager
def _apart(sites: Sites) -> Iterator[None]:
    """Each site on a processor of its own."""
    cpus = sorted(os.sched_getaffinity(0))
    sites.lab("pin", "east", str(cpus[0]))
    for place in ("west", "vault"):
        sites.lab("pin", place, str(cpus[-1]))
    os.sched_setaffinity(0, {cpus[-1]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, set(cpus))
        for place in ("east", "west", "vault"):
            sites.lab("pin", place, f"{cpus[0]}-{cpus[-1]}")


@contextmanager
def _working(work: Callable[[], None], cpu: int) -> Iterator[None]:
    """A process that does nothing but this, on this processor."""
    process = context.Process(target=_work, args=(work, cpu), daemon=True)
    process.start()
    try:
        yield
    finally:
        process.kill()
        process.join(20)


def _work(work: Callable[[], None], cpu: int) -> None:
    os.sched_setaffinity(0, {cpu})
    work()


def _go_through_memory() -> None:
    page, memory = os.sysconf("SC_PAGE_SIZE"), bytearray(64 << 20)
    while True:
        for place in range(0, len(memory), page):
            memory[place] ^= 1


def _start_programs() -> None:
    while True:
        subprocess.run([sys.executable, "-c", "import pyarrow, psycopg"], check=False)


OTHER_WORK = {"a busy loop": _go_through_memory, "programs that start": _start_programs}


@contextmanager
def _asking(door: Door, cpus: list[int]) -> Iterator[Window]:
    """One caller, twenty times a second, on production's processors: a process of its own, which
    nothing that watches the drill keeps waiting."""
    window = Window()
    ours, theirs = context.Pipe()
    process = context.Process(target=_ask, args=(door, cpus, theirs), daemon=True)
    process.start()
    try:
        yield window
    finally:
        ours.send("enough")
        told = ours.recv() if ours.poll(30) else "the caller does not answer"
        process.join(20)
    assert not isinstance(told, str), told
    window.waited.extend(told)


def _ask(door: Door, cpus: list[int], pipe: Connection) -> None:
    """Until something comes through the pipe; then what each answer took, in ms, or what was
    answered instead."""
    os.sched_setaffinity(0, cpus)
    waited: list[float] = []
    with httpx.Client(timeout=10) as client:
        for number in range(1, 1_000_000):
            if pipe.poll(0.05):
                break
            began = time.perf_counter()
            answer = client.post(
                f"{door.url}/v1/decisions",
                json={"customer": str(number % 40_000), "slot": callers.SLOT, "context": {}},
                headers={"Authorization": f"Bearer {door.key}"},
            )
            waited.append((time.perf_counter() - began) * 1000)
            if answer.status_code != 200:
                pipe.send(answer.text)
                return
    pipe.send(waited)


def _wait_asleep(sites: Sites) -> None:
    story.wait_standby(sites.west)


def _left(sites: Sites) -> Counter[str]:
    """How many objects of each kind the standby's site has, those of kept runs left out, the
    folders of the store, and production's databases and connections."""
    found: Counter[str] = Counter()
    for item in sites.west.get("-n", NAMESPACE, KINDS)["items"]:
        owners = {each["kind"] for each in item["metadata"].get("ownerReferences", ())}
        found[item["kind"] + (" of a run" if owners & OF_A_RUN else "")] += 1
    store = open_store(f"s3://{sites.vault.bucket}/{ENGINE}", options=sites.vault.here)
    # What a drill keeps in the store is below a folder of its own.
    found.update(f"store: {top}" for top in store.folders(""))
    worker = ("-n", NAMESPACE, "exec", f"deploy/{ENGINE}-worker", "-c", "worker", "--")
    counted = json.loads(sites.east.kubectl(*worker, "python", "-c", _DATABASES))
    found.update(dict(zip(("database", "connection"), counted, strict=True)))
    return found


def main() -> int:
    """`make soak-drills DRILLS=30`, on the lab that `make demo` left; 1 when a bar is not held."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--drills", type=int, default=30)
    given = parser.parse_args()
    log = TOP / "build" / "soak-drills.log"
    _, key = make_key(Sites.of_demo("", log).east)
    found = rehearse(Sites.of_demo(key, log), given.drills)
    print(found.told(), flush=True)
    print(f"more than after the first: {found.grown() or 'nothing'}")
    well = (
        found.sent == 0
        and not found.grown()
        and found.ratio("p50") <= P50_RATIO
        and found.ratio("p99") <= P99_RATIO
    )
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
