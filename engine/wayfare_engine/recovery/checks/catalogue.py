"""Every check there is, in the order in which they are made, and which belong to which step."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from wayfare_engine.errors import USAGE, SaidToPeople
from wayfare_engine.recovery.checks import (
    assignments_unchanged,
    capacity,
    caps_held,
    chain_unbroken,
    channels_tested,
    contacted_once,
    decisions_replayed,
    instances_whole,
    lag,
    latency,
    no_orphans,
    quiet_hours_kept,
    readiness,
    receipts_reconciled,
    resources_equal,
    schema_revision,
    tables_equal,
    versions_equal,
)
from wayfare_engine.recovery.checks.check import Check, Cost, Step
from wayfare_engine.recovery.checks.looking import Looking
from wayfare_engine.resources import RunKind, Verdict
from wayfare_engine.runs import CheckResult

#: By name: system, data, service, business.
CATALOGUE: Final[dict[str, Check]] = {
    module.CHECK.name: module.CHECK
    for module in (
        resources_equal,
        versions_equal,
        schema_revision,
        capacity,
        chain_unbroken,
        lag,
        tables_equal,
        no_orphans,
        readiness,
        latency,
        decisions_replayed,
        channels_tested,
        contacted_once,
        caps_held,
        quiet_hours_kept,
        receipts_reconciled,
        assignments_unchanged,
        instances_whole,
    )
}


@dataclass(eq=False)
class UnknownCheck(SaidToPeople):
    """There is no check of that name."""

    exit_code = USAGE

    name: str

    def __str__(self) -> str:
        return f"there is no check {self.name!r}; there are: {', '.join(CATALOGUE)}"


def named(names: Iterable[str]) -> tuple[Check, ...]:
    """These, in the catalogue's order; all of them for no name. Raises UnknownCheck."""
    wanted = set(names)
    for name in sorted(wanted - CATALOGUE.keys()):
        raise UnknownCheck(name)
    return tuple(check for name, check in CATALOGUE.items() if not wanted or name in wanted)


def for_step(
    step: str,
    kind: str | None,
    *,
    only: frozenset[str] | None = None,
    custom: Iterable[Check] = (),
) -> tuple[Check, ...]:
    """Those of a step of a run of this kind (None: of no run), in the catalogue's order, then those
    of the plan's own.

    A drill's Verify comes when its own engine serves, so it has those of a serving engine, too, and
    none about how far its clone follows.
    On a schedule only cheap and sampled ones are made. `only`: of these names. Raises ValueError
    for a step without checks.
    """
    wanted = {Step(step)}
    cloned = wanted == {Step.VERIFY} and kind == RunKind.DRILL
    if cloned:
        wanted.add(Step.ISOLATED)
    return tuple(
        check
        for check in (*CATALOGUE.values(), *custom)
        if check.steps & wanted
        and (Step.SCHEDULE not in wanted or check.cost is not Cost.FULL)
        and (check.of_clone or not cloned)
        and (only is None or check.name in only)
    )


def run(checks: Iterable[Check], at: Looking) -> tuple[CheckResult, ...]:
    """Make them, one after the other; each answers for itself."""
    results = []
    for check in checks:
        at.say(check.name)
        results.append(check.look(at))
    return tuple(results)


def verdict(results: Iterable[CheckResult], *, gates_only: bool = False) -> Verdict:
    """Over all of them: Failed if one is, else Unknown if one is; nothing at all is Unknown."""
    found = {result.verdict for result in results if result.gate or not gates_only}
    for worst in (Verdict.FAILED, Verdict.UNKNOWN, Verdict.PASSED):
        if worst in found:
            return worst
    return Verdict.UNKNOWN
