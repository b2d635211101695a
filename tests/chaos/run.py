"""`make chaos SEED=1 RUNS=300`: seeded fault schedules, one after the other.
`make soak MINUTES=60`: ever new seeds, for so long.

A seed that fails is printed with its schedule and the command that runs it again; the run's logs
stay in build/chaos/<seed>/.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
import traceback
from collections import Counter
from pathlib import Path

from tests.chaos.failback import both_sites_have_the_same, every_row_is_accounted_for, fail_back
from tests.chaos.invariants import INVARIANTS, look
from tests.chaos.play import Player
from tests.chaos.schedule import Step, schedule
from tests.harness.site import Broken
from tests.harness.sites import TwoSites, two_sites

ROOT = Path(__file__).resolve().parents[2]


class ScheduleFailed(AssertionError):
    """A schedule after which something is not as promised; says how to run it again."""


def run_schedule(sites: TwoSites, seed: int, folder: Path) -> dict[str, int]:
    """Play one seed and check everything; returns figures. Raises ScheduleFailed."""
    return run_steps(sites, seed, schedule(seed), folder)


def run_steps(
    sites: TwoSites, seed: int, steps: list[Step], folder: Path, *, broken: Broken = ""
) -> dict[str, int]:
    """Play these steps, with a safeguard taken out if that is wanted, and check everything."""
    with sites.run(folder, seed=seed, broken=broken) as run:
        player = Player(run)
        try:
            player.play(steps)
            player.rest()
            decided: dict[str, str] = {}
            for fail in (False, True):
                if fail:
                    decided = fail_back(player)
                happened = look(run, player.acting, player.wiped)
                for invariant in INVARIANTS:
                    invariant(happened)
            every_row_is_accounted_for(happened, decided)
            both_sites_have_the_same(happened)
        except Exception as error:
            told = "\n".join(f"  {step}" for step in steps)
            raise ScheduleFailed(
                f"seed {seed}: {type(error).__name__}: {error}\n"
                f"its schedule:\n{told}\n"
                f"run it again: make chaos SEED={seed} RUNS=1    logs: {folder}"
            ) from error
        counted = Counter(r.what for rs in happened.records.values() for r in rs)
        return {
            "epochs": run.epoch,
            "rows": sum(len(rows) for rows in happened.journal.values()),
            "hand-overs": counted["start"],
            "effects": counted["effect"],
            "repeats": counted["repeat"],
            "late": counted["late"],
            "stranded": len(decided),
            "put back": sum(one == "applied" for one in decided.values()),
        }


def main() -> int:
    """Run them; 1 when one failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, help="the first; 1, or with --minutes one by the time")
    parser.add_argument("--runs", type=int, default=300)
    parser.add_argument("--minutes", type=float, help="go on for so long instead of --runs seeds")
    parser.add_argument("--keep-going", action="store_true", help="go on after a seed that fails")
    given = parser.parse_args()
    base = ROOT / "build" / "chaos"
    failed: list[int] = []
    totals: Counter[str] = Counter()
    began = time.monotonic()
    first, runs = given.seed or 1, given.runs
    if given.minutes:
        first, runs = given.seed or int(time.time()), sys.maxsize
    with two_sites() as sites:
        for seed in range(first, first + runs):
            if given.minutes and time.monotonic() - began > given.minutes * 60:
                break
            folder = base / str(seed)
            shutil.rmtree(folder, ignore_errors=True)
            started = time.monotonic()
            try:
                figures = run_schedule(sites, seed, folder)
            except ScheduleFailed as error:
                failed.append(seed)
                print(error, flush=True)
                (folder / "error.txt").write_text(traceback.format_exc())
                if not given.keep_going:
                    break
            else:
                totals.update(figures)
                shutil.rmtree(folder, ignore_errors=True)
                said = ", ".join(f"{n} {what}" for what, n in figures.items())
                print(f"seed {seed}: {time.monotonic() - started:.1f} s: {said}", flush=True)
    said = ", ".join(f"{n} {what}" for what, n in totals.items())
    print(f"{time.monotonic() - began:.0f} s in all: {said}")
    if failed:
        print(f"failed: {' '.join(map(str, failed))}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
