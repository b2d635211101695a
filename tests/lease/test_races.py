"""Sixteen processes want the same epoch, again and again: one gets it, and the others know who."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lease.processes import Raced, race
from tests.servers.forking import context
from tests.servers.objects import ObjectServer
from wayfare_engine.lease import history
from wayfare_engine.objectstore import open_store

PROCESSES = 16


def raced(url: str, options: dict[str, str], rounds: int) -> list[Raced]:
    """Let them race; what each of them saw."""
    start, results = context.Barrier(PROCESSES), context.Queue()
    processes = [
        context.Process(target=race, args=(start, results, f"site-{n}", url, options, rounds))
        for n in range(PROCESSES)
    ]
    for process in processes:
        process.start()
    try:
        found = [results.get(timeout=180) for _ in processes]
    finally:
        for process in processes:
            process.join(10)
            process.kill()
    return found


@pytest.mark.parametrize(
    ("kind", "rounds"),
    [("file", 1000), ("s3", 5), pytest.param("s3", 20, marks=pytest.mark.more)],
)
def test_of_sixteen_processes_one_gets_each_epoch(
    kind: str, rounds: int, tmp_path: Path, objects: ObjectServer
) -> None:
    url = f"file://{tmp_path}" if kind == "file" else objects.url()
    options = {} if kind == "file" else objects.options
    found = raced(url, options, rounds)
    winners = {epoch: one.site for one in found for epoch in one.created}
    assert sum(len(one.created) for one in found) == len(winners) == rounds, "two winners"
    for one in found:
        assert one.told == {e: site for e, site in winners.items() if site != one.site}
    store = open_store(url, options=options)
    assert {h.lease.epoch: h.lease.site for h in history(store, "retail")} == winners
    # Else nobody was ever at it at the same time as another.
    assert sum(one.late for one in found) > rounds / 10
