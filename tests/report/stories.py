"""Runs of all four kinds as the operator and its Jobs would leave them in the store: written by
`wayfare_engine.runs`, by a clock that the story moves on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from wayfare_engine import runs
from wayfare_engine.objectstore import ObjectStore
from wayfare_engine.recovery.records_of_run import Records
from wayfare_engine.resources import CheckLevel, RunKind, RunState, Verdict
from wayfare_engine.runs import Keys
from wayfare_engine.runs.procedures import procedure
from wayfare_engine.runs.records import (
    ApprovalRecord,
    Attempt,
    CheckResult,
    Decision,
    LostPart,
    Outcome,
    Rpo,
    Rto,
    Run,
    RunEnd,
    StepResult,
)

PLAN = "bank.retail"
KEY = "a-key-of-the-tests-that-is-long-enough"
START = datetime(2026, 11, 28, 9, 0, tzinfo=UTC)
STATEMENT = "The power is off in east since 08:59; I stand in its room, and the switch is locked."


@dataclass
class Teller:
    """Writes one run. Every text of it can be given, so that a test can make it hostile."""

    store: ObjectStore
    kind: RunKind
    at: datetime = START
    target: str = "west"
    requested_by: str = "alice@bank.example"
    reason: str = "east does not answer"
    statement: str | None = None
    fault_at: datetime | None = None
    scenario: LostPart | None = None
    name: str = ""
    plan: str = PLAN
    keys: Keys = field(default_factory=lambda: Keys.of(KEY))
    run: Run = field(init=False)

    def __post_init__(self) -> None:
        self.name = self.name or f"{self.kind.lower()}-{self.at:%d%H%M}"
        self.run = runs.take(
            self.store,
            plan=self.plan,
            kind=self.kind,
            target=self.target,
            name=self.name,
            uid=f"uid-of-{self.name}",
            requested_by=self.requested_by,
            reason=self.reason,
            at=self.at,
            fault_at=self.fault_at,
            statement=self.statement,
            scenario=self.scenario,
        )

    def begin(self, step: str, attempt: int = 1, by: str = "pod/west-0") -> None:
        """An attempt begins."""
        runs.begin(
            self.store,
            self.plan,
            Attempt(run=self.run.number, step=step, attempt=attempt, at=self.at, by=by),
        )

    def step(
        self,
        name: str,
        seconds: float = 2.0,
        *,
        attempt: int = 1,
        failed: bool = False,
        summary: str = "",
        figures: dict[str, Any] | None = None,
        checks: Sequence[CheckResult] = (),
        seen: object = None,
    ) -> str | None:
        """An attempt, and what came of it; the digest of its evidence."""
        began = self.at
        self.begin(name, attempt)
        self.at += timedelta(seconds=seconds)
        digest = None if seen is None else runs.evidence.put(self.store, seen)
        runs.put_result(
            self.store,
            self.plan,
            StepResult(
                run=self.run.number,
                step=name,
                attempt=attempt,
                outcome=Outcome.FAILED if failed else Outcome.SUCCEEDED,
                began_at=began,
                ended_at=self.at,
                summary=summary or f"{name} is done",
                by="pod/west-0",
                figures=figures or {},
                checks=tuple(checks),
                evidence=digest,
            ),
        )
        return digest

    def check(
        self,
        name: str,
        verdict: Verdict = Verdict.PASSED,
        *,
        level: CheckLevel = CheckLevel.DATA,
        gate: bool = True,
        message: str = "as it should be",
        figures: dict[str, Any] | None = None,
        seen: object = None,
    ) -> CheckResult:
        """What a check found, with evidence of its own."""
        digest = runs.evidence.put(self.store, {"check": name, "saw": seen or message})
        return CheckResult(
            name=name,
            level=level,
            verdict=verdict,
            gate=gate,
            message=message,
            as_of=self.at,
            figures=figures or {},
            evidence=digest,
        )

    def rule(
        self,
        step: str,
        decision: Decision,
        *,
        attempt: int = 1,
        approver: str = "bob@bank.example",
        reason: str = "seen and accepted",
        digest: str | None = None,
    ) -> None:
        """A person decides."""
        runs.put_approval(
            self.store,
            self.plan,
            ApprovalRecord(
                run=self.run.number,
                number=1,
                name=f"{self.name}-{decision.lower()}",
                uid=f"{self.name}-{step}-{attempt}-{decision}",
                step=step,
                attempt=attempt,
                decision=decision,
                approver=approver,
                reason=reason,
                at=self.at,
                evidence=digest,
            ),
        )

    def pass_over(self, step: str, attempt: int = 1) -> None:
        """The operator writes the step's result from what its failed attempt found."""
        failure = runs.read_failure(self.store, self.plan, self.run.number, step, attempt)
        assert failure is not None
        passed = msgspec.structs.replace(
            failure,
            outcome=Outcome.SUCCEEDED,
            ended_at=self.at,
            summary=f"approved: {failure.summary}",
        )
        runs.put_result(self.store, self.plan, passed)

    def ask(self, what: str, *, answered: bool = True, message: str = "done") -> None:
        """The other site is asked, and answers."""
        request = runs.ask(
            self.store,
            self.keys,
            self.run,
            to_site="east",
            step=what,
            attempt=1,
            what=what,
            at=self.at,
        )
        if answered:
            runs.answer(
                self.store,
                self.keys,
                self.run,
                request,
                outcome=Outcome.SUCCEEDED,
                message=message,
                at=self.at,
                by="operator/east-0",
            )

    def end(
        self,
        state: RunState = RunState.SUCCEEDED,
        verdict: Verdict = Verdict.PASSED,
        *,
        summary: str = "Site west serves.",
        rto: Rto | None = None,
        rpo: Rpo | None = None,
    ) -> None:
        """The run ends; its evidence holds all of its records, as the operator has it."""
        found = Records(self.store, self.plan, self.run.number).look()
        end = RunEnd(
            run=self.run.number,
            state=state,
            verdict=verdict,
            at=self.at,
            summary=summary,
            rto=rto,
            rpo=rpo,
        )
        names = sorted({one.step for one in found.attempts})
        whole = {
            "run": found.run,
            "steps": {
                name: {
                    "attempts": [one for one in found.attempts if one.step == name],
                    "failures": [one for one in found.failures if one.step == name],
                    "result": found.results.get(name),
                }
                for name in names
            },
            "approvals": found.approvals,
            "end": end,
        }
        digest = runs.evidence.put(self.store, whole)
        runs.put_end(self.store, self.plan, msgspec.structs.replace(end, evidence=digest))

    def all_steps(self, *without: str) -> None:
        """Every step of the procedure that is not named."""
        for step in procedure(self.kind).steps:
            if step.name not in without:
                self.step(step.name)


def four_checks(teller: Teller) -> list[CheckResult]:
    """One at each level."""
    return [
        teller.check("VersionsEqual", level=CheckLevel.SYSTEM),
        teller.check("TablesEqual", figures={"rows": 45211, "tables": {"contacts": 1200}}),
        teller.check("LatencyMet", level=CheckLevel.SERVICE, gate=False),
        teller.check("NobodyContactedTwice", level=CheckLevel.BUSINESS),
    ]


def drill(store: ObjectStore, at: datetime = START, *, seconds: float = 31.5) -> Teller:
    """A drill that passes; nothing got out."""
    told = Teller(store, RunKind.DRILL, at, reason="every week", scenario=LostPart(lost="Site"))
    told.step("Precheck", checks=[told.check("CapacitySuffices", level=CheckLevel.SYSTEM)])
    told.step("Wake", 9.5)
    told.step("CatchUp", 6.0, figures={"rows": 120345, "rowsPerSecond": 20057.5})
    told.step("Fork", 4.7)
    told.step(
        "StartIsolated",
        8.0,
        figures={
            "isolated": [
                {"what": "database", "how": "a clone in an instance of its own"},
                {"what": "channels", "how": "sinks in place of all 3"},
                {"what": "network", "how": "NetworkPolicy denies egress; the canary failed"},
            ]
        },
    )
    told.step("ReplayDecisions", 3.0, figures={"replayed": 2000, "differences": 0, "reasons": {}})
    told.step("Verify", 3.5, checks=four_checks(told), seen={"tables": 17})
    told.step("Measure", 1.0, figures=MEASURED)
    told.step("Cleanup", 2.0, figures={"left": []})
    told.step("Sleep", 1.0)
    told.end(
        rto=Rto(seconds=seconds, objective_seconds=60, met=seconds <= 60, from_="Request"),
        rpo=Rpo(rows=0, basis="Exact", met=True),
        summary="The drill passed: west would have served.",
    )
    return told


MEASURED: dict[str, Any] = {
    "outwardSends": 0,
    "handOvers": 1210,
    "atSink": 1210,
    "scenario": {
        "lost": "Site",
        "channel": None,
        "atPosition": 4100,
        "stranded": {"rows": 312, "basis": "Exact", "arithmetic": "rows of east/1 after 4,100"},
        "inDoubt": [{"channel": "bank/sms", "sends": 7, "then": "listed as Unknown"}],
        "fellBack": [],
        "waits": [],
        "said": "what the site had not sealed comes back with its disk, as a stranded tail",
    },
}
"""What a drill's Measure found."""


def failover(store: ObjectStore, at: datetime = START) -> Teller:
    """A failover on a statement; one gate was not known, and was approved past."""
    told = Teller(
        store, RunKind.FAILOVER, at, statement=STATEMENT, fault_at=at - timedelta(seconds=7)
    )
    from_at = (at - timedelta(seconds=7)).isoformat()
    told.step("Precheck", figures={"fromAt": from_at, "from": "FaultAt"})
    told.step("Wake", 9.0)
    told.step("CatchUp", 5.0)
    gate = told.check("TablesEqual", Verdict.UNKNOWN, message="no checkpoint of this epoch")
    checks = [*four_checks(told)[2:], gate]
    digest = told.step("Verify", 2.0, failed=True, checks=checks, seen={"none": True})
    told.at += timedelta(seconds=40)
    told.rule("Verify", Decision.APPROVE, digest=digest, reason="the snapshot before was equal")
    told.pass_over("Verify")
    told.step("TakeEpoch", 1.5, figures={"epoch": 4, "closed": ["east/3"]})
    told.step("CatchUpFinal", 1.0)
    told.step("FenceWait", 17.0, figures={"waitedSeconds": 17.02, "ofSeconds": 17.02})
    told.step("Activate", 4.0)
    told.step("VerifyServing", 1.5)
    told.step("Route", 2.0, failed=True, summary="the front door still answers from east")
    told.at += timedelta(seconds=12)
    told.rule("Route", Decision.RETRY, reason="DNS was slow")
    told.step("Route", 3.0, attempt=2)
    told.end(
        verdict=Verdict.UNKNOWN,
        rto=Rto(seconds=90.0, objective_seconds=60, met=False, from_="FaultAt"),
        rpo=Rpo(rows=312, oldest_at=at - timedelta(seconds=9), basis="Estimated", met=True),
        summary="Site west serves under epoch 4.",
    )
    return told


def switchover(store: ObjectStore, at: datetime = START) -> Teller:
    """A planned move, abandoned before its point of no return."""
    told = Teller(store, RunKind.SWITCHOVER, at, reason="kernel updates in east")
    for name in ("Precheck", "Wake", "CatchUp", "Verify"):
        told.step(name)
    told.ask("Quiesce")
    told.step("Quiesce", 3.0)
    told.ask("Seal", answered=False)
    told.begin("Seal")
    told.at += timedelta(seconds=30)
    told.rule("Seal", Decision.ABANDON, reason="east does not answer, we try tomorrow")
    told.end(RunState.ABANDONED, Verdict.FAILED, summary="Abandoned; east acts as before.")
    return told


def failback(store: ObjectStore, at: datetime = START) -> Teller:
    """A failback with a stranded tail."""
    told = Teller(store, RunKind.FAILBACK, at, target="east", reason="east has power again")
    told.step("Precheck")
    told.step("Wake", 8.0)
    told.step("RecoverStranded", 5.0, figures={"rows": 310, "rpo": {"rows": 310, "basis": "Exact"}})
    told.step(
        "Reconcile",
        6.0,
        figures={
            "stranded": {
                "rows": 310,
                "accounted": 310,
                "resolutions": {"applied": 290, "superseded": 12, "not-sent": 8},
                "rules": {
                    "fact": 289,
                    "dispatch-perhaps-left": 1,
                    "send-known": 12,
                    "dispatch-never-left": 8,
                },
                "oldestAt": "2026-11-28T08:59:51Z",
                "newestAt": "2026-11-28T08:59:58Z",
            }
        },
        seen={"tails": [], "entries": [put_entries(told, 0, 200), put_entries(told, 200, 310)]},
    )
    told.step("CatchUp", 4.0)
    told.step("Verify", 2.0, checks=four_checks(told))
    told.ask("Quiesce")
    told.step("Quiesce", 1.0)
    told.ask("Seal")
    told.step("Seal", 0.5)
    told.step("CatchUpFinal", 0.7)
    told.step("TransferEpoch", 0.5)
    told.step("Activate", 3.0)
    told.step("VerifyServing", 1.0)
    told.step("Route", 1.0)
    told.ask("StandDown")
    told.step("StandDown", 3.0)
    told.end(
        rto=Rto(seconds=33.2, objective_seconds=60, met=True, from_="Request"),
        rpo=Rpo(rows=310, basis="Exact", met=True),
        summary="Site east serves again; every stranded row is accounted for.",
    )
    return told


def put_entries(told: Teller, first: int, last: int) -> str:
    """A piece of the list of stranded rows, as Reconcile keeps it; its digest."""
    lines = [json.dumps(_entry(number)) + "\n" for number in range(first, last)]
    return runs.evidence.put_text(told.store, "".join(lines))


def _entry(number: int) -> dict[str, Any]:
    kind, resolution, rule = "decision", "applied", "fact"
    if number == 289:
        kind, rule = "dispatch", "dispatch-perhaps-left"
    elif number >= 302:
        kind, resolution, rule = "dispatch", "not-sent", "dispatch-never-left"
    elif number >= 290:
        kind, resolution, rule = "intent", "superseded", "send-known"
    return {
        "id": f"01930000-0000-7000-8000-{number:012d}",
        "site": "east",
        "epoch": 1,
        "kind": kind,
        "at": f"2026-11-28T08:59:{51 + number // 50}+00:00",
        "resolution": resolution,
        "rule": rule,
    }


def waiting(store: ObjectStore, at: datetime = START) -> Teller:
    """A switchover that waits for an Approval."""
    told = Teller(store, RunKind.SWITCHOVER, at, reason="a planned move")
    for name in ("Precheck", "Wake", "CatchUp"):
        told.step(name)
    failed = told.check("TablesEqual", Verdict.FAILED, message="contacts differ in 3 rows")
    told.step("Verify", 2.0, checks=[failed], seen={"table": "contacts", "differs": [17, 18, 19]})
    return told


def failed(store: ObjectStore, at: datetime = START) -> Teller:
    """A failover whose CatchUp found a damaged segment: it can be tried again."""
    told = Teller(store, RunKind.FAILOVER, at, statement=STATEMENT)
    told.step("Precheck")
    told.step("Wake", 7.0)
    told.step(
        "CatchUp",
        2.0,
        failed=True,
        summary="segment journal/east/00000003/0000000000001200 is damaged",
        figures={"damaged": "journal/east/00000003/0000000000001200"},
    )
    return told
