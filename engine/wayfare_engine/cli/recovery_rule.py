"""`wayfare recovery approve | retry | abandon`: each makes an Approval."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wayfare_engine.cli.kube import Context, Kube, Namespace, complete
from wayfare_engine.cli.recovery_options import AsJson
from wayfare_engine.cli.recovery_start import DryRun, Yes, confirm
from wayfare_engine.errors import FAILED, SaidToPeople

if TYPE_CHECKING:
    from wayfare_engine.resources import RecoveryRun, StepStatus

Run = Annotated[
    str, typer.Argument(help="The RecoveryRun.", autocompletion=complete("RecoveryRun"))
]
Reason = Annotated[str, typer.Option(help="Why; it stands in the report.")]
Step = Annotated[str | None, typer.Option(help="The step; the one that waits when not given.")]
Evidence = Annotated[
    str | None,
    typer.Option(
        help="Digest of the evidence that you looked at; the step's when not given. When it is "
        "another one by now, the Approval does not count."
    ),
]

_FITS = {
    "Approve": ("WaitingForApproval",),
    "Retry": ("WaitingForApproval", "Failed"),
    "Abandon": ("WaitingForApproval", "Failed", "Running", "Pending"),
}


@dataclass(eq=False)
class NothingToDecide(SaidToPeople):
    """No step of the run is where this decision would count."""

    exit_code = FAILED

    run: str
    decision: str
    why: str

    def __str__(self) -> str:
        return f"run {self.run}: there is nothing to {self.decision.lower()}: {self.why}"


@dataclass(frozen=True)
class _How:
    run: str
    reason: str
    step: str | None
    evidence: str | None
    namespace: str | None
    context: str | None
    sure: bool
    dry_run: bool
    as_json: bool


def approve(
    run: Run,
    reason: Reason,
    step: Step = None,
    evidence: Evidence = None,
    namespace: Namespace = None,
    context: Context = None,
    yes: Yes = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Let a run go on past checks that did not pass. They are shown, and you are asked.

    Exit codes: 0 the Approval is made; 1 it was refused, or there is nothing to approve; 2 wrong
    options, or nobody to ask and no --yes; 3 no cluster.

    Example: wayfare recovery approve failover-x7k2p -n bank --reason "equal by the older snapshot"
    """
    how = _How(run, reason, step, evidence, namespace, context, yes, dry_run, as_json)
    _decide("Approve", how)


def retry(
    run: Run,
    reason: Reason,
    step: Step = None,
    namespace: Namespace = None,
    context: Context = None,
    yes: Yes = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Try the step again that failed, or whose checks did not pass.

    Exit codes: as `wayfare recovery approve`.

    Example: wayfare recovery retry failover-x7k2p -n bank --reason "the node is back"
    """
    how = _How(run, reason, step, None, namespace, context, True, dry_run, as_json)
    _decide("Retry", how)


def abandon(
    run: Run,
    reason: Reason,
    step: Step = None,
    namespace: Namespace = None,
    context: Context = None,
    yes: Yes = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """End a run before its point of no return; what it made is cleaned up.

    Exit codes: as `wayfare recovery approve`.

    Example: wayfare recovery abandon drill-m2p9c -n bank --reason "we are needed elsewhere"
    """
    how = _How(run, reason, step, None, namespace, context, yes, dry_run, as_json)
    _decide("Abandon", how)


def _decide(decision: str, how: _How) -> None:
    from wayfare_engine.recovery.report.shown import one_line
    from wayfare_engine.resources import RecoveryRun, parse
    from wayfare_engine.resources.kinds import API_VERSION

    kube = Kube(how.namespace, how.context)
    run = parse(kube.get("RecoveryRun", how.run))
    assert isinstance(run, RecoveryRun)
    at = _step(decision, run, how.step)
    attempt = at.attempt or 1
    for line in _lines(decision, run, at):
        typer.echo(f"- {one_line(line)}", err=True)
    if not how.dry_run:
        confirm(f"{decision} step {at.name} of {how.run}?", sure=how.sure)
    spec: dict[str, Any] = {
        "runRef": {"name": how.run},
        "step": at.name,
        "attempt": attempt,
        "decision": decision,
        "approver": kube.user(),
        "reason": how.reason,
    }
    digest = how.evidence or (at.evidence if decision == "Approve" else None)
    if digest is not None:
        spec["evidence"] = digest
    made = kube.create(
        {
            "apiVersion": API_VERSION,
            "kind": "Approval",
            "metadata": {
                "generateName": f"{decision.lower()}-",
                "namespace": kube.in_namespace(),
            },
            "spec": spec,
        },
        dry_run=how.dry_run,
    )
    if how.dry_run:
        typer.echo("the API server accepts it; nothing was made", err=True)
    elif how.as_json:
        facts = {"name": made["metadata"]["name"], "namespace": kube.in_namespace()}
        typer.echo(json.dumps(facts | {"run": how.run, **{k: spec[k] for k in _SAID}}))
    else:
        typer.echo(
            f"{decision} of {at.name}, attempt {attempt}, of {how.run}: "
            f"{made['metadata']['name']}, by {spec['approver']}"
        )


_SAID = ("step", "attempt", "decision", "approver")


def _step(decision: str, run: RecoveryRun, wanted: str | None) -> StepStatus:
    """The step that the decision is about. Raises NothingToDecide."""
    name, status = run.metadata.name, run.status
    if status.evidence is not None or status.state == "Rejected":
        raise NothingToDecide(name, decision, f"it has ended, its state is {status.state}")
    steps = [s for s in status.steps if wanted in (None, s.name)]
    found = next((s for s in steps if s.state in _FITS[decision]), None)
    if found is None:
        if wanted is not None and not steps:
            known = ", ".join(s.name for s in status.steps) or "none yet"
            raise NothingToDecide(name, decision, f"it has no step {wanted} (its steps: {known})")
        where = f" at step {status.step}" if status.step else ""
        state = steps[0].state if wanted is not None else status.state or "Pending"
        raise NothingToDecide(name, decision, f"{wanted or 'it'} is {state}{where}")
    if decision == "Abandon":
        _check_abandon(run)
    return found


def _check_abandon(run: RecoveryRun) -> None:
    from wayfare_engine.runs.procedures import procedure

    begun = [s.name for s in run.status.steps if s.state not in ("Pending", "Skipped")]
    steps = procedure(run.spec.kind)
    if not steps.may_abandon(begun):
        raise NothingToDecide(
            run.metadata.name,
            "Abandon",
            f"{steps.point_of_no_return} has begun, and from there it can only be finished "
            "(`retry`, `approve`), or the work moved again by a new run",
        )


def _lines(decision: str, run: RecoveryRun, at: StepStatus) -> list[str]:
    """What a person reads before they decide."""
    said = [
        f"{run.spec.kind} {run.metadata.name}, step {at.name}, attempt {at.attempt or 1}: "
        f"{at.state}" + (f": {at.message}" if at.message else "")
    ]
    for check in run.status.checks:
        if check.gate and check.verdict != "Passed":
            said.append(
                f"check {check.name} ({check.level}): {check.verdict}"
                + (f": {check.message}" if check.message else "")
                + (f"; evidence {check.evidence}" if check.evidence else "")
            )
    if decision == "Approve" and at.evidence:
        said.append(f"the evidence that you approve past: {at.evidence}")
    return said
