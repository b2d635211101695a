"""A worker that seals, as a process of its own, while the store fails it in every way."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from tests.journal.making import PLAN, SITE, chained_ids, rows, write
from tests.servers import web
from tests.servers.command import arguments, clean_environment, wayfare
from tests.servers.engine import EngineProcess, engine_processes
from tests.servers.faults import Fault
from tests.servers.faultstore import Answer, FaultStore, Overwrites, Stale, running_faults
from tests.servers.objects import ObjectServer
from tests.servers.require import need
from tests.servers.wait import until
from wayfare_engine.clock import now
from wayfare_engine.journal.chain import read
from wayfare_engine.journal.segment import Segment
from wayfare_engine.journal.verify import verify
from wayfare_engine.lease import Holder, Terms, boottime, highest, history, take
from wayfare_engine.lease.beats import Beat, read_beat, watch_until_stale
from wayfare_engine.lease.epochs import put_acting
from wayfare_engine.ledger.fence import site_epoch
from wayfare_engine.objectstore import ObjectStore, open_store, paths
from wayfare_engine.objectstore.marker import claim

EACH = 4


@dataclass
class Sealing:
    """A worker whose store is behind a proxy, and what is seen of it from outside."""

    start: Any
    dsn: str
    store: ObjectStore
    faults: FaultStore
    logs: Callable[[], str]

    def status(self) -> dict[str, Any]:
        """`wayfare journal status --json`."""
        done = wayfare("journal", "status", "--json", "--dsn", self.dsn, "--site", SITE)
        found: dict[str, Any] = json.loads(done.stdout)
        return found | {"exit": done.returncode}

    def wait_acting(self, store: ObjectStore | None = None) -> None:
        """Until the site acts: while its worker takes the first epoch, nobody may write."""
        where = store or self.store

        def acts() -> bool:
            with psycopg.connect(self.dsn, autocommit=True) as connection:
                return highest(where, PLAN, seen=0) is not None and site_epoch(connection).held

        try:
            until(acts, what="the site acts")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.logs()}") from None

    def told(self, words: str) -> dict[str, Any]:
        """The status, once its problem says so."""

        def fact() -> dict[str, Any] | None:
            found = self.status()
            return found if re.search(words, (found["problem"] or {}).get("message", "")) else None

        return until(fact, what=f"the status says {words!r}")


def metric(worker: EngineProcess, name: str) -> float:
    """One figure of /metrics."""
    text = web.get(worker.url + "/metrics", timeout=5).text
    found = re.search(rf"^wayfare_journal_{name} (\S+)$", text, re.MULTILINE)
    assert found is not None, text
    return float(found[1])


@pytest.fixture
def sealing(objects: ObjectServer, dsn: str) -> Iterator[Sealing]:
    url = objects.url()
    with running_faults(objects) as faults, engine_processes(dsn) as processes:

        def start(**more: str) -> EngineProcess:
            environment = {
                **faults.options("a"),
                "WAYFARE_OBJECT_STORE_URL": url,
                "WAYFARE_OBJECT_STORE_TIMEOUT_SECONDS": "1",
                "WAYFARE_RECOVERY_PLAN": PLAN,
                "WAYFARE_SITE": SITE,
                "WAYFARE_LEASE_TAKE_FIRST": "true",
                "WAYFARE_CHECKPOINT_SECONDS": "0",
            }
            worker = processes.start("worker", **(environment | more))
            until(
                lambda: web.get(worker.url + "/metrics", timeout=2).status_code == 200,
                seconds=60,
                what="the worker answers",
                ignoring=(httpx.HTTPError,),
            )
            return worker

        store = open_store(url, options=objects.options)
        yield Sealing(start, dsn, store, faults, processes.logs)


@pytest.mark.parametrize(
    ("fault", "what"),
    [
        (Overwrites(), "two creates of one object both succeeded"),
        (Stale(seconds=0.5), "a read right after a write does not see it"),
    ],
)
def test_a_store_that_cannot_hold_a_journal_is_refused(
    sealing: Sealing, fault: Fault, what: str
) -> None:
    sealing.faults.rule("a", fault)
    ids = write(sealing.dsn, rows(5))
    worker = sealing.start()
    found = sealing.told(what)
    assert (found["exit"], found["lag"]["rows"]) == (1, 5)
    assert found["problem"]["kind"] == "StoreUnfit"
    assert "use one that has it" in found["problem"]["message"]
    until(lambda: metric(worker, "halted") == 1, what="the metric says that it stopped")
    assert worker.process.poll() is None, "its other tasks go on"
    assert "Traceback" not in worker.tail()
    assert list(sealing.store.list(paths.JOURNAL)) == []
    assert sealing.store.get(paths.MARKER) is None
    assert read_beat(sealing.store, PLAN, SITE) is None

    sealing.faults.heal()
    worker.stop()
    sealing.start()
    until(lambda: sealing.status()["lag"]["rows"] == 0, what="a good store takes everything")
    assert chained_ids(sealing.store) == ids


FAULTS: dict[str, tuple[Fault | str, str]] = {
    "refused": ("refused", "nothing listens at"),
    "silent": ("silent", "did not answer in time"),
    "full": (Answer(507, "XMinioStorageFull"), "the store is full; make room.*nothing is lost"),
    "read-only": (Answer(403, "AccessDenied"), "need the rights to read, write"),
    "credentials": (Answer(403, "SignatureDoesNotMatch"), "check AWS_SECRET_ACCESS_KEY"),
    "region": (Answer(301, "PermanentRedirect"), "set AWS_REGION"),
}


def test_rows_wait_through_every_fault_and_are_sealed_when_the_store_is_back(
    sealing: Sealing,
) -> None:
    worker = sealing.start()
    sealing.wait_acting()
    ids = write(sealing.dsn, rows(3))
    until(lambda: sealing.status()["lag"]["rows"] == 0, what="all is sealed")
    for fault, words in FAULTS.values():
        if isinstance(fault, str):
            sealing.faults.partition("a", how="silent" if fault == "silent" else "refused")
        else:
            sealing.faults.rule("a", fault, methods="PUT")
        ids += write(sealing.dsn, rows(EACH))
        found = sealing.told(words)
        assert (found["exit"], found["lag"]["rows"]) == (1, EACH)
        assert found["lag"]["seconds"] > 0
        until(lambda: metric(worker, "lag_rows") == EACH, what="the lag is a metric")
        assert metric(worker, "lag_seconds") > 0
        assert (metric(worker, "waiting"), metric(worker, "halted")) == (1, 0)
        sealing.faults.heal()
        until(lambda: sealing.status()["lag"]["rows"] == 0, what=f"sealed after {words}")
        until(lambda: sealing.status()["problem"] is None, what="the problem is over")
    assert worker.process.poll() is None
    assert "Traceback" not in worker.tail()
    assert chained_ids(sealing.store) == ids
    assert verify(sealing.store, plan=PLAN).ok


def test_a_store_that_is_away_at_the_start_is_told_of_too(sealing: Sealing) -> None:
    sealing.faults.partition("a", how="refused")
    ids = write(sealing.dsn, rows(5))
    sealing.start()
    assert sealing.told("nothing listens at")["exit"] == 1
    sealing.faults.heal()
    until(lambda: sealing.status()["lag"]["rows"] == 0, what="all is sealed")
    until(lambda: sealing.status()["exit"] == 0, what="the problem is over")
    assert chained_ids(sealing.store) == ids


def test_a_worker_beats_with_its_sites_figures_until_it_is_killed(sealing: Sealing) -> None:
    worker = sealing.start(WAYFARE_BEAT_SECONDS="0.1")
    sealing.wait_acting()

    def newest() -> Beat | None:
        return read_beat(sealing.store, PLAN, SITE)

    write(sealing.dsn, rows(3))
    until(lambda: (b := newest()) and b.sealed_seq == 3 and b.unsealed == 0, what="figures")
    sealing.faults.rule("a", Answer(507, "XMinioStorageFull"), methods="PUT", path="/journal/")
    write(sealing.dsn, rows(EACH))
    found = until(
        lambda: b if (b := newest()) and b.unsealed == EACH else None, what="what waits is told"
    )
    assert found.oldest_unsealed_at is not None
    assert (found.site, found.epoch, found.awake) == (SITE, 1, True)
    worker.kill()
    watch = watch_until_stale(newest, 1.0, sleep=time.sleep)
    assert (watch.age() or 0) >= 1.0


def test_nothing_is_written_into_the_store_of_another_plan(sealing: Sealing) -> None:
    claim(sealing.store, "wholesale")
    write(sealing.dsn, rows(3))
    sealing.start(WAYFARE_BEAT_SECONDS="0.1")
    found = sealing.told("belongs to plan 'wholesale', and this site is of plan")
    assert (found["problem"]["kind"], found["lag"]["rows"]) == ("ForeignStore", 3)
    assert [one.path for one in sealing.store.list("")] == [paths.MARKER]
    assert sealing.faults.seen("a", "PUT") == []


JUMPING = r"""
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
static long jump(void) {
    static unsigned looks;
    looks++;
    return (looks % 2 ? 1 : -1) * (long)(1 + looks % 7) * 86400 * 300;
}
int clock_gettime(clockid_t which, struct timespec *at) {
    int failed = syscall(SYS_clock_gettime, which, at);
    if (!failed && which == CLOCK_REALTIME) at->tv_sec += jump();
    return failed;
}
time_t time(time_t *at) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (at) *at = now.tv_sec;
    return now.tv_sec;
}
"""


@pytest.fixture(scope="session")
def jumping(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A library that, preloaded, makes the wall clock jump by years at every look."""
    need(shutil.which("gcc") is not None, "gcc")
    folder = tmp_path_factory.mktemp("clock")
    (folder / "clock.c").write_text(JUMPING)
    library = folder / "clock.so"
    subprocess.run(
        ["gcc", "-shared", "-fPIC", "-o", library, folder / "clock.c"], check=True, timeout=60
    )
    return str(library)


def test_a_worker_whose_wall_clock_jumps_seals_as_always(
    sealing: Sealing, jumping: str, tmp_path: Path
) -> None:
    # Files: requests to S3 are signed with the time, and refused when it is wrong.
    store = open_store(f"file://{tmp_path}/store")
    sealing.start(LD_PRELOAD=jumping, WAYFARE_OBJECT_STORE_URL=store.url)
    sealing.wait_acting(store)
    ids = []
    for _ in range(3):
        ids += write(sealing.dsn, rows(4))
        until(lambda: sealing.status()["lag"]["rows"] == 0, what="all is sealed")
    assert chained_ids(store) == ids
    assert verify(store, plan=PLAN).ok
    sealed_in = {found.header.sealed_at[:4] for found in segments(store)}
    assert sealed_in != {f"{now():%Y}"}, "the clock never jumped"


def segments(store: ObjectStore) -> list[Segment]:
    """The chain of the tests' site."""
    return [one for one in read(store, SITE, 1, plan=PLAN) if isinstance(one, Segment)]


def test_an_epoch_is_taken_with_the_right_wait_by_a_wall_clock_that_jumps(
    dsn: str, jumping: str, tmp_path: Path
) -> None:
    store = open_store(f"file://{tmp_path}/store")
    claim(store, PLAN)
    first = take(store, plan=PLAN, site=SITE, epoch=1, nonce="n", reason="", at=now()).lease
    put_acting(store, first, at=now())
    environment = {
        "LD_PRELOAD": jumping,
        "WAYFARE_OBJECT_STORE_URL": store.url,
        "WAYFARE_RECOVERY_PLAN": PLAN,
        "WAYFARE_POSTGRESQL_DSN": dsn,
        "WAYFARE_SITE": "west",
        "WAYFARE_LEASE_TTL_SECONDS": "1.5",
        "WAYFARE_HAND_OVER_SECONDS": "0.5",
    }
    began = boottime()
    done = subprocess.run(
        arguments("lease", "take", "--statement", "the power is off in east", "--yes"),
        env=clean_environment(environment),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert boottime() - began >= Terms(1.5, 0.001, 0.5).wait
    second = history(store, PLAN)[1]
    assert second.acting_since is not None
    assert abs((second.lease.at - now()).days) > 100, "the clock never jumped"
    assert Holder(store, plan=PLAN, site="west", epoch=2, ttl=30).check()
