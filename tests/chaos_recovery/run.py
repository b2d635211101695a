"""`make chaos-recovery SEED=1 RUNS=300`: seeded schedules of recovery runs and faults, one after
the other, by real operators on real API servers.

A seed that fails is printed with its schedule and the command that runs it again; its logs stay in
build/chaos-recovery/<seed>/.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

from tests.chaos.play import Player as AtRest
from tests.chaos.run import ROOT, ScheduleFailed
from tests.chaos_recovery.invariants import check
from tests.chaos_recovery.schedule import Act, schedule
from tests.chaos_recovery.stage import Stage, staged


def run_schedule(stage: Stage, seed: int, folder: Path) -> dict[str, int]:
    """Play one seed and check everything; returns figures. Raises ScheduleFailed."""
    return run_acts(stage, seed, schedule(seed), folder)


def run_acts(stage: Stage, seed: int, acts: tuple[Act, ...], folder: Path) -> dict[str, int]:
    """Play these acts and check everything."""
    try:
        with stage.player(seed, folder) as player:
            player.play(acts)
            player.until_acting()
            AtRest(player.run, acting=player.acting).rest()
            return check(player)
    except Exception as error:
        told = "\n".join(f"  {act}" for act in acts)
        raise ScheduleFailed(
            f"seed {seed}: {type(error).__name__}: {error}\n"
            f"its schedule:\n{told}\n"
            f"run it again: make chaos-recovery SEED={seed} RUNS=1    logs: {folder}"
        ) from error


def main() -> int:
    """Run them; 1 when one failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="the first")
    parser.add_argument("--runs", type=int, default=300)
    parser.add_argument("--minutes", type=float, help="begin no more seeds after so long")
    parser.add_argument("--keep-going", action="store_true", help="go on after a seed that fails")
    given = parser.parse_args()
    base = ROOT / "build" / "chaos-recovery"
    passed, failed = 0, []
    totals: Counter[str] = Counter()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="wayfare-api-") as apis, staged(Path(apis)) as stage:
        for seed in range(given.seed, given.seed + given.runs):
            if given.minutes and time.monotonic() - began > given.minutes * 60:
                break
            folder = base / str(seed)
            shutil.rmtree(folder, ignore_errors=True)
            started = time.monotonic()
            try:
                figures = run_schedule(stage, seed, folder)
            except ScheduleFailed as error:
                failed.append(seed)
                print(error, flush=True)
                folder.mkdir(parents=True, exist_ok=True)
                (folder / "error.txt").write_text(traceback.format_exc())
                if not given.keep_going:
                    break
            else:
                passed += 1
                totals.update(figures)
                shutil.rmtree(folder, ignore_errors=True)
                said = ", ".join(f"{n} {what}" for what, n in figures.items())
                print(f"seed {seed}: {time.monotonic() - started:.1f} s: {said}", flush=True)
    said = ", ".join(f"{n} {what}" for what, n in totals.items())
    print(f"{passed} passed in {time.monotonic() - began:.0f} s: {said}")
    if failed:
        print(f"failed: {' '.join(map(str, failed))}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
