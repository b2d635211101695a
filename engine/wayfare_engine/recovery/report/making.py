"""From a run's records to its report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from importlib.metadata import version
from typing import Any

import msgspec

from wayfare_engine.objectstore import ObjectStore
from wayfare_engine.recovery import progress
from wayfare_engine.recovery.records_of_run import Records, RunRecords
from wayfare_engine.recovery.report.counting import count
from wayfare_engine.recovery.report.evidence import look_at
from wayfare_engine.recovery.report.history import earlier, this_one
from wayfare_engine.recovery.report.model import (
    AttemptSeen,
    CheckSeen,
    Head,
    Isolated,
    Isolation,
    Made,
    ObjectSeen,
    People,
    Replay,
    Report,
    RequestSeen,
    Ruling,
    Sealed,
    StepSeen,
    Stranded,
)
from wayfare_engine.recovery.report.rehearsed import rehearsed
from wayfare_engine.recovery.report.stranded_rows import pieces_of, stranded_rows
from wayfare_engine.recovery.report.unknowns import unknowns
from wayfare_engine.recovery.report.whole import Compared, compare
from wayfare_engine.runs import (
    ApprovalRecord,
    Keys,
    Request,
    StepResult,
    answer_holds,
    request_holds,
)

_LEVELS = ("System", "Data", "Service", "Business")


@dataclass(frozen=True)
class _Figures:
    """The newest figures of each step that has any."""

    of: Mapping[str, Mapping[str, Any]]

    def get(self, step: str, name: str) -> Any:
        """A figure, or None."""
        return self.of.get(step, {}).get(name)

    def count(self, step: str, name: str) -> int | None:
        """A figure that is a count; None when it is no number."""
        return count(self.get(step, name))

    def newest(self, name: str) -> Any:
        """The figure of the last step that has it."""
        return next((f[name] for f in reversed(list(self.of.values())) if name in f), None)


def make_report(
    store: ObjectStore, plan: str, number: int, *, now: datetime, keys: Keys | None = None
) -> Report:
    """The report of a run from what the store holds, its evidence read and hashed.

    `keys`: to check the signatures of requests; None leaves them unchecked. Raises StoreProblem
    and StoreUnavailable, and nothing for records that are damaged: they are named in the report.
    """
    records = Records(store, plan, number).look()
    found = progress.steps(records)
    state = progress.state_of(records, found)
    steps = tuple(_step(step) for step in found)
    checks = _by_level(_checks(step.newest) for step in found)
    earlier_checks = _by_level(
        _checks(tried.result)
        for step in found
        for tried in step.tried
        if tried.result is not step.newest
    )
    figures = _Figures({s.name: s.newest.figures for s in found if s.newest is not None})
    this = this_one(records, state, figures.newest("rpo"))
    history, problems, left_out = earlier(store, plan, number)
    whole = compare(store, records)
    pieces = pieces_of(store, (s.newest for s in found if s.newest is not None))
    report = Report(
        made=Made(at=now, version=version("wayfare"), store=store.url),
        head=_head(records, state, plan, number, now),
        people=_people(records),
        rulings=tuple(_ruling(one) for one in records.approvals),
        steps=steps,
        checks=checks,
        earlier_checks=earlier_checks,
        rto=this.rto,
        rpo=this.rpo,
        clock_from=progress.clock_start(found),
        clock_to=progress.clock_end(found),
        history=(*history, this),
        history_left_out=left_out,
        isolation=_isolation(records, figures),
        scenario=rehearsed(figures.newest("scenario")),
        stranded=_stranded(figures.get("Reconcile", "stranded")),
        stranded_rows=stranded_rows(store, pieces),
        replay=_replay(figures),
        requests=tuple(_request(records, one, keys) for one in records.requests),
        evidence=tuple(look_at(store, _named(records, pieces))),
        sealed=Sealed(compared=whole.compared, added=whole.added),
        objects=(*_objects(records, whole), *problems),
    )
    return replace(report, unknowns=unknowns(report))


def _objects(records: RunRecords, whole: Compared) -> list[ObjectSeen]:
    """What was read, and what ought to be there."""
    changed = "is not what it was when the run ended"
    gone = "was there when the run ended, and is gone"
    found = [
        ObjectSeen(
            path=one.path,
            size=one.size,
            sha256=one.sha256,
            problem=one.problem or (changed if one.path in whole.changed else None),
        )
        for one in records.objects
    ]
    there = {one.path for one in found}
    return found + [
        ObjectSeen(path=path, size=0, sha256="", problem=gone)
        for path in whole.gone
        if path not in there
    ]


def _head(records: RunRecords, state: str, plan: str, number: int, now: datetime) -> Head:
    run, end = records.run, records.end
    times = [a.at for a in records.attempts] + [now]
    return Head(
        plan=plan,
        number=number,
        name=run.name if run else "",
        uid=run.uid if run else "",
        kind=str(run.kind) if run else "Run of unknown kind",
        target=run.target if run else "unknown site",
        state=state,
        verdict=str(end.verdict) if end else "Unknown",
        requested_at=run.at if run else min(times),
        ended_at=end.at if end else None,
        summary=end.summary if end else "The run has not ended by these records.",
    )


def _people(records: RunRecords) -> People:
    run = records.run
    scenario = msgspec.to_builtins(run.scenario) if run and run.scenario else None
    return People(
        requested_by=run.requested_by if run else "",
        reason=run.reason if run else "",
        statement=run.statement if run else None,
        scenario=scenario,
        fault_at=run.fault_at if run else None,
    )


def _ruling(one: ApprovalRecord) -> Ruling:
    return Ruling(
        step=one.step,
        attempt=one.attempt,
        decision=str(one.decision),
        approver=one.approver,
        reason=one.reason,
        at=one.at,
        name=one.name,
        evidence=one.evidence,
    )


def _step(step: progress.StepProgress) -> StepSeen:
    return StepSeen(
        name=step.name,
        state=str(step.state),
        runs_as=step.runs_as,
        no_way_back=step.no_way_back,
        attempts=tuple(
            AttemptSeen(
                attempt=one.attempt,
                by=one.by,
                began_at=one.began_at,
                ended_at=one.ended_at,
                outcome=_outcome(one),
                summary=one.result.summary if one.result else "",
                figures=one.result.figures if one.result else {},
                evidence=one.result.evidence if one.result else None,
            )
            for one in step.tried
        ),
    )


def _outcome(one: progress.Tried) -> str | None:
    """Of the attempt itself, whatever a person decided about it afterwards."""
    came = one.failure or one.result
    return str(came.outcome) if came is not None else None


def _by_level(found: Iterable[list[CheckSeen]]) -> tuple[CheckSeen, ...]:
    """From the machines to the business; within a level in the order of the run."""
    return tuple(
        sorted(
            (check for some in found for check in some),
            key=lambda c: _LEVELS.index(c.level) if c.level in _LEVELS else len(_LEVELS),
        )
    )


def _checks(result: StepResult | None) -> list[CheckSeen]:
    """What the checks of an attempt found."""
    if result is None:
        return []
    return [
        CheckSeen(
            name=one.name,
            level=str(one.level),
            verdict=str(one.verdict),
            gate=one.gate,
            message=one.message,
            figures=one.figures,
            evidence=one.evidence,
            as_of=one.as_of,
            step=result.step,
            attempt=result.attempt,
        )
        for one in result.checks
    ]


def _named(records: RunRecords, pieces: dict[str, StepResult]) -> dict[str, tuple[str, ...]]:
    """Each digest that a record names, and by what, in the order of the run."""
    found: dict[str, list[str]] = {}

    def name(digest: str | None, by: str) -> None:
        if digest and by not in found.setdefault(digest, []):
            found[digest].append(by)

    for result in [*records.failures, *records.results.values()]:
        by = f"{result.step}, attempt {result.attempt}"
        name(result.evidence, by)
        for check in result.checks:
            name(check.evidence, f"check {check.name} of {by}")
    for digest, result in pieces.items():
        name(digest, f"rows of {result.step}, attempt {result.attempt}")
    for approval in records.approvals:
        name(approval.evidence, f"{approval.decision} by {approval.approver}")
    if records.end is not None:
        name(records.end.evidence, "the run's end")
    return {digest: tuple(by) for digest, by in found.items()}


def _isolation(records: RunRecords, figures: _Figures) -> Isolation | None:
    isolated = figures.get("StartIsolated", "isolated")
    if isolated is None and (records.run is None or records.run.kind != "Drill"):
        return None
    items = isolated if isinstance(isolated, list) else []
    left = figures.get("Cleanup", "left")
    return Isolation(
        items=tuple(
            Isolated(what=str(one.get("what", "")), how=str(one.get("how", "")))
            for one in items
            if isinstance(one, dict)
        ),
        outward_sends=figures.count("Measure", "outwardSends"),
        hand_overs=figures.count("Measure", "handOvers"),
        left=tuple(map(str, left)) if isinstance(left, list) else None,
    )


def _stranded(told: Any) -> Stranded | None:
    if not isinstance(told, dict) or (rows := count(told.get("rows"))) is None:
        return None
    accounted = count(told.get("accounted"))
    oldest, newest = told.get("oldestAt"), told.get("newestAt")
    return Stranded(
        rows=rows,
        unaccounted=None if accounted is None else rows - accounted,
        resolutions=_counts(told.get("resolutions")),
        rules=_counts(told.get("rules")),
        oldest_at=str(oldest) if oldest else None,
        newest_at=str(newest) if newest else None,
    )


def _replay(figures: _Figures) -> Replay | None:
    if "ReplayDecisions" not in figures.of:
        return None
    return Replay(
        replayed=figures.count("ReplayDecisions", "replayed"),
        differences=figures.count("ReplayDecisions", "differences"),
        reasons=_counts(figures.get("ReplayDecisions", "reasons")),
    )


def _counts(told: Any) -> dict[str, int]:
    if not isinstance(told, dict):
        return {}
    found = {str(name): count(rows) for name, rows in told.items()}
    return {name: rows for name, rows in found.items() if rows is not None}


def _request(records: RunRecords, one: Request, keys: Keys | None) -> RequestSeen:
    answer = records.answers.get(one.number)
    signed: bool | None = None
    if keys is not None and records.run is not None:
        signed = request_holds(keys, records.run, one) and (
            answer is None or answer_holds(keys, records.run, one, answer)
        )
    return RequestSeen(
        number=one.number,
        to_site=one.to_site,
        what=f"{one.what} ({one.step}, attempt {one.attempt})",
        at=one.at,
        outcome=str(answer.outcome) if answer else None,
        message=answer.message if answer else "",
        answered_at=answer.at if answer else None,
        signed=signed,
    )
