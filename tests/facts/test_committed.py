"""Facts that are answered for once they are committed: versions, repeats, groups, lost answers."""

from __future__ import annotations

import asyncio
import random
import threading
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import pytest
from prometheus_client import CollectorRegistry
from psycopg.conninfo import make_conninfo

from tests.facts.making import NOW, equal_to_a_rebuild
from tests.journal.making import SITE, sealing
from tests.servers.postgresql import rows
from tests.servers.tcpproxy import proxied
from tests.servers.wait import until
from wayfare_engine.clock import new_id
from wayfare_engine.facts import (
    Ack,
    Acknowledged,
    CommittedWriter,
    Draft,
    Fact,
    JournalWatch,
    NotAcknowledged,
    Why,
    Written,
    write,
)
from wayfare_engine.facts.fact import STATES
from wayfare_engine.facts.versions import lock_numbers
from wayfare_engine.ledger import Kind, fence
from wayfare_engine.ledger.bodies import (
    Approval,
    Assignment,
    AttributeChange,
    Event,
    Identity,
    ListMember,
    OptOut,
    Outcome,
    Raw,
    Receipt,
    Task,
    TaskState,
    Transition,
)
from wayfare_engine.metrics import FactMetrics
from wayfare_engine.objectstore import ObjectStore
from wayfare_engine.store.postgresql import Postgresql


def event(client_id: str | None = None, *, customer: str = "anna", name: str = "buy") -> Fact:
    return Fact(Event(customer=customer, name=name, client_id=client_id), NOW)


def attribute(value: int, *, customer: str = "anna", name: str = "age") -> Fact:
    body = AttributeChange(customer=customer, name=name, value=Raw(str(value).encode()))
    return Fact(body, NOW)


def write_now(dsn: str, *facts: Fact) -> list[Written]:
    with psycopg.connect(dsn, autocommit=True) as connection:
        return write(connection, [Draft(new_id(), fact) for fact in facts], site=SITE)


@asynccontextmanager
async def writing(dsn: str, **given: Any) -> AsyncIterator[CommittedWriter]:
    pool = Postgresql(dsn, application="tests")
    await pool.open()
    watch = JournalWatch(pool)
    watch.start()
    options: dict[str, Any] = {"site": SITE, "ids": new_id, "watch": watch}
    metrics = FactMetrics(CollectorRegistry())
    writer = CommittedWriter(dsn, **(options | {"metrics": metrics} | given))
    writer.start()
    try:
        yield writer
    finally:
        await writer.stop()
        await watch.stop()
        await pool.close()


def with_writer(dsn: str, work: Callable[[CommittedWriter], Any], **given: Any) -> Any:
    async def run() -> Any:
        async with writing(dsn, **given) as writer:
            return await work(writer)

    return asyncio.run(run())


def test_every_kind_of_fact_reaches_its_projection_and_the_journal(
    live: str, dr: str, store: ObjectStore
) -> None:
    facts = [
        event("e1"),
        Fact(Receipt(send_key="s", state="delivered"), NOW, customer="anna"),
        Fact(Outcome(send_key="s", attempt=1, result="Accepted"), NOW, customer="anna"),
        Fact(Task(send_key="s", channel="branch", outcomes=("reached",)), NOW, customer="anna"),
        Fact(TaskState(send_key="s", state="Open", assignee="b17"), NOW, customer="anna"),
        Fact(
            Transition(instance="i", journey="j", node="n", visit=1, state="Active"),
            NOW,
            customer="anna",
        ),
        attribute(41),
        Fact(Identity(kind="email", value="x@y", customer="anna"), NOW),
        Fact(ListMember(list="vip", customer="anna", member=True), NOW),
        Fact(OptOut(customer="anna", channel="sms", out=True), NOW),
        Fact(Assignment(experiment="e", customer="anna", arm="b"), NOW),
        Fact(Approval(subject="s", decision="Approved", by="ben"), NOW),
    ]

    written = write_now(live, *facts)

    assert [one.version for one in written] == [None] * 4 + [1] * 8
    for state in STATES.values():
        assert rows(live, f"SELECT count(*) FROM wayfare.{state.table}") == [(1,)], state.table
    assert equal_to_a_rebuild(live, dr, store) == len(facts)


def test_what_names_no_customer_or_is_no_fact_is_not_made() -> None:
    with pytest.raises(ValueError, match="name its customer"):
        Fact(Receipt(send_key="s", state="delivered"), NOW)
    with pytest.raises(ValueError, match="NUL"):
        event("a\0b")
    with pytest.raises(TypeError):
        Fact(NotAcknowledged, NOW)  # type: ignore[arg-type]


def test_many_writers_of_one_key_give_versions_without_a_gap_or_a_double(
    live: str, dr: str, store: ObjectStore
) -> None:
    writers, each = 8, 25
    given: dict[int, int] = {}
    lock = threading.Lock()

    def work(number: int) -> None:
        source = random.Random(number)
        with psycopg.connect(live, autocommit=True) as connection:
            for i in range(each):
                value = number * 1000 + i
                facts = [attribute(value), attribute(value, name="other")]
                source.shuffle(facts)
                drafts = [Draft(new_id(), fact) for fact in facts]
                written = write(connection, drafts, site=SITE)
                place = next(n for n, d in enumerate(drafts) if d.fact.key == "anna/age")
                with lock:
                    version = written[place].version
                    assert version is not None
                    assert version not in given
                    given[version] = value

    threads = [threading.Thread(target=work, args=(n,)) for n in range(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(given) == list(range(1, writers * each + 1))
    assert equal_to_a_rebuild(live, dr, store) == 2 * writers * each
    last = "SELECT version, value::text FROM wayfare.profile_changes WHERE name = 'age'"
    assert rows(dr, last) == [(writers * each, str(given[writers * each]))]


def test_several_changes_of_one_key_in_one_transaction_are_in_their_order(live: str) -> None:
    assert [w.version for w in write_now(live, *(attribute(n) for n in range(3)))] == [1, 2, 3]
    assert [w.version for w in write_now(live, attribute(9))] == [4]
    assert rows(live, "SELECT value::text FROM wayfare.profile_changes") == [("9",)]


def test_an_identifier_has_one_version_whichever_customer_it_leads_to(live: str) -> None:
    written = [
        write_now(live, Fact(Identity(kind="email", value="x@y", customer=customer), NOW))[0]
        for customer in ("anna", "ben", "anna")
    ]

    assert [one.version for one in written] == [1, 2, 3]


def test_a_repeat_is_answered_with_the_first_row_and_writes_nothing(live: str) -> None:
    first = write_now(live, event("e1"))[0]

    again = write_now(live, event("e1", name="something else"), event("e2"))

    assert (again[0].id, again[0].repeat, again[0].tx) == (first.id, True, first.tx)
    assert not again[1].repeat
    assert rows(live, "SELECT sum(events)::int FROM wayfare.event_windows") == [(2,)]


def test_a_repeat_within_one_request_is_one_row(live: str) -> None:
    one, two, other = write_now(live, event("e1"), event("e1"), event())

    assert (one.id, one.repeat, two.repeat) == (two.id, False, True)
    assert not other.repeat
    assert rows(live, "SELECT count(*) FROM wayfare.ledger") == [(2,)]


def test_two_repeats_at_once_from_two_connections_are_one_row(live: str) -> None:
    answers: list[Written] = []
    with (
        psycopg.connect(live, autocommit=True) as a,
        psycopg.connect(live, autocommit=True) as b,
    ):
        with a.transaction():
            [first] = write(a, [Draft(new_id(), event("e1"))], site=SITE)
            thread = threading.Thread(
                target=lambda: answers.extend(write(b, [Draft(new_id(), event("e1"))], site=SITE))
            )
            thread.start()
            pid = b.info.backend_pid
            until(
                lambda: rows(live, "SELECT 1 FROM pg_locks WHERE pid = %s AND NOT granted", pid),
                what="the second waits for the first",
            )
        thread.join()

    assert (answers[0].id, answers[0].repeat) == (first.id, True)
    assert rows(live, "SELECT count(*) FROM wayfare.ledger") == [(1,)]


def test_what_the_first_rolled_back_is_no_repeat(live: str) -> None:
    with psycopg.connect(live, autocommit=True) as connection:
        with connection.transaction(force_rollback=True):
            write(connection, [Draft(new_id(), event("e1"))], site=SITE)
        [again] = write(connection, [Draft(new_id(), event("e1"))], site=SITE)

    assert not again.repeat


def test_what_arrives_in_the_meantime_is_one_transaction_and_each_is_answered(
    live: str, dr: str, store: ObjectStore
) -> None:
    async def work(writer: CommittedWriter) -> list[Acknowledged]:
        return await asyncio.gather(
            *(writer.write([event(f"e{i}"), attribute(i)]) for i in range(200))
        )

    answers = with_writer(live, work)

    ids = [one.id for answer in answers for one in answer.written]
    assert len(set(ids)) == 400
    assert rows(live, "SELECT count(*) FROM wayfare.ledger WHERE id = ANY(%s)", ids) == [(400,)]
    [(transactions,)] = rows(live, "SELECT count(DISTINCT tx::text) FROM wayfare.ledger")
    assert transactions <= 4
    assert sorted(a.written[1].version for a in answers) == list(range(1, 201))
    assert equal_to_a_rebuild(live, dr, store) == 400


def test_facts_that_postgresql_refuses_do_not_take_others_along(live: str) -> None:
    bad = AttributeChange(customer="anna", name="age", value=Raw(b"{no json"))

    async def work(writer: CommittedWriter) -> list[Any]:
        return await asyncio.gather(
            *(writer.write([event(f"e{i}")]) for i in range(5)),
            writer.write([Fact(bad, NOW)]),
            *(writer.write([event(f"f{i}")]) for i in range(5)),
            return_exceptions=True,
        )

    answers = with_writer(live, work)

    assert [type(one) for one in answers].count(Acknowledged) == 10
    assert answers[5].why is Why.REFUSED
    assert rows(live, "SELECT count(*) FROM wayfare.ledger") == [(10,)]


def test_connections_that_are_cut_at_any_moment_write_each_fact_once(
    live: str, dr: str, store: ObjectStore
) -> None:
    source = random.Random(3)

    async def acknowledged(writer: CommittedWriter, facts: list[Fact]) -> Acknowledged:
        while True:
            try:
                return await writer.write(facts, commit_seconds=60)
            except NotAcknowledged as error:
                if (error.why, error.maybe) != (Why.AWAY, False):
                    raise  # only where no connection could be made may it be sent again

    async def sender(writer: CommittedWriter, number: int) -> list[uuid.UUID]:
        ids = []
        for i in range(40):
            facts = [event(f"{number}-{i}"), event(), attribute(i, customer=f"c{number}")]
            answer = await acknowledged(writer, facts)
            assert not any(one.repeat for one in answer.written)
            ids += [one.id for one in answer.written]
        return ids

    async def work(writer: CommittedWriter, cut: Callable[[], int]) -> list[list[uuid.UUID]]:
        senders = [asyncio.create_task(sender(writer, n)) for n in range(4)]
        for _ in range(12):
            await asyncio.sleep(source.random() * 0.02)
            await asyncio.to_thread(until, lambda: cut() or all(s.done() for s in senders))
        return await asyncio.gather(*senders)

    async def run() -> list[list[uuid.UUID]]:
        pool = Postgresql(live, application="tests")
        watch = JournalWatch(pool)
        with proxied(live) as (proxy, dsn):
            metrics = FactMetrics(CollectorRegistry())
            writer = CommittedWriter(dsn, site=SITE, ids=new_id, watch=watch, metrics=metrics)
            writer.start()
            try:
                return await work(writer, proxy.cut)
            finally:
                await writer.stop()

    ids = [one for some in asyncio.run(run()) for one in some]

    assert rows(live, "SELECT count(*) FROM wayfare.ledger") == [(480,)]
    assert rows(live, "SELECT count(*) FROM wayfare.ledger WHERE id = ANY(%s)", ids) == [(480,)]
    assert equal_to_a_rebuild(live, dr, store) == 480


def test_a_commit_whose_answer_is_lost_is_found_and_answered(live: str) -> None:
    async def work(writer: CommittedWriter) -> Acknowledged:
        # As if the first attempt's answer had been lost: its rows are there under the same ids.
        made = [Draft(new_id(), event("e1")), Draft(new_id(), attribute(1))]
        with psycopg.connect(live, autocommit=True) as connection:
            first = write(connection, made, site=SITE)
            again = write(connection, made, site=SITE, again=True)
        assert [(w.id, w.repeat, w.tx) for w in again] == [(w.id, False, w.tx) for w in first]
        return await writer.write([event("e1")])

    answer = with_writer(live, work)

    assert answer.written[0].repeat
    assert rows(live, "SELECT count(*) FROM wayfare.ledger") == [(2,)]


def test_more_than_may_wait_is_refused_at_once(live: str) -> None:
    async def work(writer: CommittedWriter) -> list[Any]:
        return await asyncio.gather(
            *(writer.write([event(), event()]) for _ in range(4)), return_exceptions=True
        )

    answers = with_writer(live, work, capacity=5)

    refused = [one for one in answers if isinstance(one, NotAcknowledged)]
    assert {one.why for one in refused} == {Why.BUSY}
    assert rows(live, "SELECT count(*) FROM wayfare.ledger") == [(2 * (4 - len(refused)),)]


def test_a_site_that_does_not_hold_its_epoch_acknowledges_nothing(live: str) -> None:
    with psycopg.connect(live, autocommit=True) as connection:
        fence.raise_epoch(connection, 2, held=False)

    async def work(writer: CommittedWriter) -> None:
        with pytest.raises(NotAcknowledged) as told:
            await writer.write([event("e1")])
        assert (told.value.why, told.value.maybe) == (Why.EPOCH, False)

    with_writer(live, work)
    assert rows(live, "SELECT count(*) FROM wayfare.event_repeats") == [(0,)]


def test_postgresql_that_is_away_is_told_at_once(live: str) -> None:
    async def work(writer: CommittedWriter) -> None:
        with pytest.raises(NotAcknowledged) as told:
            await writer.write([event("e1")], commit_seconds=60)
        assert (told.value.why, told.value.maybe) == (Why.AWAY, False)

    with proxied(live) as (proxy, dsn):
        proxy.close()
        with_writer(dsn, work)


def test_a_database_that_is_read_only_is_not_the_facts_fault(live: str) -> None:
    async def work(writer: CommittedWriter) -> None:
        with pytest.raises(NotAcknowledged) as told:
            await writer.write([event("e1")])
        assert (told.value.why, told.value.maybe) == (Why.FAILED, False)

    with_writer(make_conninfo(live, options="-c default_transaction_read_only=on"), work)


def test_who_does_not_wait_any_longer_is_told_that_it_may_be_written_all_the_same(
    live: str,
) -> None:
    async def work(writer: CommittedWriter) -> None:
        with psycopg.connect(live) as holder:
            holder.execute(
                "SELECT pg_advisory_xact_lock(number) FROM unnest(%s) AS n (number)", locks
            )
            with pytest.raises(NotAcknowledged) as told:
                await writer.write([attribute(1)], commit_seconds=0.5)
        assert (told.value.why, told.value.maybe) == (Why.TIME, True)
        answer = await writer.write([attribute(2)])
        assert answer.written[0].version == 2

    locks = [lock_numbers([attribute(1)])]
    with_writer(live, work)


def test_rows_follow_the_epoch_that_the_database_is_at(live: str) -> None:
    write_now(live, attribute(1))
    with psycopg.connect(live, autocommit=True) as connection:
        fence.raise_epoch(connection, 5)

    [second] = write_now(live, attribute(2))

    assert (second.epoch, second.version) == (5, 2)


def test_journaled_is_told_once_the_rows_are_in_the_store(live: str, store: ObjectStore) -> None:
    async def work(writer: CommittedWriter) -> tuple[Acknowledged, Acknowledged, Acknowledged]:
        early = await writer.write([event("e1")], ack=Ack.JOURNALED, journal_seconds=0.05)
        waiting = asyncio.create_task(
            writer.write([event("e2")], ack=Ack.JOURNALED, journal_seconds=60)
        )
        repeat = asyncio.create_task(
            writer.write([event("e1")], ack=Ack.JOURNALED, journal_seconds=60)
        )
        with sealing(live, store) as sealer:
            while not (waiting.done() and repeat.done()):
                await asyncio.to_thread(sealer.seal_once)
        return early, await waiting, await repeat

    early, late, repeat = with_writer(live, work)

    assert early.ack is Ack.COMMITTED
    assert late.ack is Ack.JOURNALED
    assert (repeat.ack, repeat.written[0].repeat) == (Ack.JOURNALED, True)


def test_every_kind_with_versions_has_a_state() -> None:
    assert set(STATES) == {
        Kind.TRANSITION,
        Kind.ATTRIBUTE,
        Kind.IDENTITY,
        Kind.LIST_MEMBER,
        Kind.OPT_OUT,
        Kind.ASSIGNMENT,
        Kind.APPROVAL,
        Kind.TASK_STATE,
    }
