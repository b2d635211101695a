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

from bench.decide.run import measure
from bench.decide.workload import make


def decide() -> dict[str, Any]:
    """The decider against a loop over the slot's journeys."""
    sizes = {"journeys": 1300, "segments": 400, "slots": 10, "customers": 200_000}
    return measure(make(**sizes, requests=1000)) | sizes


BENCHMARKS: dict[str, Callable[[], dict[str, Any]]] = {"decide": decide}


def main() -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.run", description=__doc__)
    parser.add_argument("--json", type=Path, default=Path("build/bench.json"))
    parser.add_argument("--only", choices=sorted(BENCHMARKS), help="one benchmark")
    given = parser.parse_args()
    results = {}
    for name, run in BENCHMARKS.items():
        if given.only in (None, name):
            print(f"{name} …", file=sys.stderr, flush=True)
            results[name] = run()
            print(json.dumps({name: results[name]}))
    given.json.parent.mkdir(parents=True, exist_ok=True)
    given.json.write_text(json.dumps(results, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
