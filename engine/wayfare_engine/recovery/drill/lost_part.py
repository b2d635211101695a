"""What a drill's scenario would have cost: rows that are in no journal, sends of which nobody knows
whether they left, channels whose sends would have gone another way or would have waited.

Counted at the copy as it was when it was made, before its own engine went on from there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from psycopg import Connection

from wayfare_engine.journal.chain import fetch, objects, opened
from wayfare_engine.journal.positions import Chain
from wayfare_engine.journal.segment import Closed
from wayfare_engine.objectstore import ObjectStore
from wayfare_engine.plan import Plan
from wayfare_engine.runs.records import LostPart

SITE, POSTGRESQL, VALKEY = "Site", "PostgreSQL", "Valkey"
CHANNEL, OBJECT_STORE = "Channel", "ObjectStore"
WITH_ITS_DISK: Final = frozenset({SITE, POSTGRESQL})
"""Whose loss takes away what is not sealed."""

_MOST_OBJECTS = 20_000

_WAITING = """
SELECT coalesce(fallback, channel), coalesce(guard, 'Journaled'), count(*) FROM wayfare.outbox
WHERE due IS NOT NULL AND attempt <= outcome_attempt
    AND (outcome IS NULL OR outcome IN ('NotAccepted', 'Held'))
GROUP BY 1, 2
"""
_IN_DOUBT = """
SELECT dispatch_channel, count(*) FROM wayfare.outbox
WHERE attempt > outcome_attempt AND outcome IS DISTINCT FROM 'Accepted'
    AND dispatch_channel IS NOT NULL
GROUP BY 1
"""


@dataclass(frozen=True)
class Waiting:
    """Sends whose turn has not come, by channel and guard; and those in doubt, by channel."""

    waiting: Mapping[tuple[str, str], int]
    in_doubt: Mapping[str, int]

    def of(self, channel: str, guard: str | None = None) -> int:
        """How many wait for a channel."""
        return sum(
            rows
            for (name, its), rows in self.waiting.items()
            if name == channel and guard in (None, its)
        )

    @property
    def channels(self) -> list[str]:
        """Those for which something waits."""
        return sorted({name for name, _ in self.waiting})


def waiting(connection: Connection[Any]) -> Waiting:
    """At the copy. Raises psycopg.Error."""
    return Waiting(
        waiting={
            (str(name), str(guard)): int(rows)
            for name, guard, rows in connection.execute(_WAITING)
            if name is not None
        },
        in_doubt={str(name): int(rows) for name, rows in connection.execute(_IN_DOUBT)},
    )


def beyond(store: ObjectStore, chain: Chain, position: int) -> dict[str, Any]:
    """What the acting site's chain holds after a position: rows by kind, by id to be looked up in
    the objects named. Raises StoreProblem, ChainProblem."""
    listed = objects(store, *chain, after=position)
    rows = 0
    oldest: Any = None
    kinds: Counter[str] = Counter()
    for path, data in fetch(store, listed[:_MOST_OBJECTS]):
        found = opened(path, data)
        if isinstance(found, Closed):
            continue
        rows += found.rows.num_rows
        kinds.update(found.rows.column("kind").to_pylist())
        first = min(found.rows.column("at").to_pylist(), default=None)
        oldest = first if oldest is None or (first is not None and first < oldest) else oldest
    return {
        "rows": rows,
        "basis": "Exact" if len(listed) <= _MOST_OBJECTS else "AtLeast",
        "kinds": dict(sorted(kinds.items())),
        "oldestAt": None if oldest is None else oldest.isoformat(),
        "objects": [listed[0].path, listed[-1].path] if listed else [],
        "arithmetic": f"rows of {chain[0]}/{chain[1]} after position {position:,}, read one by one",
    }


NOTHING_STRANDED: Final[dict[str, Any]] = {"rows": 0, "basis": "Exact"}


def cost(
    scenario: LostPart, plan: Plan | None, found: Waiting, stranded: Mapping[str, Any]
) -> dict[str, Any]:
    """All of it, for the result of Measure. `stranded` is used where the disk goes too. Pure."""
    with_disk = scenario.lost in WITH_ITS_DISK
    channels = plan.channels if plan is not None else {}
    specs = {name: one.spec for name, one in channels.items()}
    return {
        "lost": scenario.lost,
        "channel": scenario.channel,
        "atPosition": scenario.at_position,
        "stranded": dict(stranded) if with_disk else dict(NOTHING_STRANDED),
        "inDoubt": _in_doubt(specs, found) if with_disk else [],
        "fellBack": _fell_back(scenario, specs, found),
        "waits": _waits(scenario, specs, found),
        "said": _SAID[scenario.lost],
    }


_SAID: Final = {
    SITE: "what the site had not sealed comes back with its disk, as a stranded tail",
    POSTGRESQL: "what was not sealed is lost with the disk of PostgreSQL",
    VALKEY: "nothing is lost: counters are made again from what is in PostgreSQL",
    CHANNEL: "its sends go on through its fallback, or wait until they expire",
    OBJECT_STORE: "sends that have to be in the journal first wait; decisions go on",
}


def _in_doubt(specs: Mapping[str, dict[str, Any]], found: Waiting) -> list[dict[str, Any]]:
    return [
        {"channel": name, "sends": sends, "then": _then(specs.get(name))}
        for name, sends in sorted(found.in_doubt.items())
    ]


def _then(spec: dict[str, Any] | None) -> str:
    declared = spec or {}
    if not declared.get("sharedAccount"):
        return "listed as Unknown and never repeated: the sites share no account at the provider"
    if (declared.get("deduplication") or {}).get("window"):
        return "handed over again under the same key, while the provider remembers it"
    return "repeated or asked about where the plugin says that it may be, else listed as Unknown"


def _fell_back(
    scenario: LostPart, specs: Mapping[str, dict[str, Any]], found: Waiting
) -> list[dict[str, Any]]:
    if scenario.lost != CHANNEL or scenario.channel is None:
        return []
    return [
        {"channel": name, "to": to, "sends": found.of(name)}
        for name in _named(scenario.channel, specs)
        if (to := fallback_of(name, specs)) is not None
    ]


def _waits(
    scenario: LostPart, specs: Mapping[str, dict[str, Any]], found: Waiting
) -> list[dict[str, Any]]:
    if scenario.lost == OBJECT_STORE:
        return [
            {"channel": name, "sends": found.of(name, "Journaled")}
            for name in found.channels
            if found.of(name, "Journaled")
        ]
    if scenario.lost == CHANNEL and scenario.channel is not None:
        return [
            {"channel": name, "sends": found.of(name)}
            for name in _named(scenario.channel, specs)
            if fallback_of(name, specs) is None
        ]
    return []


def _named(channel: str, specs: Mapping[str, dict[str, Any]]) -> Sequence[str]:
    """Channels of the plan of that name, whatever their namespace."""
    return sorted(name for name in specs if name == channel or name.endswith(f"/{channel}"))


def fallback_of(name: str, specs: Mapping[str, dict[str, Any]]) -> str | None:
    """Where sends of a channel go on, `namespace/name`. Pure."""
    declared = specs.get(name, {}).get("fallback")
    if not declared:
        return None
    namespace = declared.get("namespace") or name.partition("/")[0]
    return f"{namespace}/{declared['name']}"
