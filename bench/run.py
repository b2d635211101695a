"""All benchmarks: each a ratio against its baseline in the same run.

python -m bench.run [--json build/bench.json] [--only NAME]
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.channels.run import measure as measure_channels
from bench.decide.run import measure
from bench.decide.workload import make
from bench.guards.run import measure as measure_guards
from bench.journal.run import measure as measure_journal
from bench.misbehaving.run import measure as measure_misbehaving


def decide(_scale: float) -> dict[str, Any]:
    """The decider against a loop over the slot's journeys."""
    sizes = {"journeys": 1300, "segments": 400, "slots": 10, "customers": 200_000}
    return measure(make(**sizes, requests=1000)) | sizes


def journal(scale: float) -> dict[str, Any]:
    """Ledger, journal and lease."""
    return measure_journal(scale)


def guards(scale: float) -> dict[str, Any]:
    """What stands around each call of a channel."""
    return measure_guards(scale)


def channels(scale: float) -> dict[str, Any]:
    """Sends of one worker: what each costs, how many leave, what neighbours suffer."""
    return measure_channels(scale)


def misbehaving(scale: float) -> dict[str, Any]:
    """What a misbehaving plugin costs decisions and other channels."""
    return measure_misbehaving(scale)


BENCHMARKS: dict[str, Callable[[float], dict[str, Any]]] = {
    "decide": decide,
    "journal": journal,
    "guards": guards,
    "channels": channels,
    "misbehaving": misbehaving,
}


def main() -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.run", description=__doc__)
    parser.add_argument("--json", type=Path, default=Path("build/bench.json"))
    parser.add_argument("--only", choices=sorted(BENCHMARKS), help="one benchmark")
    parser.add_argument("--scale", type=float, default=1.0, help="of the sizes; 1 by default")
    given = parser.parse_args()
    results = json.loads(given.json.read_text()) if given.only and given.json.exists() else {}
    for name, run in BENCHMARKS.items():
        if given.only in (None, name):
            print(f"{name} …", file=sys.stderr, flush=True)
            results[name] = run(given.scale)
            print(json.dumps({name: results[name]}))
    given.json.parent.mkdir(parents=True, exist_ok=True)
    given.json.write_text(json.dumps(results, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
