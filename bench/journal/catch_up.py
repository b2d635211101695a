"""Catch-up: a journal into the projections of an empty database, and from a snapshot.

`catch_up_rows_s`: rows a second from genesis. `catch_up_rss_mb`: the process's peak, in MiB.
`snapshot_speedup`: the time from genesis over the time of the newest snapshot and the 1 % of rows
after it, both into an empty database.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.journal.mixture import blocks
from wayfare_engine.journal import segment
from wayfare_engine.objectstore import ObjectStore, open_store, paths
from wayfare_engine.objectstore.marker import claim

ROWS = 5_000_000
#: A busy site's segment: 200 ms at 25,000 rows a second.
SEGMENT = 5_000
CUSTOMERS = 1_000_000
PLAN = "bench"
CHAIN = ("east", 1)


def measure(scale: float = 1.0) -> dict[str, Any]:
    """At scale 1.0 five million rows; the journal's making is not counted."""
    from tests.servers.postgresql import running_postgresql

    count = max(20_000, int(ROWS * scale))
    with tempfile.TemporaryDirectory(prefix="wayfare-bench-") as folder:
        store = open_store(f"file://{folder}/store")
        claim(store, PLAN)
        customers = max(1000, int(CUSTOMERS * scale))
        objects, size = make(store, count, customers)
        with running_postgresql() as server:
            dsn = server.database()
            genesis = _child(dsn, store.url, upto=count - count // 100)
            taken = _child(dsn, store.url, do="snapshot")
            dsn = server.database()
            restored = _child(dsn, store.url)
            dsn = server.database()
            whole = _child(dsn, store.url, do="no-snapshot")
    return {
        "catch_up_rows_s": round(whole["rows"] / whole["seconds"]),
        "catch_up_rss_mb": round(max(whole["rss_mb"], genesis["rss_mb"], restored["rss_mb"])),
        "snapshot_speedup": round(whole["seconds"] / restored["seconds"], 1),
        "catch_up": {
            "rows": count,
            "segments": objects,
            "bytes_a_row": round(size / count, 1),
            "seconds": round(whole["seconds"], 1),
            "snapshot_taken_seconds": round(taken["seconds"], 1),
            "snapshot_rss_mb": round(taken["rss_mb"]),
            "restore_and_tail_seconds": round(restored["seconds"], 1),
            "tail_rows": restored["rows"],
        },
    }


def make(store: ObjectStore, count: int, customers: int) -> tuple[int, int]:
    """Put a chain of `count` rows; returns its number of objects and of bytes."""
    previous, first, objects, size = "", 1, 0, 0
    for block in blocks(count, customers=customers):
        for start in range(0, block.num_rows, SEGMENT):
            rows = block.slice(start, SEGMENT)
            data = segment.encode(
                rows,
                plan=PLAN,
                site=CHAIN[0],
                epoch=CHAIN[1],
                first=first,
                previous=previous,
                sealed_at="2026-11-23T08:00:00+00:00",
            )
            store.put(paths.segment(*CHAIN, first), data)
            previous = hashlib.sha256(data).hexdigest()
            first += rows.num_rows
            objects, size = objects + 1, size + len(data)
    return objects, size


def _child(dsn: str, url: str, *, do: str = "catch-up", upto: int = 0) -> dict[str, float]:
    """In a process of its own, so that its peak of memory is its own."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.journal.catch_up", do, dsn, url, str(upto)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    answer: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return answer


def _main(do: str, dsn: str, url: str, upto: int) -> None:
    from wayfare_engine.clock import now
    from wayfare_engine.journal.catch_up import catch_up
    from wayfare_engine.journal.snapshot import take

    store = open_store(url)
    began = time.monotonic()
    rows = 0
    if do == "snapshot":
        take(dsn, store, plan=PLAN, snapshot="bench", clock=now)
    else:
        report = catch_up(
            dsn,
            store,
            plan=PLAN,
            upto={CHAIN: upto} if upto else None,
            from_snapshot=do != "no-snapshot",
        )
        rows = report.total
    seconds = time.monotonic() - began
    print(json.dumps({"seconds": seconds, "rows": rows, "rss_mb": _peak_mb()}))


def _peak_mb() -> float:
    """Of this process since it was started as such, in MiB. (getrusage also counts what the process
    that forked it had.)"""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("no VmHWM in /proc/self/status")


if __name__ == "__main__":
    _main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
