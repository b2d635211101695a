"""Random schedules of recovery runs and faults on the lab, each from a seed and nothing else.

    make chaos-lab SEED=1 RUNS=10       after `make demo`, on the lab that it left

Sends come due all the while. East acts before and after each schedule. What is asked of the end:
every send took effect once and none is missing, every stranded row has a decision, and each run
did what it was for.
"""

from __future__ import annotations

import argparse
import random
import sys
import threading
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from demo.cluster import ENGINE, NAMESPACE, SYSTEM, Cluster
from demo.keys import make_key
from demo.outside import Arrival
from demo.recovery import callers, story
from demo.steps import TOP, WAYFARE, StepFailed
from tests.e2e.sites import STATEMENT, Sites
from tests.servers.wait import until

RUN_SECONDS = 600.0
RETRIES = 8
STORIES = (
    ("failover", "failback"),
    ("failover", "failback"),
    ("switchover", "switchover"),
    ("drill",),
)
PODS = {
    "operator": (SYSTEM, "app.kubernetes.io/component=operator"),
    "worker": (NAMESPACE, f"wayfare.dev/engine={ENGINE},app.kubernetes.io/component=worker"),
    "task": (NAMESPACE, f"wayfare.dev/engine={ENGINE},wayfare.dev/recovery-step"),
}


@dataclass(frozen=True)
class Fault:
    """`after` seconds into a run: all pods of a kind are killed at once at a site, or the site is
    cut off for `seconds`."""

    after: float
    site: str
    what: str
    seconds: float = 0.0

    def __str__(self) -> str:
        for_ = f" for {self.seconds:.0f} s" if self.seconds else ""
        return f"+{self.after:.0f} s {self.site}: {self.what}{for_}"


@dataclass(frozen=True)
class Act:
    """One run at its target; `loss`: how the acting site goes before a failover."""

    kind: str
    target: str
    loss: str
    faults: tuple[Fault, ...]

    def __str__(self) -> str:
        words = [f"{self.kind} to {self.target}"]
        words += [f"the other site is {self.loss}"] if self.loss else []
        return ", ".join([*words, *map(str, self.faults)])


def schedule(seed: int) -> tuple[Act, ...]:
    """What happens under a seed."""
    dice = random.Random(f"wayfare lab {seed}")
    acts = []
    for number, kind in enumerate(dice.choice(STORIES)):
        target = "west" if number == 0 else "east"
        loss = dice.choice(("killed", "cut off")) if kind == "failover" else ""
        sites = [target] if loss else ["east", "west"]
        faults = tuple(_fault(dice, dice.choice(sites)) for _ in range(dice.choice((0, 1, 1, 2))))
        acts.append(Act(kind, target, loss, faults))
    return tuple(acts)


def _fault(dice: random.Random, site: str) -> Fault:
    after = dice.uniform(0.0, 30.0)
    what = dice.choice(("operator", "worker", "task", "cut"))
    if what == "cut":
        return Fault(after, site, what, dice.uniform(1.0, 6.0))
    return Fault(after, site, what)


def play(sites: Sites, seed: int) -> dict[str, Any]:
    """Play one schedule; figures. Raises AssertionError or StepFailed with what is wrong."""
    acts = schedule(seed)
    count = 600 * len(acts)
    since, keys = callers.plan_keyed_sends(sites.door, count)
    assert len(keys) == count
    callers.wait_sent(since, 5)
    figures: Counter[str] = Counter()
    for act in acts:
        ended = _act(sites, act, figures)
        if act.kind == "failback":
            stranded = sites.report(ended)["stranded"]
            assert stranded["unaccounted"] == 0, stranded
            figures["stranded"] += int(stranded["rows"])
    sites.wait_acts(sites.east)
    # Others of before may still come meanwhile.
    own = until(lambda: _all_of(sites, since, keys), seconds=180, every=5.0, what="all came")
    # The receiver drops what comes again under the same key; only what was under way may.
    repeats = [one.key for one in own if one.repeat]
    assert len(repeats) < 100 * len(acts), f"{len(repeats)} of {count} came again"
    figures["sends"] = count
    figures["repeats"] = len(repeats)
    return dict(figures)


def _all_of(sites: Sites, since: float, keys: set[str]) -> list[Arrival] | None:
    """What came of these sends, once each of them has."""
    own = [one for one in sites.arrivals(since) if one.key in keys]
    return own if {one.key for one in own} == keys else None


def _act(sites: Sites, act: Act, figures: Counter[str]) -> dict[str, Any]:
    target = sites.west if act.target == "west" else sites.east
    other = sites.other(target)
    with ExitStack() as stack:
        options = ["--reason", "a schedule"]
        if act.kind != "drill":
            options.append("--yes")
        if act.loss:
            at = datetime.now(UTC)
            if act.loss == "killed":
                at = story.kill(other)
                stack.callback(story.restore, other)
            else:
                at = stack.enter_context(sites.cut(other))
            options += ["--fault-at", f"{at:%Y-%m-%dT%H:%M:%S.%fZ}", "--statement", STATEMENT]
        run = story.start(target, act.kind, *options)
        over = threading.Event()
        faults = [
            threading.Thread(target=_make, args=(sites, fault, over, figures))
            for fault in act.faults
        ]
        for thread in faults:
            thread.start()
        try:
            return _see_through(target, run, figures)
        finally:
            over.set()
            for thread in faults:
                thread.join(60)


def _see_through(cluster: Cluster, run: str, figures: Counter[str]) -> dict[str, Any]:
    """As somebody who is on call does: try again what failed."""
    deadline, tries = time.monotonic() + RUN_SECONDS, 0
    while True:
        try:
            found = cluster.get("-n", NAMESPACE, "recoveryrun", run)
        except StepFailed:
            found = {}  # its API server is cut off, or starts
        status: dict[str, Any] = found.get("status") or {}
        state = status.get("state")
        if state == "Succeeded":
            return status
        if state in ("Abandoned", "Rejected") or tries > RETRIES:
            raise AssertionError(f"run {run} is {state}: {status.get('conditions')}")
        if time.monotonic() > deadline:
            raise AssertionError(f"run {run} is {state} at {status.get('step')}: {status}")
        if state in ("Failed", "WaitingForApproval") and not status.get("evidence"):
            tries += 1
            figures["retries"] += 1
            words = ("--reason", "a schedule", "--yes")
            cluster.run(*(WAYFARE, "recovery", "retry", run, "-n", NAMESPACE, *words), check=False)
            time.sleep(5)
        time.sleep(1)


def _make(sites: Sites, fault: Fault, over: threading.Event, figures: Counter[str]) -> None:
    """One fault, unless the run has ended before."""
    if over.wait(fault.after):
        return
    figures[fault.what] += 1
    site = sites.west if fault.site == "west" else sites.east
    if fault.what == "cut":
        with sites.cut(site):
            time.sleep(fault.seconds)
        return
    namespace, selector = PODS[fault.what]
    site.run(
        *("kubectl", "-n", namespace, "delete", "pods", "-l", selector),
        *("--force", "--grace-period=0", "--wait=false"),
        check=False,
    )


def main() -> int:
    """Run them; 1 when one failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="the first")
    parser.add_argument("--runs", type=int, default=10)
    given = parser.parse_args()
    sites = Sites.of_demo("", TOP / "build" / "chaos-lab.log")
    _, key = make_key(sites.east)
    sites = Sites.of_demo(key, TOP / "build" / "chaos-lab.log")
    for seed in range(given.seed, given.seed + given.runs):
        began = time.monotonic()
        told = "\n".join(f"    {act}" for act in schedule(seed))
        try:
            figures = play(sites, seed)
        except (AssertionError, StepFailed) as error:
            print(f"seed {seed} failed: {error}\n{told}", flush=True)
            print(f"run it again: make chaos-lab SEED={seed} RUNS=1", flush=True)
            return 1
        said = ", ".join(f"{number} {what}" for what, number in figures.items())
        print(f"seed {seed}: {time.monotonic() - began:.0f} s: {said}\n{told}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
