"""`wayfare recovery list`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wayfare_engine.cli.recovery_options import AsJson, StoreUrl, open_named_store
from wayfare_engine.cli.recovery_report import Engine
from wayfare_engine.cli.recovery_runs import PlanId, numbers, plan_of

if TYPE_CHECKING:
    from wayfare_engine.objectstore import ObjectStore


@dataclass(frozen=True)
class _Line:
    number: int
    kind: str
    name: str
    target: str
    requested_by: str
    at: datetime | None
    state: str
    step: str | None
    verdict: str
    rto: Any
    rpo: Any
    problems: int

    def facts(self) -> dict[str, Any]:
        """For JSON."""
        import msgspec

        return {
            "number": self.number,
            "kind": self.kind,
            "name": self.name,
            "target": self.target,
            "requestedBy": self.requested_by,
            "at": self.at.isoformat() if self.at else None,
            "state": self.state,
            "step": self.step,
            "verdict": self.verdict,
            "rto": msgspec.to_builtins(self.rto),
            "rpo": msgspec.to_builtins(self.rpo),
            "damagedRecords": self.problems,
        }


def list_runs(
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="So many at most.")] = 20,
    store: StoreUrl = None,
    plan: PlanId = None,
    engine: Engine = None,
    as_json: AsJson = False,
) -> None:
    """Show a plan's runs, the newest first: kind, state, verdict, recovery time and loss, from the
    records in the object store. What is not known is shown as unknown.

    Exit codes: 0; 2 wrong options; 3 the store cannot be used, or a setting is missing.

    Example: wayfare recovery list --store s3://recovery/retail --limit 5
    """
    if engine:
        from wayfare_engine.cli.cluster import run_in_worker

        words = ["recovery", "list", "--limit", str(limit), *(["--json"] if as_json else [])]
        words += ["--plan", plan] if plan else []
        raise typer.Exit(run_in_worker(engine, words, namespace=None))
    opened = open_named_store(store)
    wanted = plan_of(opened, plan)
    known = numbers(opened, wanted)
    found = [_line(opened, wanted, number) for number in known[:limit]]
    if as_json:
        typer.echo(json.dumps([line.facts() for line in found]))
    elif not found:
        typer.echo(f"plan {wanted}: no run was made yet")
    else:
        _show(found, len(known) - len(found))


def _line(store: ObjectStore, plan: str, number: int) -> _Line:
    from wayfare_engine.recovery import progress
    from wayfare_engine.recovery.records_of_run import Records
    from wayfare_engine.resources import StepState

    records = Records(store, plan, number).look()
    run, end = records.run, records.end
    steps = progress.steps(records)
    at = next((s for s in reversed(steps) if s.state not in _NOT_AT), None)
    if end is None and at is not None and at.state == StepState.SUCCEEDED:
        at = next((s for s in steps if s.state == StepState.PENDING), at)
    return _Line(
        number=number,
        kind=str(run.kind) if run else "Unknown",
        name=run.name if run else "unknown",
        target=run.target if run else "unknown",
        requested_by=run.requested_by if run else "unknown",
        at=run.at if run else None,
        state=str(progress.state_of(records, steps)),
        step=at.name if at is not None and end is None else None,
        verdict=str(end.verdict) if end else "Unknown",
        rto=end.rto if end else None,
        rpo=end.rpo if end else None,
        problems=sum(1 for one in records.objects if one.problem),
    )


_NOT_AT = ("Pending", "Skipped")


def _show(found: list[_Line], more: int) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from wayfare_engine.recovery.report.shown import moment, one_line, span

    table = Table("run", "kind", "name", "to", "requested", "by", "state", "verdict", "RTO", "RPO")
    for line in found:
        rto, rpo = line.rto, line.rpo
        took = span(rto.seconds) if rto is not None and rto.seconds is not None else "unknown"
        missed = " not met" if rto is not None and rto.met is False else ""
        rows = f"{rpo.rows:,}" if rpo is not None and rpo.rows is not None else "unknown"
        basis = f" {rpo.basis}" if rpo is not None and rpo.rows is not None and rpo.basis else ""
        state = line.state + (f" at {line.step}" if line.step else "")
        cells = (
            str(line.number),
            line.kind,
            line.name,
            line.target,
            moment(line.at) if line.at else "unknown",
            line.requested_by,
            state + (f", {line.problems} records damaged" if line.problems else ""),
            line.verdict,
            took + missed,
            rows + basis,
        )
        table.add_row(*(Text(one_line(cell)) for cell in cells))
    Console().print(table)
    if more > 0:
        typer.echo(f"older ones that are not shown: {more} (--limit {len(found) + more})")
