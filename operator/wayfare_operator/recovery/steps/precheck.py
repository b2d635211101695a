"""Precheck: may this run go on at all? Grounds first, which nobody can approve away; then checks.

Grounds are what makes the run the right one: which site acts, and whether it lives. A Failover
while the acting site is healthy, or while nothing is known of it, needs a person's statement; a
Switchover whose other site is not there stays one, and fails.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from wayfare_engine.objectstore import marker
from wayfare_engine.resources import CheckLevel, RecoveryPlan, RunKind, Verdict, parse_duration
from wayfare_engine.resources.phases import may_begin, why_not
from wayfare_engine.runs import Beacon, By, CheckResult, authority, beacons, procedure
from wayfare_engine.runs.authority import Authority, SeenBeat, Watch
from wayfare_operator.kube.compare import quantity
from wayfare_operator.recovery import sleep
from wayfare_operator.recovery.run_phase import phase_before
from wayfare_operator.recovery.steps.asking import NO_KEY
from wayfare_operator.recovery.steps.contract import Done, Failed, Going, Progress, StepContext
from wayfare_operator.recovery.stores import call
from wayfare_operator.recovery.workloads import fought_over

T = TypeVar("T")

OWN_BEACON_SECONDS = 15.0
"""For how long an operator that just began is waited for to say what its site has."""

STALE_SECONDS = 15.0
"""A site that says nothing new for this long, or for the lease's TTL if that is longer, is not
known to be healthy: beacons and beats come every five seconds."""

_WHOLE_SECOND = timedelta(seconds=1)
"""An object's time of creation is told so."""


@dataclass(frozen=True)
class Grounds:
    """What the store says of the sites. `age`: seconds for which the other site has said nothing
    new, on our own clock; None when it never said anything. `came`: whether what it said last was
    seen to come, or was there when we began to look. `stale`: from which age on it is silent."""

    held: Authority
    mine: Beacon | None
    theirs: Beacon | None
    beat: SeenBeat | None
    age: float | None
    came: bool
    stale: float

    @property
    def healthy(self) -> bool:
        """Whether the other site is known to live."""
        return self.came and self.age is not None and self.age < self.stale


async def drive(step: StepContext) -> Progress:
    """Look, until it is known whether the other site lives."""
    here = {site.name for site in step.plan.spec.sites}
    if step.site not in here:
        return Failed(
            f"this site is called {step.site}, and the plan has sites {' and '.join(sorted(here))}"
        )
    await call(marker.check, step.store, step.run.plan)
    asks = any(each.by is By.OTHER_SITE for each in procedure(step.kind).steps)
    if asks and step.world.recovery.keys is None:
        return Failed(NO_KEY.format(step.other))
    grounds = await _look(step)
    figures = _figures(step, grounds)
    refused = why_no_grounds(step.kind, step.site, step.other, grounds, stated(step))
    if refused is not None:
        if _not_known_yet(step, grounds):
            return Going(f"watching for {grounds.stale:.0f} s whether {step.other} says anything")
        return Failed(refused, figures=figures)
    out_of_phase = await _out_of_phase(step)
    if out_of_phase is not None:
        return Failed(out_of_phase, figures=figures)
    if grounds.mine is None and _looked(step) < OWN_BEACON_SECONDS:
        return Going("this site has not said yet what it has")
    checks = (*_checks(step, grounds), *await _left_alone(step))
    bars = [each.message for each in checks if each.gate and each.verdict is not Verdict.PASSED]
    said = "; ".join(bars) or _said(step, grounds)
    return Done(said, figures=figures, checks=checks)


def stale_after(plan: RecoveryPlan) -> float:
    """Seconds without a word after which a site of this plan is silent."""
    return max(STALE_SECONDS, parse_duration(plan.spec.lease.ttl).total_seconds())


def stated(step: StepContext) -> bool:
    """Whether a person vouched that the acting site is off or cut off."""
    return bool(step.run.statement)


async def _look(step: StepContext) -> Grounds:
    """Read what the sites say, and note since when that is the newest."""
    store, plan = step.store, step.run.plan
    mine = await call(beacons.newest, store, plan, step.site)
    theirs = await call(beacons.newest, store, plan, step.other)
    beat = await call(authority.beat, store, plan, step.other)
    recovery = step.world.recovery
    beacon_watch = recovery.beacons.setdefault((plan, step.other), Watch())
    beacon_watch.saw(theirs)
    beat_watch = recovery.beats.setdefault((plan, step.other), Watch())
    beat_watch.saw(beat)
    memory = step.world.plan_memory(step.plan)
    reader = memory.reader if memory is not None else None
    longer = (
        (reader.beacon_watches.get(step.other), reader.beat_watches.get(step.other))
        if reader is not None
        else (None, None)
    )
    heard = [
        each
        for each in (_heard(beacon_watch, longer[0]), _heard(beat_watch, longer[1]))
        if each is not None
    ]
    age, came = min(heard, default=(None, False))
    return Grounds(
        held=await call(authority.read, store, plan),
        mine=mine,
        theirs=theirs,
        beat=beat,
        age=age,
        came=came,
        stale=stale_after(step.plan),
    )


def why_no_grounds(
    kind: RunKind, site: str, other: str, grounds: Grounds, stated: bool
) -> str | None:
    """Why a run of this kind has no grounds; None when it has. Pure."""
    held = grounds.held
    if held.state == "NotTaken":
        return "no site has ever taken the right to act: start the engine at the primary site first"
    if held.site == site:
        return f"this site, {site}, holds epoch {held.epoch} already: there is nothing to take"
    if kind is RunKind.DRILL:
        return None
    if kind is RunKind.FAILOVER:
        if stated:
            return None
        if grounds.age is None:
            return (
                f"nothing was ever heard of site {other}, so whether it acts is unknown: make a "
                "Failover with spec.statement, once you know that it is off or cut off"
            )
        if grounds.age < grounds.stale:
            return (
                f"site {other} is healthy: it said something {grounds.age:.0f} s ago. Make a "
                "Switchover; or, if you know that it is off or cut off from its channels, a "
                "Failover with spec.statement"
            )
        return None
    if not grounds.healthy:
        since = "ever" if grounds.age is None else f"for {grounds.age:.0f} s"
        return (
            f"site {other} has said nothing {since}, and a {kind} needs it: mend it, or make a "
            "Failover. This run does not become one by itself"
        )
    return None


def _not_known_yet(step: StepContext, grounds: Grounds) -> bool:
    """Whether looking for longer may tell: a site that was heard of just now may say more, or may
    have been lost right after."""
    looked = _looked(step)
    if grounds.age is None or grounds.held.site != step.other or looked >= 2 * grounds.stale:
        return False
    if step.kind is RunKind.FAILOVER:
        # Once it said something since we began, it lives.
        return not stated(step) and grounds.age < grounds.stale and grounds.age + 1 >= looked
    return not grounds.came and grounds.age < grounds.stale


def _looked(step: StepContext) -> float:
    """Seconds since the attempt began."""
    return (step.world.now() - step.began_at).total_seconds()


def _heard(watch: Watch[T], longer: Watch[T] | None) -> tuple[float, bool] | None:
    """(age, whether it was seen to come) of what is the newest, by whoever has looked longer; None
    when there is nothing."""
    age = watch.age()
    if watch.newest is None or age is None:
        return None
    if longer is not None and longer.newest == watch.newest:
        return max(age, longer.age() or 0.0), watch.changed or longer.changed
    return age, watch.changed


async def _out_of_phase(step: StepContext) -> str | None:
    """Why the run may not begin in the phase that the plan was in before it."""
    ended = step.world.recovery.ended.setdefault(step.run.plan, {})
    phase = await call(phase_before, step.store, step.run, ended)
    return None if may_begin(phase, step.kind) else why_not(phase, step.kind)


def _figures(step: StepContext, grounds: Grounds) -> dict[str, Any]:
    """What is kept: from when the recovery time is measured, and what was known of the sites."""
    start, source = step.run.at, "Request"
    if step.kind is RunKind.FAILOVER:
        if step.run.fault_at is not None:
            start, source = step.run.fault_at, "FaultAt"
        elif grounds.beat is not None and grounds.beat.at < step.run.at + _WHOLE_SECOND:
            start, source = min(grounds.beat.at, step.run.at), "LastBeat"
    return {
        "from": source,
        "fromAt": start.isoformat(),
        "epoch": grounds.held.epoch,
        "actingSite": grounds.held.site,
        "otherSilentSeconds": None if grounds.age is None else round(grounds.age, 1),
        "statement": stated(step),
    }


def _said(step: StepContext, grounds: Grounds) -> str:
    lives = "healthy" if grounds.healthy else "silent"
    return f"site {grounds.held.site} holds epoch {grounds.held.epoch} and is {lives}"


def _checks(step: StepContext, grounds: Grounds) -> list[CheckResult]:
    return [_same_schema(step, grounds), _same_plan(step, grounds), _capacity(step, grounds)]


async def _left_alone(step: StepContext) -> list[CheckResult]:
    """Whether everything that sleeps with a cold site may. It bars no way: the site is awake."""
    if step.plan.spec.standby.mode != "Cold":
        return []
    name = "ReplicasLeftAlone"
    fought = fought_over(await sleep.states(step.world, step.plan, step.engine))
    return [
        CheckResult(
            name=name,
            level=CheckLevel.SYSTEM,
            verdict=Verdict.PASSED if fought is None else Verdict.FAILED,
            gate=step.gates(name, default=False),
            message=fought or "no GitOps tool wakes what this site puts to sleep",
            as_of=step.world.now(),
        )
    ]


def _result(
    step: StepContext, name: str, found: Verdict, message: str, **figures: Any
) -> CheckResult:
    """What is not known is told, and bars the way only where the plan names the check a gate."""
    default = found is Verdict.FAILED
    return CheckResult(
        name=name,
        level=CheckLevel.SYSTEM,
        verdict=found,
        gate=step.gates(name, default=default),
        message=message,
        figures=figures,
        as_of=step.world.now(),
    )


def _same_schema(step: StepContext, grounds: Grounds) -> CheckResult:
    mine = grounds.mine.versions.schema if grounds.mine is not None else None
    theirs = grounds.theirs.versions.schema if grounds.theirs is not None else None
    figures = {"here": mine, "there": theirs}
    name = "SchemaRevision"
    if mine is None or theirs is None:
        said = "the revision of one site's schema is not known; catching up looks at it again"
        return _result(step, name, Verdict.UNKNOWN, said, **figures)
    if mine != theirs:
        said = (
            f"site {step.other} is at schema {theirs} and this site at {mine}: bring both to the "
            "same version of Wayfare"
        )
        return _result(step, name, Verdict.FAILED, said, **figures)
    return _result(step, name, Verdict.PASSED, f"both sites are at schema {mine}", **figures)


def _same_plan(step: StepContext, grounds: Grounds) -> CheckResult:
    mine = grounds.mine.digests.configuration if grounds.mine is not None else None
    theirs = grounds.theirs.digests.configuration if grounds.theirs is not None else None
    figures = {"here": mine, "there": theirs}
    name = "ResourcesEqual"
    if mine is None or theirs is None:
        said = "the configuration of one site is not known"
        return _result(step, name, Verdict.UNKNOWN, said, **figures)
    if mine != theirs:
        said = "the sites' resources differ: the plan's status.drift says in what"
        return _result(step, name, Verdict.FAILED, said, **figures)
    return _result(step, name, Verdict.PASSED, "both sites have the same resources", **figures)


def _capacity(step: StepContext, grounds: Grounds) -> CheckResult:
    """What this site can give against what the engine needs where it acts."""
    needs = (grounds.theirs.figures.get("needs") if grounds.theirs is not None else None) or {}
    given = grounds.mine.capacity if grounds.mine is not None else None
    has = {"cpu": given.cpu, "memory": given.memory, "pods": given.pods} if given else {}
    figures = {"needs": dict(needs), "has": has}
    short, unknown = [], []
    for what in ("cpu", "memory", "pods"):
        need, have = quantity(needs.get(what)), quantity(has.get(what))
        if need is None or have is None:
            unknown.append(what)
        elif have < need:
            short.append(f"{what}: {needs[what]} needed, {has[what]} there")
    if short:
        said = f"site {step.site} is too small for the load: {'; '.join(short)}"
        return _result(step, "Capacity", Verdict.FAILED, said, **figures)
    if unknown:
        said = f"not known: {', '.join(unknown)}"
        return _result(step, "Capacity", Verdict.UNKNOWN, said, **figures)
    return _result(step, "Capacity", Verdict.PASSED, "this site can take the load", **figures)
