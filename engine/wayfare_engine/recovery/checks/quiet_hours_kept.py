"""QuietHoursKept: nobody was contacted within quiet hours, by the clock where they live.

A contact's time is exactly the one at which its quiet hours were asked. The zone is the one that
the customer has now. Tests that are no customer's do not count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final, LiteralString
from zoneinfo import ZoneInfo

from psycopg import Connection

from wayfare_engine.clock import new_id
from wayfare_engine.customers.lookup import CustomerLookup
from wayfare_engine.outbox.channel import NOBODY
from wayfare_engine.outbox.governance import quiet_until
from wayfare_engine.privacy import CustomerKeys
from wayfare_engine.recovery.checks.check import Check, Cost, Found, Step, failed, passed, unknown
from wayfare_engine.recovery.checks.looking import Looking, Source
from wayfare_engine.recovery.checks.rules_in_force import QuietInForce, in_force
from wayfare_engine.resources import CheckLevel
from wayfare_engine.store.blob_cache import BlobCache

_BATCH: Final = 5000
_CONTACTS: Final[LiteralString] = """
SELECT c.send_key, c.customer_id, c.channel, c.at
FROM wayfare.contacts c LEFT JOIN wayfare.outbox o ON o.send_key = c.send_key
WHERE NOT (coalesce(o.test, false) AND starts_with(c.customer_id, %s))
"""
Zones = Callable[[set[str]], Mapping[str, str]]


def _ask(at: Looking) -> Found:
    findings: list[Any] = []
    contacts = earlier = 0
    with at.database() as connection:
        found = in_force(connection)
        if found is None:
            return unknown("no plan was published here, so no quiet hours are known")
        saw = {
            "plan": found.plan,
            "since": None if found.since is None else found.since.isoformat(),
        }
        rules = found.rules.quiet
        if not rules:
            return passed("the plan has no quiet hours", {"contacts": 0, "rules": 0}, **saw)
        zones = _zones(at, connection, found.rules.zone_attribute)
        quiet = _Quiet(rules)
        with connection.cursor(name="contacts") as cursor:
            cursor.itersize = _BATCH
            cursor.execute(_CONTACTS, (NOBODY,))
            while some := cursor.fetchmany(_BATCH):
                contacts += len(some)
                at.say(f"QuietHoursKept: {contacts:,} contacts")
                whose = zones({customer for _, customer, _, _ in some})
                for moment, finding in _within(some, quiet, whose):
                    if found.since is not None and moment < found.since:
                        earlier += 1
                    else:
                        findings.append(finding)
    figures = {
        "contacts": contacts,
        "rules": len(rules),
        "within": len(findings),
        "beforeTheseRules": earlier,
    }
    if findings:
        return failed(
            f"{len(findings):,} of {contacts:,} contacts fell within quiet hours",
            figures,
            findings,
            **saw,
        )
    return passed(f"none of {contacts:,} contacts fell within quiet hours", figures, **saw)


class _Quiet:
    """Which rule is against a contact. Windows begin and end with a minute, so what is known of a
    minute in a zone is known of all contacts in it."""

    def __init__(self, rules: tuple[QuietInForce, ...]) -> None:
        self._rules = rules
        self._known: dict[tuple[int, ZoneInfo, datetime], bool] = {}

    def broken(
        self, channel: str, zone: ZoneInfo | None, moment: datetime
    ) -> tuple[QuietInForce, ZoneInfo] | None:
        """The first one, and the zone that it was read in; `zone` is the customer's own."""
        minute = moment.replace(second=0, microsecond=0)
        for place, rule in enumerate(self._rules):
            if rule.channels is not None and channel not in rule.channels:
                continue
            where = zone or rule.zone
            key = (place, where, minute)
            within = self._known.get(key)
            if within is None:
                within = quiet_until(rule.windows, where, moment) is not None
                self._known[key] = within
            if within:
                return rule, where
        return None


def _within(
    some: list[tuple[str, str, str, datetime]], quiet: _Quiet, zones: Mapping[str, str]
) -> Iterator[tuple[datetime, dict[str, Any]]]:
    for key, customer, channel, moment in some:
        broken = quiet.broken(channel, _zone(zones.get(customer)), moment)
        if broken is not None:
            rule, zone = broken
            local = moment.astimezone(zone).isoformat()
            yield (
                moment,
                {"sendKey": key, "of": rule.of, "at": moment.isoformat(), "local": local},
            )


def _zones(at: Looking, connection: Connection[Any], attribute: str | None) -> Zones:
    if attribute is None:
        return lambda customers: {}

    @contextmanager
    def connected() -> Iterator[Connection[Any]]:
        yield connection

    def keys(over: Connection[Any]) -> CustomerKeys | None:
        if at.masters is None:
            return None
        return CustomerKeys(over, at.store, at.masters, ids=new_id)

    # Without the store: looking brings no blob into the database.
    lookup = CustomerLookup(connected, None, [attribute], keys=keys, cache=BlobCache())
    return lookup.zones(attribute)


def _zone(name: str | None) -> ZoneInfo | None:
    try:
        return None if name is None else ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return None


CHECK = Check(
    name="QuietHoursKept",
    level=CheckLevel.BUSINESS,
    gate=False,
    cost=Cost.CHEAP,
    guards="No contact fell within the quiet hours of the engine or its channel, in the "
    "customer's own time zone.",
    seen="The send key and the local time of each contact within quiet hours.",
    unclear="The database does not answer, no plan was published here, or the customers' zones "
    "cannot be read.",
    steps=frozenset({Step.VERIFY, Step.SCHEDULE}),
    needs=(Source.DATABASE,),
    ask=_ask,
)
