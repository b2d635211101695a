"""The caps and quiet hours that this site's plan has, and since when they are as they are.

Rows of contacts do not say under which plan they were made. Where this database knows a plan with
other rules, only contacts since the present one came are judged; else all are.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from psycopg import Connection

from wayfare_engine.plan import PlanChannel, PlanWindow
from wayfare_engine.plan.parts import plan_windows
from wayfare_engine.resources import parse_duration
from wayfare_engine.resources.channel import ChannelSpec
from wayfare_engine.resources.engine import Governance
from wayfare_engine.resources.timing import Cap, QuietHours


@dataclass(frozen=True)
class CapInForce:
    """At most `limit` contacts in any `per` through `channels`; `of`: the engine, or a channel."""

    of: str
    name: str
    limit: int
    per: timedelta
    channels: frozenset[str]


@dataclass(frozen=True)
class QuietInForce:
    """Nobody is contacted within the windows through `channels` (None: through any)."""

    of: str
    windows: tuple[PlanWindow, ...]
    zone: ZoneInfo
    channels: frozenset[str] | None


@dataclass(frozen=True)
class Rules:
    """What governs contacts by one plan. `zone_attribute`: whose value is a customer's zone."""

    caps: tuple[CapInForce, ...]
    quiet: tuple[QuietInForce, ...]
    zone_attribute: str | None


@dataclass(frozen=True)
class InForce:
    """The rules of the wanted plan, and since when no other are known here (None: always)."""

    plan: str
    rules: Rules
    since: datetime | None


class _Parts(msgspec.Struct, frozen=True):
    """The parts of a plan's bytes that govern contacts."""

    channels: dict[str, PlanChannel] = {}
    governance: dict[str, Any] = {}


_PLANS = """
SELECT p.digest, p.body, p.digest = w.digest, w.wanted_at
FROM wayfare.plans p CROSS JOIN wayfare.wanted_plan w
"""


def in_force(connection: Connection[Any]) -> InForce | None:
    """None when no plan is wanted here. Raises pydantic's ValidationError, msgspec's error."""
    present: tuple[str, Rules, datetime] | None = None
    others: list[Rules] = []
    for digest, body, wanted, wanted_at in connection.execute(_PLANS).fetchall():
        found = rules(msgspec.json.decode(bytes(body), type=_Parts))
        if wanted:
            present = digest, found, wanted_at
        else:
            others.append(found)
    if present is None:
        return None
    digest, mine, wanted_at = present
    return InForce(digest, mine, wanted_at if any(o != mine for o in others) else None)


def rules(parts: _Parts) -> Rules:
    """Of one plan."""
    engine = Governance.model_validate(parts.governance)
    specs = {n: ChannelSpec.model_validate(c.spec) for n, c in sorted(parts.channels.items())}
    caps = [_cap("the engine", cap, specs) for cap in engine.caps]
    quiet = []
    if engine.quiet_hours is not None:
        quiet.append(_quiet("the engine", engine.quiet_hours, None))
    for name, spec in specs.items():
        own = {name: spec}
        caps += [_cap(f"channel {name}", cap, own) for cap in spec.caps]
        if spec.quiet_hours is not None:
            quiet.append(_quiet(f"channel {name}", spec.quiet_hours, frozenset(own)))
    return Rules(
        tuple(cap for cap in caps if cap.channels), tuple(quiet), engine.time_zone_attribute
    )


def _cap(of: str, cap: Cap, specs: dict[str, ChannelSpec]) -> CapInForce:
    counted = frozenset(n for n, s in specs.items() if not cap.media or s.medium in cap.media)
    return CapInForce(of, cap.name, cap.max, parse_duration(cap.per), counted)


def _quiet(of: str, spec: QuietHours, channels: frozenset[str] | None) -> QuietInForce:
    return QuietInForce(of, plan_windows(spec.windows), ZoneInfo(spec.time_zone), channels)
