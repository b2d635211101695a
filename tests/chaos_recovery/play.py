"""Playing a schedule: two sites with their operators, and somebody who looks after the runs."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from tests.chaos_recovery.pods import Pods
from tests.chaos_recovery.schedule import JOB_OF, PODS, Act, Fault
from tests.harness.sites import SITES, Run
from tests.operator.recovery.place import GATES, STATEMENT, Place
from tests.servers.emptying import empty
from tests.servers.operating import Operating
from tests.servers.wait import until
from wayfare_engine.runs import procedure

RUN_SECONDS = 400.0
"""Patience, not a promise: a busy machine takes its time."""
HANG_SECONDS = 4
DECIDE_AGAIN_SECONDS = 15.0
DECISIONS = 10
"""How often somebody may decide about one run: who asks again and again is not getting on."""
DRILL_GATES = ["ChainUnbroken", "OutwardSends"]
"""The others ask the engine of a drill, and no pod of it runs here."""

DRILL_SECRET = {"postgresql-password": "x", "api-key": f"wf_{'0' * 16}_{'a' * 43}"}


@dataclass
class Watched:
    """One run that goes on. `decided`: when a decision was made, by step and attempt."""

    name: str
    act: Act
    abandon: bool
    faults: list[Fault]
    hangs: set[str] = field(default_factory=set)
    decided: dict[tuple[str, int], float] = field(default_factory=dict)
    decisions: int = 0


class Player:
    """`places`: a place for each site, whose Jobs run; `operators`: started and ended here."""

    def __init__(self, run: Run, places: dict[str, Place], operators: dict[str, Operating]) -> None:
        self.run, self.places, self.operators = run, places, operators
        self.pods = Pods(run)
        self.acting = "east"
        # Every other seed has a Job for each step, as where pods are taken away between two.
        self.alone = run.seed % 2 == 0
        self.moves = 0
        self.made: dict[str, tuple[Act, str]] = {}
        self.happened: Counter[str] = Counter()
        self._held: set[str] = set()
        self._crashes: dict[str, list[str]] = {site: [] for site in SITES}
        self._limits: dict[str, dict[str, str]] = {site: {} for site in SITES}
        self._back: dict[str, float] = dict.fromkeys(SITES, 0.0)
        self._later: list[tuple[float, Callable[[], None]]] = []
        for place in places.values():
            place.jobs.held = lambda job: job.rpartition("-")[0] in self._held
            place.jobs.alone = self.alone

    def play(self, acts: tuple[Act, ...]) -> None:
        """All of them, each after the one before it."""
        taker = self.run.take_over("east")
        until(lambda: not taker.alive, seconds=60, what="east may act")
        assert taker.exit_code == 0, taker.log.read_text()
        for site in SITES:
            self._start(site)
        self._until(
            lambda: all(
                place.cluster.condition("engines", "bank", "Ready").get("status") == "True"
                for place in self.places.values()
            ),
            what="the engines are ready",
        )
        for number, act in enumerate(acts, 1):
            self._act(f"{act.kind.lower()}-{number}", act)

    def until_acting(self) -> None:
        """Until the acting site writes under the newest epoch. Operators are not needed then."""

        def at_work() -> bool:
            found = [self.run.processes.get((self.acting, name)) for name in PODS]
            return all(each and each.settings.epoch == self.run.epoch for each in found)

        self._until(at_work, what=f"{self.acting} is at work")
        for operator in self.operators.values():
            operator.kill()

    def _act(self, name: str, act: Act) -> None:
        self._lose(act)
        if act.abandon:
            ended = self._see_through(Watched(f"{name}-x", act, True, list(act.faults)))
        if not act.abandon or ended == "Abandoned":
            ended = self._see_through(Watched(name, act, False, list(act.faults)))
        assert ended == "Succeeded", f"{name} is {ended}"
        if act.kind != "Drill":
            self.acting, self.moves = act.target, self.moves + 1
        self._restore(act)

    def _see_through(self, watched: Watched) -> str:
        """Make the run, and see to it until it has ended; its state."""
        act, name = watched.act, watched.name
        place = self.places[act.target]
        gates = DRILL_GATES if act.kind == "Drill" else GATES
        for each in self.places.values():
            each.make_engine(checks={"gates": gates})
        if act.kind == "Drill":
            empty(self.run.sites.spare.dsn)
            place.jobs.secrets = {**place.jobs.secrets, f"{name}-drill": DRILL_SECRET}
        if watched.abandon:
            self._held.add(f"{name}-{kebab(act.abandon)}")
        for fault in [each for each in watched.faults if not each.step]:
            watched.faults.remove(fault)
            getattr(self, fault.do)(watched, *fault.arguments)
        statement = {"statement": {"text": STATEMENT}} if act.kind == "Failover" else {}
        place.run(name, act.kind, **statement)

        def over() -> str | None:
            status = place.status(name)
            state = str(status.get("state"))
            if state in ("Succeeded", "Abandoned", "Rejected"):
                return state
            self._faults_due(watched, status)
            self._decide(watched, status)
            return None

        try:
            state: str = self._until(over, seconds=RUN_SECONDS, what=f"{name} ends")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{json.dumps(place.status(name))}") from None
        self.made[name] = (act, state)
        self._calm()
        return state

    def _until(self, fact: Callable[[], Any], *, what: str, seconds: float = 120) -> Any:
        def looked() -> Any:
            self._supervise()
            return fact()

        return until(looked, seconds=seconds, what=what, every=0.2)

    def _supervise(self) -> None:
        """What goes on beside the runs: pods, operators that are started again, ends of faults."""
        self.pods.look()
        due = [later for later in self._later if later[0] <= time.monotonic()]
        self._later = [later for later in self._later if later not in due]
        for _, do in due:
            do()
        for site, operator in self.operators.items():
            if not operator.alive and time.monotonic() >= self._back[site]:
                self.happened["operator deaths"] += 1
                self._start(site)

    def _start(self, site: str) -> None:
        crash = self._crashes[site].pop(0) if self._crashes[site] else None
        self.operators[site].start(crash, **self._limits[site])

    def _faults_due(self, watched: Watched, status: dict[str, Any]) -> None:
        steps = {each["name"]: each for each in status.get("steps") or ()}
        begun = {name for name, each in steps.items() if each["state"] != "Pending"}
        for fault in [each for each in watched.faults if each.step in begun]:
            watched.faults.remove(fault)
            do = partial(getattr(self, fault.do), watched, *fault.arguments)
            self._later.append((time.monotonic() + fault.delay, do))
        target = watched.act.target
        for step in [each for each in watched.hangs if each in begun]:
            if steps[step]["state"] == "Running" and not self._limits[target]:
                self._limits[target] = {"WAYFARE_RECOVERY_STEP_SECONDS": str(HANG_SECONDS)}
                self.operators[target].kill()
            elif steps[step]["state"] not in ("Running", "Pending"):
                watched.hangs.discard(step)
                self._held.discard(f"{watched.name}-{kebab(JOB_OF.get(step, step))}")
                self._limits[target] = {}
                self.operators[target].kill()
                self.happened["hangs"] += 1

    def _decide(self, watched: Watched, status: dict[str, Any]) -> None:
        """As somebody who is on call does: try again what failed."""
        for step in status.get("steps") or ():
            name, attempt, state = step["name"], max(step.get("attempt") or 1, 1), step["state"]
            if watched.abandon and name == watched.act.abandon and state == "Running":
                decision = "Abandon"
            elif state == "Failed" and name not in watched.hangs:
                decision = "Retry"
            elif state == "WaitingForApproval":
                # No gate may stay barred: nothing that was drawn here breaks what it guards.
                decision = "Retry"
            else:
                continue
            last = watched.decided.get((name, attempt))
            if last is not None and time.monotonic() - last < DECIDE_AGAIN_SECONDS:
                continue
            watched.decided[name, attempt] = time.monotonic()
            watched.decisions += 1
            assert watched.decisions <= DECISIONS, f"{name} does not get on: {step}"
            self.happened[decision] += 1
            place = self.places[watched.act.target]
            said = f"{watched.name}-d{watched.decisions}"
            place.approve(said, watched.name, name, decision, attempt=attempt)

    # -- faults ---------------------------------------------------------------------------------

    def crash_operator(self, watched: Watched, site: str, point: str) -> None:
        """The next operator of the site dies at a point, the present one now."""
        self._crashes[site].append(point)
        if site not in self.pods.gone:
            self.operators[site].kill()

    def kill_operator(self, watched: Watched, site: str, away: float) -> None:
        self.operators[site].kill()
        self._back[site] = time.monotonic() + away

    def crash_job(self, watched: Watched, step: str, point: str) -> None:
        step, carried = self._pod_of(watched.act, step)
        name = f"{watched.name}-{kebab(JOB_OF.get(step, step))}-1"
        for place in self.places.values():
            place.jobs.crashes[name] = f"{point}:{carried + 1}"

    def _pod_of(self, act: Act, step: str) -> tuple[str, int]:
        """The step whose pod makes this one, and as which after its own."""
        carried, table = 0, procedure(act.kind)
        while not self.alone and (before := table.before(step)) is not None:
            step, carried = before, carried + 1
        return step, carried

    def hang_job(self, watched: Watched, step: str) -> None:
        """No pod of the step starts, until the step was given up."""
        if not watched.abandon:
            step, _ = self._pod_of(watched.act, step)
            watched.hangs.add(step)
            self._held.add(f"{watched.name}-{kebab(JOB_OF.get(step, step))}")

    def cut(self, watched: Watched, where: str, how: str, seconds: float) -> None:
        """The store is away for a site, or for both."""
        self.happened["cuts"] += 1
        for site in SITES if where == "*" else (where,):
            self.run.faults.partition(site, how=how)  # type: ignore[arg-type]
            heal = partial(self.run.faults.heal, site)
            self._later.append((time.monotonic() + seconds, heal))

    def crash_postgresql(self, watched: Watched, site: str, seconds: float) -> None:
        self.happened["database deaths"] += 1
        server = self.run.sites.postgresql[site]
        server.kill()
        self._later.append((time.monotonic() + seconds, server.start_again))

    def kill_pod(self, watched: Watched, site: str, name: str) -> None:
        process = self.run.processes.get((site, name))
        if process is not None:
            process.kill()

    # -- before and after a run -----------------------------------------------------------------

    def _lose(self, act: Act) -> None:
        if not act.loss:
            return
        self.pods.gone.add(act.other)
        if act.loss == "lost":
            self.operators[act.other].kill()
            self._back[act.other] = float("inf")
            self.run.kill_site(act.other)
        else:
            self.run.faults.partition(act.other, how="silent")

    def _restore(self, act: Act) -> None:
        """What was lost is back, with what is on its disk."""
        if act.loss:
            self.run.restore_servers(act.other)
            self.run.faults.heal(act.other)
            self.pods.gone.discard(act.other)
            self._back[act.other] = 0.0

    def _calm(self) -> None:
        """No fault goes on, or comes."""
        self._later.clear()
        self._held.clear()
        for site in SITES:
            self._crashes[site].clear()
            if site in self.pods.gone:
                continue
            self._back[site] = 0.0
            self.run.faults.heal(site)
            self.run.sites.postgresql[site].start_again()
            if self._limits[site]:
                self._limits[site] = {}
                self.operators[site].kill()


def kebab(step: str) -> str:
    """As a Job is called after its step."""
    return re.sub(r"(?<!^)(?=[A-Z])", "-", step).lower()
