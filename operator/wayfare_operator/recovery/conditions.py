"""What a RecoveryPlan says beside Ready: each condition a pure function of what was seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from wayfare_engine.objectstore.witness import witness_shared
from wayfare_engine.resources import ConditionType, Reason, RecoveryPlan
from wayfare_engine.runs import Run
from wayfare_engine.runs.drift import Drift
from wayfare_operator.recovery.desire import Role
from wayfare_operator.recovery.record import Stage, WindowRecord
from wayfare_operator.recovery.takeover import Estimate
from wayfare_operator.status import Extra

#: A beacon that has not changed for so long is stale; they come every few seconds.
BEACON_STALE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Heard:
    """Of one site: seconds that its newest beat and beacon have been the newest, as this operator
    saw it; None before a look, or when there never was one. `…_came`: it was seen to come."""

    site: str
    beat_age: float | None
    beat_came: bool
    beacon_age: float | None
    beacon_came: bool


def lease_lapsed(
    role: Role, heard: Heard | None, *, epoch: int, wait: float, takeover: str, here: str
) -> Extra:
    """Loud when the acting site is silent in both ways; and what to do then."""
    if role == "Acting":
        return _said(
            ConditionType.LEASE_LAPSED, "False", Reason.THIS_SITE_ACTS, "this site holds the epoch"
        )
    if role == "Unknown" or heard is None:
        return _said(
            ConditionType.LEASE_LAPSED,
            "Unknown",
            Reason.STORE_UNREADABLE,
            "the object store does not answer, so nobody can tell; nothing can take over either",
        )
    beat, beacon = heard.beat_age, heard.beacon_age
    stale = beat is not None and beat >= wait
    silent = beacon is None or beacon >= BEACON_STALE_SECONDS
    if stale and silent:
        return _said(
            ConditionType.LEASE_LAPSED,
            "True",
            Reason.ACTING_SITE_SILENT,
            _what_to_do(heard, epoch=epoch, wait=wait, takeover=takeover, here=here),
        )
    if stale:
        return _said(
            ConditionType.LEASE_LAPSED,
            "Unknown",
            Reason.ENGINE_SILENT,
            f"the engine of {heard.site} has not beaten for {beat:.0f} s while its operator goes "
            "on saying that it is there: look at its workers",
        )
    if beat is not None and (heard.beat_came or (heard.beacon_came and not silent)):
        return _said(
            ConditionType.LEASE_LAPSED,
            "False",
            Reason.ACTING_SITE_HEARD,
            f"{heard.site} holds epoch {epoch} and is heard of through the object store",
        )
    return _said(
        ConditionType.LEASE_LAPSED,
        "Unknown",
        Reason.LISTENING,
        f"{heard.site} was not heard of yet since this operator began to listen",
    )


def _what_to_do(heard: Heard, *, epoch: int, wait: float, takeover: str, here: str) -> str:
    beacon = "never" if heard.beacon_age is None else f"not for {heard.beacon_age:.0f} s"
    if takeover == "Lease":
        means = (
            f"Without the store its right to act ended after at most {wait:.1f} s; with the store "
            "it would beat"
        )
        needs = ""
    else:
        means = "takeover is Statement, so its right to act does not end by itself"
        needs = " with spec.statement, that it is off or cut off from its channels"
    return (
        f"{heard.site} holds epoch {epoch}; its engine has not beaten for {heard.beat_age:.0f} s "
        f"and its operator was heard of {beacon}. {means}. If {heard.site} is lost, create a "
        f"RecoveryRun of kind Failover at {here}{needs}: `wayfare recovery failover`, runbook "
        "docs/runbooks/failover.md. If only its way to the object store is broken, mend that: it "
        "holds its sends meanwhile and goes on by itself"
    )


def sends_held(
    role: Role, *, waiting: bool, store_problem: str | None, channels: Sequence[str]
) -> Extra:
    """Whether this site's sends wait, and for what. `channels`: what workers say, one a channel."""
    kind = ConditionType.SENDS_HELD
    if role == "Standby":
        return _said(kind, "False", Reason.OTHER_SITE_ACTS, "this site sends nothing: it stands by")
    if waiting:
        return _said(
            kind, "True", Reason.LEASE_WAIT, "the epoch is taken, and its wait is not over yet"
        )
    if channels:
        return _said(kind, "True", Reason.SENDS_HELD, "; ".join(channels[:5]))
    if store_problem is not None:
        return _said(
            kind,
            "Unknown",
            Reason.STORE_UNREADABLE,
            f"{store_problem}. When workers cannot ask it either, they hold sends after the "
            "lease's ttl, under takeover: Lease; inline decisions go on",
        )
    return _said(kind, "False", Reason.SENDS_OPEN, "no channel says that its sends are held")


def overran(drill: Run | None, limit: timedelta, now: datetime) -> bool:
    """Whether a drill goes on for too long."""
    return drill is not None and now - drill.at > limit


def window_missed(
    last: WindowRecord | None, drill: Run | None, drill_limit: timedelta, now: datetime
) -> Extra:
    """Whether the last window did what it is for; and whether a drill goes on for too long."""
    kind = ConditionType.WINDOW_MISSED
    if drill is not None and overran(drill, drill_limit, now):
        hours = (now - drill.at).total_seconds() / 3600
        return _said(
            kind,
            "True",
            Reason.DRILL_OVERRAN,
            f"drill {drill.name} has gone on for {hours:.1f} h, longer than the longest window "
            f"({drill_limit.total_seconds() / 3600:.1f} h): see its step, retry or abandon it",
        )
    if last is None:
        return _said(kind, "Unknown", Reason.NO_WINDOW_YET, "no window has ended yet")
    when = f"window {last.name} of {last.begins:%Y-%m-%d %H:%M} UTC"
    match last.stage:
        case Stage.MISSED:
            return _said(kind, "True", Reason.WINDOW_MISSED, f"{when} passed: {last.message}")
        case Stage.UNFINISHED if last.caught_up is None:
            return _said(
                kind,
                "True",
                Reason.ENDED_BEFORE_CATCH_UP,
                f"{when} was over before this site had caught up: {last.message}. Make it longer, "
                "or see why it is slow",
            )
        case Stage.UNFINISHED:
            return _said(
                kind,
                "True",
                Reason.ENDED_BEFORE_VERIFY,
                f"{when} was over before the checks: {last.message}",
            )
        case Stage.SUPERSEDED:
            return _said(kind, "False", Reason.WINDOW_DONE, f"{when}: {last.message}")
        case _:
            return _said(kind, "False", Reason.WINDOW_DONE, f"{when}: caught up and checked")


def ready_to_take_over(
    estimate: Estimate,
    objective: float,
    *,
    caught_up: bool,
    at_risk: float | None,
    rpo: float,
    drift: bool | None,
) -> Extra:
    """Whether a failover now would meet the objectives, with the arithmetic. `at_risk`: seconds
    that the oldest record has not been in the journal, by the acting site's last beat; `drift`:
    whether the sites' configuration differs."""
    kind = ConditionType.READY_TO_TAKE_OVER
    if not caught_up:
        return _said(
            kind,
            "False",
            Reason.NEVER_CAUGHT_UP,
            f"this site has never caught up with the journal: {estimate.arithmetic}",
        )
    met = estimate.meets(objective)
    if met == "False":
        return _said(kind, "False", Reason.OVER_OBJECTIVE, f"too slow: {estimate.arithmetic}")
    if at_risk is not None and at_risk > rpo:
        return _said(
            kind,
            "False",
            Reason.RECORDS_AT_RISK,
            f"the oldest record that is not in the journal is {at_risk:.0f} s old, and the "
            f"objective is {rpo:.0f} s: see why the acting site does not seal",
        )
    if drift:
        return _said(
            kind,
            "False",
            Reason.CONFIGURATION_DIFFERS,
            "the sites' configuration differs: see status.drift",
        )
    if met == "Unknown":
        missing = ", ".join(estimate.unknown)
        return _said(
            kind, "Unknown", Reason.NOT_MEASURED, f"not known yet: {missing}. {estimate.arithmetic}"
        )
    return _said(kind, "True", Reason.WITHIN_OBJECTIVES, estimate.arithmetic)


def standby_told(figures: Mapping[str, object] | None, *, site: str, fresh: bool) -> Extra:
    """What the acting site says of the standby's readiness: what that says of itself."""
    kind = ConditionType.READY_TO_TAKE_OVER
    told = figures.get("ready") if figures else None
    if not fresh or not isinstance(told, Mapping):
        return _said(
            kind, "Unknown", Reason.STANDBY_SILENT, f"{site} says nothing of itself at present"
        )
    status = told.get("status")
    by_word = {str(each): each for each in Reason}
    return _said(
        kind,
        status if status in ("True", "False") else "Unknown",
        by_word.get(str(told.get("reason")), Reason.STANDBY_SILENT),
        f"{site}: {told.get('message', '')}",
    )


def configuration_drift(drift: Sequence[Drift] | None, why_unknown: str) -> Extra:
    """Whether the sites' configuration differs. None is unknown."""
    kind = ConditionType.CONFIGURATION_DRIFT
    if drift is None:
        return _said(kind, "Unknown", Reason.NOT_COMPARED, why_unknown)
    if not drift:
        return _said(kind, "False", Reason.SAME_CONFIGURATION, "both sites have the same objects")
    some = "; ".join(each.said() for each in drift[:3])
    more = f" and {len(drift) - 3} more" if len(drift) > 3 else ""
    return _said(kind, "True", Reason.CONFIGURATION_DIFFERS, f"{some}{more}")


def witness(plan: RecoveryPlan) -> Extra:
    """Whether the loss of one site would take the object store along."""
    domains = {site.name: site.failure_domain for site in plan.spec.sites}
    found = witness_shared(plan.spec.object_store.failure_domain, domains)
    by_word = {str(each): each for each in Reason}
    return _said(ConditionType.WITNESS_SHARED, found.status, by_word[found.reason], found.message)


def _said(kind: ConditionType, status: object, reason: Reason, message: str) -> Extra:
    assert status in ("True", "False", "Unknown")
    return Extra(kind, status, reason, message)
