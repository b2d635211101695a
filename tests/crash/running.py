"""A driver of runs, the tasks of a step, and the other site that answers: all of them die."""

from __future__ import annotations

import os
from typing import Any, ClassVar

import msgspec
import psycopg

from tests.crash.scenario import Scenario
from wayfare_engine import runs
from wayfare_engine.clock import now
from wayfare_engine.resources import RunKind, RunState, Verdict
from wayfare_engine.store.task_claims import Superseded, claim

PLAN, STEP = "bank.retail", "CatchUp"
KEYS = runs.Keys.of("0123456789abcdef0123456789abcdef")


class Running(Scenario):
    """One run after the other: in each, a step fails, is tried again as a person says, and then
    succeeds; the other site is asked once, and answers once. What was told to stand stays so."""

    points: ClassVar = dict.fromkeys(
        (
            "runs.take.before_put",
            "runs.take.put",
            "runs.attempt.before_put",
            "runs.attempt.put",
            "tasks.claim.before_commit",
            "tasks.claim.committed",
            "runs.failure.before_put",
            "runs.failure.put",
            "runs.approval.before_put",
            "runs.approval.put",
            "runs.evidence.before_put",
            "runs.evidence.put",
            "runs.result.before_put",
            "runs.result.put",
            "runs.request.before_put",
            "runs.request.put",
            "runs.answer.before_put",
            "runs.answer.put",
            "runs.end.before_put",
            "runs.end.put",
        ),
        (1, 2, 1, 3),
    )

    def run(self, rounds: int) -> None:
        with self.place.connect() as connection:
            begun = runs.open_run(self.place.store, PLAN) is not None
            for _ in range(rounds + begun):
                self._one(connection)

    def _one(self, connection: psycopg.Connection[Any]) -> None:
        store = self.place.store
        last = runs.newest(store, PLAN)
        number = 1 if last is None else last.number
        if last is not None and runs.read_end(store, PLAN, number) is not None:
            number += 1
        run = runs.take(
            store,
            plan=PLAN,
            kind=RunKind.SWITCHOVER,
            target="west",
            name=f"run-{number}",
            uid=f"u{number}",
            requested_by="ana",
            reason="a test",
            at=now(),
        )
        self.said("taken", run.number, run.uid)
        self._tell("result", self._step(connection, run))
        request = runs.ask(
            store, KEYS, run, to_site="east", step="Seal", attempt=1, what="Seal", at=now()
        )
        self._tell("request", request)
        for asked in runs.requests(store, KEYS, run):
            done = runs.Outcome.SUCCEEDED
            self._tell(
                "answer",
                runs.answer(
                    store, KEYS, run, asked.request, outcome=done, message="", at=now(), by="east"
                ),
            )
        end = runs.RunEnd(
            run=number, state=RunState.SUCCEEDED, verdict=Verdict.PASSED, at=now(), summary=""
        )
        self._tell("end", runs.put_end(store, PLAN, end))

    def _step(self, connection: psycopg.Connection[Any], run: runs.Run) -> runs.StepResult:
        """Its first attempt fails; so does one whose pod died."""
        store, number = self.place.store, run.number
        while (found := runs.read_result(store, PLAN, number, STEP)) is None:
            attempt = len(runs.attempts(store, PLAN, number, STEP))
            if attempt and runs.read_failure(store, PLAN, number, STEP, attempt) is not None:
                self._tell("approval", runs.put_approval(store, PLAN, retry(number, attempt)))
                attempt += 1
            begun = runs.Attempt(
                run=number, step=STEP, attempt=max(attempt, 1), at=now(), by=str(os.getpid())
            )
            begun = runs.begin(store, PLAN, begun)
            try:
                self._work(connection, begun)
            except Superseded:
                self._ended(begun, runs.Outcome.FAILED, None)
        return found

    def _work(self, connection: psycopg.Connection[Any], begun: runs.Attempt) -> None:
        pod = str(os.getpid())
        held = claim(
            connection, plan=PLAN, run=begun.run, step=STEP, attempt=begun.attempt, pod=pod
        )
        with connection.transaction():
            held.fence(connection)
        if begun.attempt == 1:
            self._ended(begun, runs.Outcome.FAILED, None)
        else:
            evidence = runs.evidence.put(self.place.store, {"run": begun.run, "pod": pod})
            self._ended(begun, runs.Outcome.SUCCEEDED, evidence)

    def _ended(self, begun: runs.Attempt, outcome: runs.Outcome, evidence: str | None) -> None:
        result = runs.StepResult(
            run=begun.run,
            step=STEP,
            attempt=begun.attempt,
            outcome=outcome,
            began_at=begun.at,
            ended_at=now(),
            summary="",
            by=str(os.getpid()),
            evidence=evidence,
        )
        self._tell("ended", runs.put_result(self.place.store, PLAN, result))

    def _tell(self, what: str, record: Any) -> None:
        self.said("stands", what, msgspec.json.encode(record).decode())

    def check(self) -> None:
        store = self.place.store
        last = runs.newest(store, PLAN)
        assert last is not None
        assert dict(self.said.all("taken")).items() <= {
            (number, f"u{number}") for number in range(1, last.number + 1)
        }
        kept: set[tuple[str, str]] = set()

        def keep(what: str, record: Any) -> None:
            assert record is not None, f"no {what}"
            kept.add((what, msgspec.json.encode(record).decode()))

        for number in range(1, last.number + 1):
            run = runs.read_run(store, PLAN, number)
            assert run is not None
            assert run.uid == f"u{number}"
            keep("end", runs.read_end(store, PLAN, number))
            result = runs.read_result(store, PLAN, number, STEP)
            assert result is not None
            assert result.evidence is not None
            assert runs.evidence.get(store, result.evidence)["run"] == number
            keep("result", result)
            keep("ended", result)
            attempts = runs.attempts(store, PLAN, number, STEP)
            assert result.attempt == len(attempts), "nothing is tried after it succeeded"
            for one in attempts[:-1]:
                keep("ended", runs.read_failure(store, PLAN, number, STEP, one.attempt))
            approvals = runs.approvals(store, PLAN, number)
            assert [one.attempt for one in approvals] == list(range(1, len(attempts)))
            for given in approvals:
                keep("approval", given)
            (asked,) = runs.requests(store, KEYS, run)
            keep("request", asked.request)
            keep("answer", asked.answer)
        told = {(what, text) for what, text in self.said.all("stands")}
        assert told <= kept, "what was told to stand is otherwise"


def retry(run: int, attempt: int) -> runs.ApprovalRecord:
    """A person says that the step is tried again."""
    return runs.ApprovalRecord(
        run=run,
        number=1,
        name=f"retry-{attempt}",
        uid=f"retry-{run}-{attempt}",
        step=STEP,
        attempt=attempt,
        decision=runs.Decision.RETRY,
        approver="ben",
        reason="a test",
        at=now(),
    )
