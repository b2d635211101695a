"""`wayfare recovery …`: runs are started, watched, decided about and reported."""

from __future__ import annotations

import typer

from wayfare_engine.cli import (
    recovery_check,
    recovery_drill,
    recovery_list,
    recovery_report,
    recovery_rule,
    recovery_secrets,
    recovery_start,
    recovery_task,
    recovery_watch,
)

app = typer.Typer(
    help="Drills, planned moves, failovers and failbacks: start, watch, decide, report.",
    no_args_is_help=True,
)


@app.callback()
def _group() -> None:
    pass


app.command("check")(recovery_check.check)
app.command("task")(recovery_task.task)
app.command("list")(recovery_list.list_runs)
app.command("watch")(recovery_watch.watch)
app.command("report")(recovery_report.report)
app.command("drill")(recovery_start.drill)
app.command("switchover")(recovery_start.switchover)
app.command("failover")(recovery_start.failover)
app.command("failback")(recovery_start.failback)
app.command("approve")(recovery_rule.approve)
app.command("retry")(recovery_rule.retry)
app.command("abandon")(recovery_rule.abandon)
app.command("secrets")(recovery_secrets.secrets)
app.command("canary", hidden=True)(recovery_drill.canary)
app.command("isolate", hidden=True)(recovery_drill.isolate)
