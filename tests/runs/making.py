"""Records of runs for tests."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from wayfare_engine import runs
from wayfare_engine.objectstore import ObjectStore
from wayfare_engine.resources import RunKind, RunState, Verdict

PLAN = "bank.retail"
AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
KEYS = runs.Keys.of("0123456789abcdef0123456789abcdef")


def taken(store: ObjectStore, uid: str = "u1", **other: Any) -> runs.Run:
    """The run of this uid, at site west unless said otherwise."""
    given: dict[str, Any] = {
        "plan": PLAN,
        "kind": RunKind.SWITCHOVER,
        "target": "west",
        "name": f"run-{uid}",
        "uid": uid,
        "requested_by": "ana",
        "reason": "a test",
        "at": AT,
    }
    return runs.take(store, **(given | other))


def ended(store: ObjectStore, number: int, **other: Any) -> runs.RunEnd:
    """The run's end: succeeded, unless said otherwise."""
    given: dict[str, Any] = {
        "run": number,
        "state": RunState.SUCCEEDED,
        "verdict": Verdict.PASSED,
        "at": AT,
        "summary": "done",
    }
    return runs.put_end(store, PLAN, runs.RunEnd(**(given | other)))


def attempt(number: int = 1, **other: Any) -> runs.Attempt:
    """An attempt of CatchUp of run 1."""
    given: dict[str, Any] = {"run": 1, "step": "CatchUp", "at": AT, "by": "operator-1"}
    return runs.Attempt(attempt=number, **(given | other))


def result(number: int = 1, **other: Any) -> runs.StepResult:
    """What became of it: success, unless said otherwise."""
    given: dict[str, Any] = {
        "run": 1,
        "step": "CatchUp",
        "outcome": runs.Outcome.SUCCEEDED,
        "began_at": AT,
        "ended_at": AT,
        "summary": "20 rows",
        "by": f"pod-{number}",
        "figures": {"rows": 20},
    }
    return runs.StepResult(attempt=number, **(given | other))


def asked(store: ObjectStore, run: runs.Run, **other: Any) -> runs.Request:
    """East is asked to quiesce."""
    given: dict[str, Any] = {
        "to_site": "east",
        "step": "Quiesce",
        "attempt": 1,
        "what": "Quiesce",
        "arguments": {"seconds": 5.0},
        "at": AT,
    }
    return runs.ask(store, KEYS, run, **(given | other))


def answered(store: ObjectStore, run: runs.Run, request: runs.Request, **other: Any) -> runs.Answer:
    """East did it."""
    given: dict[str, Any] = {
        "outcome": runs.Outcome.SUCCEEDED,
        "message": "nothing is under way",
        "figures": {"stopped": 3},
        "at": AT,
        "by": "east",
    }
    return runs.answer(store, KEYS, run, request, **(given | other))


def approval(uid: str, **other: Any) -> runs.ApprovalRecord:
    """Somebody goes past the gate of Verify."""
    given: dict[str, Any] = {
        "run": 1,
        "number": 1,
        "name": f"approval-{uid}",
        "uid": uid,
        "step": "Verify",
        "attempt": 1,
        "decision": runs.Decision.APPROVE,
        "approver": "ben",
        "reason": "the lag is known",
        "at": AT,
    }
    return runs.ApprovalRecord(**(given | other))


def beacon(number: int = 1, site: str = "west", **other: Any) -> runs.Beacon:
    """What west says of itself."""
    given: dict[str, Any] = {
        "at": AT,
        "writer": "operator-1",
        "awake": True,
        "versions": runs.Versions(operator="1.2.0"),
        "capacity": runs.Capacity(cpu="7500m", memory="30Gi", pods=110),
        "digests": runs.Digests(secrets={"sms": "a1", "mail": None}),
    }
    return runs.Beacon(site=site, number=number, **(given | other))
