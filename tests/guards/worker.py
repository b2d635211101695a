"""Worker processes for tests: each calls a channel through a shared breaker until it is the end.

The channel fails while the file `down` exists. A probe holds the file `probing`, which must not be
there before: two at a time write a line to `overlaps`. Where the file `die` exists, the worker that
gets a probe writes its number and process id to `holder` and hangs. What the worker sees goes to
`<number>.state`.

python -m tests.guards.worker FOLDER HOW-MANY URL
"""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path

from wayfare_engine.guards import BreakerLimits, Permit, Sharing, bounded_client

LIMITS = BreakerLimits(
    window=5.0,
    minimum_calls=10,
    open_for=0.3,
    longest_open=0.6,
    trial_calls=3,
    probe_lease=2.0,
)
THREADS = 4


def main() -> None:
    """Fork the workers once everything is imported, and stay until it is the end."""
    folder, url, parent = Path(sys.argv[1]), sys.argv[3], os.getppid()
    for number in range(int(sys.argv[2])):
        if os.fork() == 0:
            work(folder, str(number), url)
            os._exit(0)
    while not (folder / "end").exists() and os.getppid() == parent:
        time.sleep(0.05)


def work(folder: Path, number: str, url: str) -> None:
    sharing = Sharing(bounded_client(url), clock=time.monotonic, every=0.05)
    changes: list[str] = []
    breaker = sharing.breaker("sms", LIMITS, report=lambda c: changes.append(c.after.value))
    sharing.start()

    def call() -> None:
        while not (folder / "end").exists():
            permit = breaker.allow()
            if isinstance(permit, Permit):
                if permit.probe and breaker.shared:
                    probe(permit)
                if (folder / "down").exists():
                    breaker.failed(permit)
                else:
                    breaker.succeeded(permit, 0.0)
            time.sleep(0.005)

    def probe(permit: Permit) -> None:
        if (folder / "die").exists():
            (folder / "holder").write_text(f"{number} {os.getpid()}")
            threading.Event().wait()
        try:
            os.close(os.open(folder / "probing", os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            append("overlaps", number)
            return
        time.sleep(0.01)
        append("probes", number)
        (folder / "probing").unlink()

    def append(name: str, line: str) -> None:
        with (folder / name).open("a") as file:
            file.write(line + "\n")

    threads = [threading.Thread(target=call, daemon=True) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    parent = os.getppid()
    while not (folder / "end").exists() and os.getppid() == parent:
        kind = "shared" if breaker.shared else "alone"
        passing = folder / f"{number}.part"
        passing.write_text(f"{kind} {breaker.state.value} {' '.join(changes)}")
        passing.rename(folder / f"{number}.state")
        time.sleep(0.02)


if __name__ == "__main__":
    main()
