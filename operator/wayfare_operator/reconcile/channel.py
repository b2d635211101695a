"""A Channel: the pod of its plugin, and how its sends go."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from wayfare_engine.resources import Channel, ConditionType, Reason
from wayfare_operator.cache import Entry, engine_of
from wayfare_operator.control import ToldChannel
from wayfare_operator.desired.channel import child_name
from wayfare_operator.kube.kinds import DEPLOYMENT, POD, Object, Ref
from wayfare_operator.reconcile.children import Refused, apply_channel_children
from wayfare_operator.reconcile.engine import facts_of
from wayfare_operator.reconcile.fallbacks import fallback_problem
from wayfare_operator.reconcile.pods import Failure, Rollout, failure, rollout
from wayfare_operator.reconcile.problems import invalid, problem_outcome
from wayfare_operator.reconcile.publication import Publication
from wayfare_operator.reconcile.references import refusal
from wayfare_operator.reconcile.world import Key, World
from wayfare_operator.reconcile.writing import write_status
from wayfare_operator.recovery.asleep import asleep
from wayfare_operator.status import Extra, Outcome, State, condition, status, timestamp

#: What changes with every send; written at most once a minute.
_FIGURES = ("sends", "lastError")
_REFUSED_RETRY_SECONDS = 30.0
_DOWN = ("Open", "ForcedOpen")
#: How a worker begins that has no objection to the channel: its site may not act now.
_NOT_HELD = "the right to act"


@dataclass(frozen=True, slots=True)
class Observed:
    """What the decision is made from. `rollout` is None where somebody else runs the host, or
    there is none."""

    entry: Entry
    refused: Outcome | None
    fallback: Outcome | None
    child: Refused | None
    failed: Failure | None
    rollout: Rollout | None
    publication: Publication | None


async def reconcile_channel(world: World, key: Key) -> float | None:
    """Put the children right and tell how a channel stands."""
    ref = Ref("Channel", key.namespace, key.name)
    entry = world.cache.get(ref)
    if entry is None or entry.deleting:
        # Children have owner references. Sends of it wait in the outbox.
        return None
    observed = await _observe(world, entry, ref)
    wanted = decide(observed, world.now())
    if isinstance(entry.resource, Channel):
        why = asleep(world, *engine_of(entry.resource))
        if why is not None and _problem(observed) is None:
            told = Outcome(True, Reason.ASLEEP, why)
            wanted = _status(observed, told, None, world.now())
    if wanted is None:
        return None
    wait = world.figures.hold(entry.uid, entry.status, wanted, _FIGURES, world.clock())
    if wait is not None:
        return wait
    if await write_status(world, entry, wanted):
        world.figures.wrote(entry.uid, world.clock())
    return _REFUSED_RETRY_SECONDS if observed.child is not None else None


async def _observe(world: World, entry: Entry, ref: Ref) -> Observed:
    channel = entry.resource
    if not isinstance(channel, Channel):
        return Observed(entry, None, None, None, None, None, None)
    refused = refusal(channel, world.cache)
    child, failed, rolled_out, publication = None, None, None, None
    engine = world.cache.engine(*engine_of(channel))
    if refused is None and engine is not None:
        child = await apply_channel_children(world, channel, engine, await facts_of(world))
        publication = world.publications.get(engine_of(channel))
        if channel.spec.plugin.url is None and not channel.spec.plugin.built_in:
            failed = failure(world.cache.owned(POD, ref))
            name = child_name(channel)
            deployment = world.cache.child(Ref(DEPLOYMENT.name, ref.namespace, name))
            rolled_out = rollout(deployment, name)
    fallback = fallback_problem(channel, world.cache)
    return Observed(entry, refused, fallback, child, failed, rolled_out, publication)


def decide(observed: Observed, now: datetime) -> Object | None:
    """The whole status; None when the plan has not looked at this spec yet."""
    entry, publication = observed.entry, observed.publication
    if entry.error is not None:
        return _status(observed, invalid(entry.error), None, now)
    assert isinstance(entry.resource, Channel)
    assert entry.spec_digest is not None
    told = publication.told_of(entry.resource.plan_name) if publication is not None else None
    problem = _problem(observed)
    if problem is not None:
        return _status(observed, problem, told, now)
    if publication is None or publication.compiled is None or not publication.looked:
        return None
    name = entry.resource.plan_name
    in_plan = publication.compiled.contents.channels.get(name)
    said = problem_outcome(publication.compiled, ("Channel", name), entry.spec_digest, in_plan)
    if said is not None:
        return _status(observed, said, told, now)
    if in_plan != entry.spec_digest:
        return None  # its compile is on its way
    if publication.told is None:
        return _silent(observed, now)
    return _status(observed, _outcome(observed, told), told, now)


def _problem(observed: Observed) -> Outcome | None:
    """What keeps the spec from being used at all."""
    if observed.refused is not None or observed.fallback is not None:
        return observed.refused or observed.fallback
    if observed.child is not None:
        return Outcome(False, observed.child.reason, observed.child.message, stalled=True)
    if observed.failed is not None:
        return Outcome(False, observed.failed.reason, observed.failed.message, stalled=True)
    return None


def _outcome(observed: Observed, told: ToldChannel | None) -> Outcome:
    assert isinstance(observed.entry.resource, Channel)
    rolled_out = observed.rollout
    if rolled_out is not None and not rolled_out.ready:
        message = f"the pod of {rolled_out.name} is not ready"
        return Outcome(False, Reason.PODS_NOT_READY, message, progressing=True)
    if told is None or told.specs != (observed.entry.spec_digest,):
        message = "not every worker goes by this spec yet"
        return Outcome(False, Reason.PUBLISHING, message, progressing=True)
    extra = (_degraded(told),)
    if told.problem is not None:
        held = told.problem.startswith(_NOT_HELD)
        reason = Reason.SENDS_HELD if held else Reason.HOST_UNREACHABLE
        return Outcome(False, reason, told.problem, progressing=True, extra=extra)
    if observed.entry.resource.spec.paused:
        return Outcome(True, Reason.PAUSED, "spec.paused is true: sends wait", extra=extra)
    return Outcome(True, Reason.SENDING, "workers send through it, by this spec", extra=extra)


def _degraded(told: ToldChannel) -> Extra:
    state, why = told.breaker.state, told.breaker.why
    if state in ("ForcedOpen", "ForcedClosed"):
        message = f"spec.breaker.manual is {state}"
        forced: State = "True" if state == "ForcedOpen" else "False"
        return Extra(ConditionType.DEGRADED, forced, Reason.BREAKER_FORCED, message)
    message = f"the breaker is {_WORDS.get(state, state)}" + (f": {why}" if why else "")
    if state == "Closed":
        return Extra(ConditionType.DEGRADED, "False", Reason.BREAKER_CLOSED, message)
    return Extra(ConditionType.DEGRADED, "True", Reason.BREAKER_OPEN, message)


#: Open and half open are one news: it is tried again and again until it works.
_WORDS = {"Open": "open", "HalfOpen": "open", "Closed": "closed"}


def _silent(observed: Observed, now: datetime) -> Object:
    """No worker answers, so nobody knows. The Engine says why; what was told stands, without its
    health."""
    entry = observed.entry
    ready = condition(entry.status, ConditionType.READY)
    if ready is None or entry.status.get("specDigest") != entry.spec_digest:
        message = "the engine's worker does not answer yet; the Engine's conditions say why"
        outcome = Outcome(False, Reason.WAITING_FOR_ENGINE, message, progressing=True)
        return _status(observed, outcome, None, now)
    return {**entry.status, "health": "Unknown"}


def _status(
    observed: Observed, outcome: Outcome, told: ToldChannel | None, now: datetime
) -> Object:
    entry = observed.entry
    fields: dict[str, Any] = {
        "specDigest": entry.spec_digest,
        "health": _health(entry, outcome, told),
        **(_fields(told) if told is not None else {}),
    }
    return status(outcome, fields, generation=entry.generation, observed=entry.status, now=now)


def _health(entry: Entry, outcome: Outcome, told: ToldChannel | None) -> str:
    if told is None:
        return "Unknown"
    if isinstance(entry.resource, Channel) and entry.resource.spec.paused:
        return "Paused"
    if not outcome.ready or told.breaker.state in _DOWN:
        return "Down"
    return "Degraded" if told.breaker.state == "HalfOpen" else "Healthy"


def _fields(told: ToldChannel) -> dict[str, Any]:
    breaker: dict[str, Any] = {"state": told.breaker.state}
    if told.breaker.since is not None:
        breaker["since"] = timestamp(told.breaker.since)
    if told.breaker.why:
        breaker["why"] = told.breaker.why
    sends: dict[str, Any] = {
        "waiting": told.waiting,
        "inFlight": told.in_flight,
        "unknown": told.unknown,
        "acceptedPerMinute": told.accepted_per_minute,
        "failedPerMinute": told.failed_per_minute,
    }
    if told.p99_milliseconds is not None:
        sends["p99Milliseconds"] = told.p99_milliseconds
    fields: dict[str, Any] = {"breaker": breaker, "sends": sends}
    if told.plugin is not None:
        fields["plugin"] = told.plugin.model_dump(mode="json", by_alias=True, exclude_none=True)
    if told.last_error_at is not None:
        at, message = timestamp(told.last_error_at), told.last_error or ""
        fields["lastError"] = {"at": at, "message": message}
    return fields
