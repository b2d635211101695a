"""From a Channel's spec and what its host says of itself to what the outbox goes by. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from psycopg import Connection

from wayfare_engine.channels.contract import Description
from wayfare_engine.channels.contract import Key as SaysKey
from wayfare_engine.channels.contract import Query as SaysQuery
from wayfare_engine.content import Prepared, Renderer
from wayfare_engine.guards import BreakerLimits, Manual
from wayfare_engine.ledger.bodies import Guard
from wayfare_engine.outbox.channel import (
    Channel,
    Dedupe,
    Host,
    Key,
    NoDedupe,
    Query,
    Rate,
    Retry,
    Send,
)
from wayfare_engine.outbox.checks import Check, Later, Verdicts
from wayfare_engine.outbox.governance import ChannelCap, Lists, QuietHours, Zones
from wayfare_engine.plan import PlanChannel
from wayfare_engine.plan.parts import plan_windows
from wayfare_engine.resources import parse_duration
from wayfare_engine.resources.channel import ChannelSpec
from wayfare_engine.resources.engine import Governance
from wayfare_engine.resources.timing import Cap
from wayfare_engine.resources.timing import QuietHours as QuietHoursSpec

_PAUSED_SECONDS = 30.0
#: Where a Channel sets no time, its attempts alone decide; a breaker may be open for days.
_LONGEST = 30 * 86_400.0


@dataclass(frozen=True)
class Built:
    """One channel, ready but for its host. `call_seconds`: the longest time of one hand-over."""

    name: str
    digest: str
    url: str
    spec: ChannelSpec
    dedupe: Dedupe
    guard: Guard
    description: Description

    @property
    def manual(self) -> Manual:
        """What a person says of its breaker."""
        return Manual(self.spec.breaker.manual)

    @property
    def built_in(self) -> bool:
        """Whether the engine has it itself, and no host is called."""
        return self.spec.plugin.built_in and not self.url

    @property
    def fallback(self) -> str | None:
        """Plan name of the channel that goes on with what this one did not take."""
        reference = self.spec.fallback
        if reference is None:
            return None
        own = self.name.partition("/")[0]
        return f"{reference.namespace or own}/{reference.name}"

    def breaker_limits(self, call_seconds: float) -> BreakerLimits:
        """Raises BadLimit."""
        return BreakerLimits.of(self.spec.breaker, call_seconds=call_seconds)

    def channel(self, host: Host, renderer: Renderer) -> Channel:
        """As the outbox sees it. Its fallback stays out: see `with_fallbacks`."""
        limits, retry = self.spec.limits, self.spec.retry
        rate = limits.rate
        given_up = retry.give_up_after
        return Channel(
            name=self.name,
            host=host,
            dedupe=self.dedupe,
            guard=self.guard,
            # What is a task at one site is the same task at the other.
            same_account=self.spec.shared_account or self._is("task"),
            # A provider sees sends, not calls of the host, which may each have a hundred.
            concurrency=limits.concurrency,
            at_once=limits.concurrency,
            retry=Retry(
                pause=_seconds(retry.initial_delay),
                longest_pause=_seconds(retry.max_delay),
                give_up_after=_LONGEST if given_up is None else _seconds(given_up),
                attempts=retry.attempts,
                multiplier=retry.multiplier,
                jitter=retry.jitter_percent / 100,
            ),
            queue=limits.queue,
            rate=None if rate is None else Rate(rate.count, _seconds(rate.per)),
            timeout=_seconds(limits.timeout),
            prepare=_preparing(renderer),
            fetched=self._is("pull"),
        )

    def _is(self, name: str) -> bool:
        return self.built_in and self.spec.plugin.name == name


def built(name: str, channel: PlanChannel, says: Description, *, guard: Guard) -> Built:
    """One channel of the plan. Raises pydantic's ValidationError for a spec of another version."""
    spec = ChannelSpec.model_validate(channel.spec)
    return Built(name, channel.digest, channel.url, spec, _dedupe(spec, says), guard, says)


def with_fallbacks(
    channels: Mapping[str, Channel], ways: Mapping[str, Built]
) -> dict[str, Channel]:
    """The channels with those fallbacks that lead somewhere, and to an end."""
    found = {}
    for name, channel in channels.items():
        following = ways[name].fallback
        found[name] = replace(channel, fallback=following) if _ends(name, ways) else channel
    return found


def _ends(name: str, ways: Mapping[str, Built]) -> bool:
    passed = {name}
    following = ways[name].fallback
    while following is not None:
        if following in passed or following not in ways:
            return False
        passed.add(following)
        following = ways[following].fallback
    return True


@dataclass(frozen=True)
class Paused:
    """Nothing leaves through these channels until their specs say otherwise."""

    channels: frozenset[str]

    def __call__(
        self, connection: Connection[Any], sends: Sequence[Send], now: datetime
    ) -> Verdicts:
        """A `Check`."""
        until = now + timedelta(seconds=_PAUSED_SECONDS)
        return {
            s.send_key: Later(until, "paused", by_rule=False)
            for s in sends
            if s.channel in self.channels
        }


def checks(
    ways: Mapping[str, Built], governance: Mapping[str, Any], *, zones: Zones
) -> tuple[Check, ...]:
    """What is asked when a send leaves: pauses, lists, quiet hours, caps; the engine's, then each
    channel's own."""
    found: list[Check] = []
    paused = frozenset(name for name, way in ways.items() if way.spec.paused)
    if paused:
        found.append(Paused(paused))
    engine = Governance.model_validate(governance)
    if engine.block_lists or engine.allow_lists:
        found.append(Lists(frozenset(engine.block_lists), frozenset(engine.allow_lists)))
    if engine.quiet_hours is not None:
        found.append(_quiet(engine.quiet_hours, frozenset(), zones))
    for name, way in ways.items():
        if way.spec.quiet_hours is not None:
            found.append(_quiet(way.spec.quiet_hours, frozenset({name}), zones))
    for cap in engine.caps:
        found.append(_cap(cap, frozenset(n for n, w in ways.items() if _counts(cap, w))))
    for name, way in ways.items():
        found.extend(_cap(cap, frozenset({name})) for cap in way.spec.caps if _counts(cap, way))
    return tuple(found)


def _preparing(renderer: Renderer) -> Callable[[Send], Prepared] | None:
    """None where there is nothing to make: the content goes as it is, to no address but a test's
    own."""
    if renderer.template is None and renderer.address_attribute is None:
        return None
    return renderer.prepare


def _quiet(spec: QuietHoursSpec, channels: frozenset[str], zones: Zones) -> Check:
    return QuietHours(plan_windows(spec.windows), ZoneInfo(spec.time_zone), zones, channels)


def _cap(cap: Cap, channels: frozenset[str]) -> Check:
    return ChannelCap(cap.name, channels, cap.max, _seconds(cap.per))


def _counts(cap: Cap, way: Built) -> bool:
    return not cap.media or way.spec.medium in cap.media


def _dedupe(spec: ChannelSpec, says: Description) -> Dedupe:
    """What the Channel says, or else its plugin."""
    declared = spec.deduplication
    if declared is not None:
        if declared.by == "None" or declared.window is None:
            return NoDedupe()
        return Key(_seconds(declared.window))
    if isinstance(says.dedupe, SaysKey):
        return Key(says.dedupe.window)
    return Query() if isinstance(says.dedupe, SaysQuery) else NoDedupe()


def _seconds(duration: str) -> float:
    return parse_duration(duration).total_seconds()
