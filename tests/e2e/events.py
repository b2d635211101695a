"""Events that senders report all the while a site is lost, and what became of each of them.

A sender gives each event an id of its own, and reports again what it does not know to be taken:
so each must count once in the end, whatever the sites went through.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from demo.cluster import ENGINE, NAMESPACE, Cluster
from demo.recovery.callers import Door
from tests.servers.wait import until

_COMMITTED_EVERY, _JOURNALED_EVERY = 0.2, 1.0
"""Seconds from one report to the next."""
_BATCH = 500
_COUNT = """
import sys, psycopg
from wayfare_engine.settings import load_settings
with psycopg.connect(load_settings().direct_dsn) as connection:
    found = connection.execute(
        "SELECT coalesce(sum(events), 0)::int FROM wayfare.event_windows WHERE name = %s",
        (sys.argv[1],),
    ).fetchone()
    print(found[0])
"""


@dataclass
class Reported:
    """The senders' own ids, by how they were acknowledged; `doubtful`: nobody said anything."""

    name: str
    committed: set[str] = field(default_factory=set)
    journaled: set[str] = field(default_factory=set)
    doubtful: set[str] = field(default_factory=set)

    @property
    def all(self) -> set[str]:
        """Whatever was reported."""
        return self.committed | self.journaled | self.doubtful

    def event(self, client_id: str) -> dict[str, Any]:
        """One of them, for the API."""
        return {"customer": client_id, "name": self.name, "client_id": client_id}


def report(door: Door, count: int) -> Reported:
    """So many at once, each committed."""
    reported = Reported(f"at-once-{secrets.token_hex(4)}")
    reported.committed.update(f"{reported.name}-{number}" for number in range(count))
    assert report_again(door, reported) == set()
    return reported


@contextmanager
def reporting(door: Door) -> Iterator[Reported]:
    """Two senders, for the time of the block: one is content with a commit, the other one asks for
    the object store."""
    reported, ending = Reported(f"under-fire-{secrets.token_hex(4)}"), threading.Event()
    threads = [
        threading.Thread(target=_report, args=(door, reported, ending, ack, every))
        for ack, every in (("committed", _COMMITTED_EVERY), ("journaled", _JOURNALED_EVERY))
    ]
    for thread in threads:
        thread.start()
    try:
        yield reported
    finally:
        ending.set()
        for thread in threads:
            thread.join()


def _report(
    door: Door, reported: Reported, ending: threading.Event, ack: str, every: float
) -> None:
    number, due = 0, time.monotonic()
    with httpx.Client(timeout=3) as client:
        while not ending.wait(max(0.0, due - time.monotonic())):
            due, number = max(time.monotonic(), due + every), number + 1
            client_id = f"{reported.name}-{ack}-{number}"
            try:
                said = _post(client, door, [reported.event(client_id)], ack=ack)["ack"]
            except httpx.HTTPError:
                said = "doubtful"
            getattr(reported, said).add(client_id)


def _post(
    client: httpx.Client, door: Door, events: list[dict[str, Any]], *, ack: str
) -> dict[str, Any]:
    answer = client.post(
        f"{door.url}/v1/events",
        params={"ack": ack, "wait": 2},
        json=events,
        headers={"Authorization": f"Bearer {door.key}"},
    )
    answer.raise_for_status()
    return dict(answer.json())


def report_again(door: Door, reported: Reported) -> set[str]:
    """All of them once more; those that were known already."""
    ids = sorted(reported.all)
    known: set[str] = set()
    with httpx.Client(timeout=30) as client:
        for first in range(0, len(ids), _BATCH):
            some = ids[first : first + _BATCH]
            told = _post(client, door, [reported.event(each) for each in some], ack="committed")
            known |= {
                client_id
                for client_id, one in zip(some, told["events"], strict=True)
                if one["repeat"]
            }
    return known


def wait_counted(site: Cluster, reported: Reported) -> None:
    """Until each of them counts once in a site's ledger."""
    wanted = len(reported.all)
    until(
        lambda: _counted(site, reported) == wanted,
        seconds=60,
        every=1.0,
        what=f"each of {wanted} events counts once at {site.site}",
    )


def _counted(site: Cluster, reported: Reported) -> int:
    done = site.run(
        *("kubectl", "-n", NAMESPACE, "exec", f"deploy/{ENGINE}-worker", "-c", "worker", "--"),
        *("python3", "-c", _COUNT, reported.name),
    )
    return int(done.stdout)
