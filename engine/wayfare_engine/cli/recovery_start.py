"""`wayfare recovery drill | switchover | failover | failback`: each makes a RecoveryRun."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from datetime import UTC
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wayfare_engine.cli.kube import Context, Kube, Namespace, complete
from wayfare_engine.cli.recovery_options import AsJson, StoreUrl
from wayfare_engine.cli.recovery_watch import by_cluster, follow
from wayfare_engine.errors import USAGE

if TYPE_CHECKING:
    from wayfare_engine.resources import RecoveryPlan

_AUTHOR = "wayfare.dev/author"
"""Who answers for the run; admission lets it be nobody else than who makes it."""

Plan = Annotated[
    str, typer.Argument(help="The RecoveryPlan.", autocompletion=complete("RecoveryPlan"))
]
Reason = Annotated[str, typer.Option(help="Why; it stands in the report.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask; for scripts.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Let the API server judge it, and make nothing.")
]
Watch = Annotated[bool, typer.Option("--watch", help="Follow it to its end; its exit code then.")]


class Lost(StrEnum):
    """What a drill can take to be lost."""

    SITE = "Site"
    POSTGRESQL = "PostgreSQL"
    VALKEY = "Valkey"
    CHANNEL = "Channel"
    OBJECT_STORE = "ObjectStore"


@dataclass(frozen=True)
class _How:
    """What all four commands are told."""

    plan: str
    reason: str
    namespace: str | None
    context: str | None
    sure: bool
    dry_run: bool
    watch: bool
    as_json: bool


def drill(
    plan: Plan,
    reason: Reason = "rehearsal",
    lost: Annotated[Lost, typer.Option(help="What is taken to be lost.")] = Lost.SITE,
    channel: Annotated[str | None, typer.Option(help="Which channel, with --lost Channel.")] = None,
    at_position: Annotated[
        int | None,
        typer.Option(min=0, help="Position in the acting site's journal; its end by default."),
    ] = None,
    namespace: Namespace = None,
    context: Context = None,
    yes: Yes = False,
    dry_run: DryRun = False,
    watch: Watch = False,
    as_json: AsJson = False,
) -> None:
    """Rehearse a takeover at the standby, on a copy: production serves on, nothing is sent.

    Run it with the kubeconfig of the standby. Nothing is asked: a drill changes nothing outside.

    Exit codes: 0 the run is made; 1 it was refused; 2 wrong options; 3 no cluster. With --watch
    those of `wayfare recovery watch`.

    Example: wayfare recovery drill retail -n bank --reason "before the release" --watch
    """
    if (channel is not None) != (lost is Lost.CHANNEL):
        raise typer.BadParameter("--channel goes with --lost Channel, and only with it")
    scenario: dict[str, Any] = {"lost": str(lost)}
    if channel is not None:
        scenario["channel"] = channel
    if at_position is not None:
        scenario["atPosition"] = at_position
    how = _How(plan, reason, namespace, context, True, dry_run, watch, as_json)
    _start("Drill", how, {"scenario": scenario})


def switchover(
    plan: Plan,
    reason: Reason,
    namespace: Namespace = None,
    context: Context = None,
    yes: Yes = False,
    dry_run: DryRun = False,
    watch: Watch = False,
    as_json: AsJson = False,
) -> None:
    """Move the work to this site while the other one is well: it stops, seals and hands over.

    Run it with the kubeconfig of the site that is to act. It never becomes a failover by itself.

    Exit codes: as `wayfare recovery drill`; 2 also when nobody is there to confirm.

    Example: wayfare recovery switchover retail -n bank --reason "kernel updates in east"
    """
    how = _How(plan, reason, namespace, context, yes, dry_run, watch, as_json)
    _start("Switchover", how, {})


def failover(
    plan: Plan,
    reason: Reason,
    statement: Annotated[
        str | None,
        typer.Option(
            help="Your word that the other site is off, or cut off from its channels, and how you "
            "know. Needed while it is healthy or its state is unknown, and with takeover: "
            "Statement. Kept for the auditor, with your name.",
        ),
    ] = None,
    fault_at: Annotated[
        str | None,
        typer.Option(
            help="When the fault began: a time, or so long ago, such as 5m; the recovery time "
            "counts from it. When the other site was last heard of by default."
        ),
    ] = None,
    store: StoreUrl = None,
    namespace: Namespace = None,
    context: Context = None,
    yes: Yes = False,
    dry_run: DryRun = False,
    watch: Watch = False,
    as_json: AsJson = False,
) -> None:
    """Take the work for this site, because the other one is lost. What may go wrong is shown, and
    you are asked.

    Run it with the kubeconfig of the site that is to act. Where --store or WAYFARE_OBJECT_STORE_URL
    names the store, the figures are those of the other site's newest beat.

    Exit codes: as `wayfare recovery drill`; 2 also when nobody is there to confirm.

    Example: wayfare recovery failover retail -n bank --reason "east does not answer" --fault-at 5m
    """
    from wayfare_engine.cli.moments import since
    from wayfare_engine.clock import now

    more: dict[str, Any] = {}
    if statement is not None:
        if len(statement.strip()) < 20:
            raise typer.BadParameter(
                "say that the other site is off or cut off, and how you know (20 characters or "
                "more)",
                param_hint="--statement",
            )
        more["statement"] = {"text": statement.strip()}
    if fault_at is not None:
        moment = since(fault_at, now())
        if moment > now():
            raise typer.BadParameter("is in the future", param_hint="--fault-at")
        more["faultAt"] = moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
    how = _How(plan, reason, namespace, context, yes, dry_run, watch, as_json)
    _start("Failover", how, more, store=store)


def failback(
    plan: Plan,
    reason: Reason,
    namespace: Namespace = None,
    context: Context = None,
    yes: Yes = False,
    dry_run: DryRun = False,
    watch: Watch = False,
    as_json: AsJson = False,
) -> None:
    """Give the work back to this site after a failover: what it had and never shipped is recovered
    and decided about row by row, then the work moves as in a switchover.

    Run it with the kubeconfig of the site that returned.

    Exit codes: as `wayfare recovery drill`; 2 also when nobody is there to confirm.

    Example: wayfare recovery failback retail -n bank --reason "east has power again"
    """
    how = _How(plan, reason, namespace, context, yes, dry_run, watch, as_json)
    _start("Failback", how, {})


def _start(kind: str, how: _How, more: dict[str, Any], *, store: str | None = None) -> None:
    from wayfare_engine.recovery.report.shown import one_line
    from wayfare_engine.resources import RecoveryPlan, parse
    from wayfare_engine.resources.kinds import API_VERSION

    kube = Kube(how.namespace, how.context)
    plan = parse(kube.get("RecoveryPlan", how.plan))
    assert isinstance(plan, RecoveryPlan)
    _say_phase(kind, plan)
    if kind != "Drill":
        for line in _lines(kind, plan, store, stated="statement" in more):
            typer.echo(f"- {one_line(line)}", err=True)
        if not how.dry_run:
            confirm(f"Start this {kind.lower()} of {plan.plan_name}?", sure=how.sure)
    made = kube.create(
        {
            "apiVersion": API_VERSION,
            "kind": "RecoveryRun",
            "metadata": {
                "generateName": f"{kind.lower()}-",
                "namespace": kube.in_namespace(),
                "annotations": {_AUTHOR: kube.user()},
            },
            "spec": {
                "planRef": {"name": how.plan},
                "kind": kind,
                "reason": how.reason,
                **more,
            },
        },
        dry_run=how.dry_run,
    )
    name, namespace = made["metadata"]["name"], kube.in_namespace()
    if how.dry_run:
        typer.echo("the API server accepts it; nothing was made", err=True)
        return
    if how.as_json:
        facts = {"name": name, "namespace": namespace, "kind": kind, "plan": how.plan}
        typer.echo(json.dumps(facts | {"uid": made["metadata"]["uid"]}))
    else:
        typer.echo(f"{kind} {name} is made in namespace {namespace}")
    if how.watch:
        look = by_cluster(name, namespace, how.context)
        raise typer.Exit(follow(look, as_json=how.as_json))
    if not how.as_json:
        typer.echo(f"follow it: wayfare recovery watch {name} -n {namespace}", err=True)


def _say_phase(kind: str, plan: RecoveryPlan) -> None:
    """That the run will be rejected, as far as the plan's status tells; the operator decides."""
    from wayfare_engine.resources import Phase, RunKind
    from wayfare_engine.resources.phases import may_begin, why_not

    told = plan.status.phase
    if told not in list(Phase) or may_begin(Phase(told), RunKind(kind)):
        return
    typer.echo(f"- {why_not(Phase(told), RunKind(kind))}. It will be rejected.", err=True)


def confirm(question: str, *, sure: bool) -> None:
    """Ask the person at the terminal; exit code 2 when there is none, 1 when they say no."""
    if sure:
        return
    if not sys.stdin.isatty():
        typer.echo(
            "wayfare: nothing was made: nobody is there to confirm this; --yes says it is meant",
            err=True,
        )
        raise typer.Exit(USAGE)
    typer.confirm(question, abort=True, err=True)


def _lines(kind: str, plan: RecoveryPlan, store: str | None, *, stated: bool) -> tuple[str, ...]:
    """What a person reads before they start it."""
    from wayfare_engine.runs.procedures import procedure

    if kind == "Failover":
        return _failover_lines(plan, store, stated=stated)
    status, names = plan.status, tuple(site.name for site in plan.spec.sites)
    acting = status.acting_site
    others = [name for name in names if name != acting]
    target = others[0] if acting in names else "the site of this cluster"
    back = procedure(kind).point_of_no_return
    said = [
        f"Site {target} takes the work of plan {plan.plan_name} over from "
        f"{f'site {acting}' if acting else 'the site that acts, which is unknown'}, which must be "
        "well and reach the object store: it is asked, and never forced.",
        f"From Quiesce until Activate no site sends, for some seconds; inline decisions go on. "
        f"Until {back} it can be abandoned, and the old site goes on; after it the only way is "
        "forward.",
    ]
    if kind == "Failback":
        said.insert(
            1,
            "First the rows that this site had and never shipped are read from its disk and "
            "decided about by written rules; what was sent or promised since stays as it is.",
        )
    return tuple(said)


def _failover_lines(plan: RecoveryPlan, store: str | None, *, stated: bool) -> tuple[str, ...]:
    from wayfare_engine.lease import Takeover, Terms
    from wayfare_engine.lease.signing import Behind, Holding, ToSign
    from wayfare_engine.resources.fields import parse_duration

    spec, status = plan.spec, plan.status
    names = tuple(site.name for site in spec.sites)
    holder: Any = Holding(status.acting_site or "unknown", status.epoch or 0)
    lag = status.lag
    beat: Any = Behind(lag.rows if lag else None, lag.as_of if lag else None)
    known = status.acting_site in names
    read = _from_store(store, f"{plan.metadata.namespace}.{spec.engine_ref.name}")
    if read is not None:
        holder, beat = read
        known = holder.site in names
    target = spec.other(holder.site).name if known else "of this cluster"
    said = list(
        ToSign(
            plan=plan.plan_name,
            site=target,
            epoch=holder.epoch + 1,
            holder=holder,
            beat=beat,
            terms=Terms(
                parse_duration(spec.lease.ttl).total_seconds(),
                spec.lease.clock_error_percent / 100,
                parse_duration(spec.lease.hand_over).total_seconds(),
            ),
            takeover=Takeover(spec.takeover),
            stated=stated,
        ).lines()
    )
    if not known:
        said.insert(0, "Which site acts is unknown here: look at the plan's status first.")
    seen = next((site for site in status.sites if site.name == holder.site), None)
    state = seen.state if seen and seen.state else "Unknown"
    beacon = f"{seen.last_beacon:%Y-%m-%d %H:%M:%S} UTC" if seen and seen.last_beacon else "never"
    said.append(
        f"Site {holder.site} is {state} by the plan's status; its newest beacon: {beacon}. While "
        "it is healthy or unknown, a failover needs --statement."
    )
    return tuple(said)


def _from_store(store: str | None, plan: str) -> tuple[Any, Any] | None:
    """The newest lease and its holder's beat, where the store is named. Raises StoreProblem."""
    from wayfare_engine.cli.recovery_options import open_named_store
    from wayfare_engine.lease.beats import read_beat
    from wayfare_engine.lease.epochs import highest
    from wayfare_engine.objectstore.marker import check

    if not (store or os.environ.get("WAYFARE_OBJECT_STORE_URL")):
        return None
    opened = open_named_store(store)
    check(opened, plan)
    lease = highest(opened, plan)
    return None if lease is None else (lease, read_beat(opened, plan, lease.site))
