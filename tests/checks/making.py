"""Facts as the product writes them, and looking at what came of them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg import AsyncConnection

from tests.journal.making import PLAN, SITE, seal_all
from tests.servers.wait import until
from wayfare_engine.clock import new_id, now
from wayfare_engine.customers import applying
from wayfare_engine.facts import Draft, Fact, write
from wayfare_engine.journal.catch_up import catch_up
from wayfare_engine.journal.status import lag
from wayfare_engine.ledger import Kind
from wayfare_engine.ledger.bodies import Assignment, Body, Dispatch, Outcome, Receipt, Transition
from wayfare_engine.objectstore import ObjectStore
from wayfare_engine.outbox import Origin, PlannedSend, plan_send
from wayfare_engine.outbox.facts import record
from wayfare_engine.outbox.keys import instance_key
from wayfare_engine.plan import Plan
from wayfare_engine.recovery.checks import CATALOGUE, Looking
from wayfare_engine.resources import Verdict
from wayfare_engine.runs import CheckResult, evidence
from wayfare_engine.store import blobs
from wayfare_engine.store import plans as plans_sql

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def looking(**given: Any) -> Looking:
    """At site west, whose other site is east."""
    fields: dict[str, Any] = {"plan": PLAN, "site": "west", "other": SITE, "clock": now}
    return Looking(**(fields | given))


def look(name: str, **given: Any) -> CheckResult:
    """One check's answer."""
    return CATALOGUE[name].look(looking(**given))


def kept(store: ObjectStore, result: CheckResult) -> dict[str, Any]:
    """The evidence of an answer."""
    assert result.evidence is not None, result
    found: dict[str, Any] = evidence.get(store, result.evidence)
    return found


def assert_passed(result: CheckResult) -> None:
    assert result.verdict is Verdict.PASSED, result


def assert_failed(result: CheckResult, *words: str) -> None:
    assert result.verdict is Verdict.FAILED, result
    for word in words:
        assert word in result.message, result


def assert_unknown(result: CheckResult, *words: str) -> None:
    assert result.verdict is Verdict.UNKNOWN, result
    for word in words:
        assert word in result.message, result


def sql(dsn: str, statement: str, *given: Any) -> int:
    """Break something by hand; how many rows it touched."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        return connection.execute(statement.encode(), given or None).rowcount


def send(customer: str = "anna", **given: Any) -> PlannedSend:
    """A planned send; its key is that of journey, customer, entry, node and visit."""
    fields: dict[str, Any] = {
        "journey": "default/welcome",
        "customer": customer,
        "entry_key": "",
        "node": "hello",
        "visit": 1,
        "channel": "default/sms",
        "due": NOON,
        "payload": '{"text": "hello"}',
    }
    return PlannedSend(**(fields | given))


def origin(site: str = SITE, epoch: int = 1) -> Origin:
    return Origin(site, epoch, new_id, now)


def facts(dsn: str, *bodies: tuple[Kind, str, Body, datetime]) -> None:
    """Rows of the outbox's kinds, with what follows from them, in one transaction."""
    made = origin()
    rows = [made.row(kind, customer, body, at) for kind, customer, body, at in bodies]
    with psycopg.connect(dsn, autocommit=True) as connection, connection.transaction():
        record(connection, rows)


def sent(
    dsn: str,
    *sends: PlannedSend,
    at: Sequence[datetime] = (NOON,),
    result: str = "Accepted",
    provider: str | None = None,
) -> None:
    """Planned, dispatched at the last of these times, and ended; a time each is an attempt."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        plan_send(connection, sends, origin())
    for one in sends:
        for attempt, moment in enumerate(at, 1):
            last = attempt == len(at)
            dispatch = Dispatch(send_key=one.key, attempt=attempt, channel=one.channel)
            facts(dsn, (Kind.DISPATCH, one.customer, dispatch, moment))
            outcome = Outcome(
                send_key=one.key,
                attempt=attempt,
                result=result if last else "NotAccepted",  # type: ignore[arg-type]
                provider_id=(provider or f"provider-{one.key[:8]}") if last else None,
            )
            facts(dsn, (Kind.OUTCOME, one.customer, outcome, moment))


def receipt(dsn: str, one: PlannedSend, state: Any) -> None:
    facts(dsn, (Kind.RECEIPT, one.customer, Receipt(send_key=one.key, state=state), now()))


def stated(dsn: str, *bodies: Body, site: str = SITE) -> None:
    """Facts with versions (assignments, transitions), as any writer writes them."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        write(connection, [Draft(new_id(), Fact(body, now())) for body in bodies], site=site)


def sealed(dsn: str, store: ObjectStore) -> None:
    """All that was written is in the store."""

    def done() -> bool:
        seal_all(dsn, store)
        with psycopg.connect(dsn, autocommit=True) as connection:
            return lag(connection, SITE, 1).rows == 0

    until(done, what="all rows are sealed")


def followed(dsn: str, store: ObjectStore) -> None:
    """This database applied what the store has, with the blobs that it refers to."""
    applying.register()
    catch_up(dsn, store, plan=PLAN, from_snapshot=False)
    with psycopg.connect(dsn, autocommit=True) as connection:
        blobs.fetch_missing(connection, store)


def arm(customer: str, name: str) -> Assignment:
    """An arm of one experiment."""
    return Assignment(experiment="e", customer=customer, arm=name)


def step(customer: str, node: str, *, entry: str = "") -> Transition:
    """An instance of one journey comes to a node."""
    instance = instance_key("default/welcome", customer, entry)
    return Transition(
        instance=instance,
        journey="default/welcome",
        node=node,
        visit=1,
        state="Active",
        entry_key=entry,
    )


def on_their_way(dsn: str, *customers: str, node: str = "hello", site: str = SITE) -> None:
    """Instances of journeys that are at a node."""
    drafts = [Draft(new_id(), Fact(step(c, node), now(), c)) for c in customers]
    with psycopg.connect(dsn, autocommit=True) as connection:
        write(connection, drafts, site=site)


def published(dsn: str, *plans: Plan) -> None:
    """As the operator does, one after the other; the last one is wanted."""

    async def publish() -> None:
        async with await AsyncConnection.connect(dsn, autocommit=True) as connection:
            for plan in plans:
                await plans_sql.publish(connection, plan.digest, plan.to_bytes())

    asyncio.run(publish())
