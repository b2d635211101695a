"""Decision replay: real decisions of a real serving pod, decided again at the other site."""

from __future__ import annotations

import random
import uuid
from dataclasses import dataclass
from typing import Any

import httpx
import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.checks.making import (
    assert_failed,
    assert_passed,
    assert_unknown,
    facts,
    followed,
    kept,
    look,
    published,
    sealed,
    sql,
)
from tests.engine.plans import bank_plan, write_customers
from tests.journal.making import PLAN
from tests.servers import web
from tests.servers.emptying import empty
from tests.servers.engine import engine_processes
from tests.servers.wait import until
from wayfare_engine.clock import now
from wayfare_engine.ledger import Kind
from wayfare_engine.ledger.bodies import Erasure
from wayfare_engine.objectstore import ObjectStore, open_store
from wayfare_engine.plan import Plan
from wayfare_engine.recovery.checks import Objectives
from wayfare_engine.recovery.replay import Sampler
from wayfare_engine.recovery.replay.sampling import shares
from wayfare_engine.runs import CheckResult

#: Some get the deposit on their accounts page, some the welcome, some nothing.
PEOPLE = [(f"c{n}", 30 + n, 100.0 * n, "no") for n in range(40)]


@dataclass
class Decided:
    """What is left of a site that decided: its store, its plans, and how many decisions."""

    store: ObjectStore
    plans: tuple[Plan, ...]
    decisions: int


@pytest.fixture(scope="module")
def decided(databases: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> Decided:
    """East serves by one plan and then by another; all of it is sealed."""
    east, folder = databases[0], tmp_path_factory.mktemp("decided")
    empty(east)
    url = f"file://{folder}/store"
    plans = (bank_plan(extra=("rare",)), bank_plan(title="Another", extra=("rare",)))
    asked = 0
    environment = {
        "WAYFARE_OBJECT_STORE_URL": url,
        "WAYFARE_RECOVERY_PLAN": PLAN,
        "WAYFARE_LEASE_TAKE_FIRST": "true",
    }
    with engine_processes(east) as processes:
        processes._environment |= environment
        worker, serve = processes.start("worker"), processes.start("serve")
        worker.wait_ready()
        file = write_customers(folder / "customers.csv", PEOPLE)
        done = processes.run(
            "import", "customers", str(file), "--id", "id", "--type", "balance=double"
        )
        assert done.returncode == 0, done.stderr.decode()
        key = f"Bearer {processes.key()}"
        for plan in plans:
            assert processes.publish(worker, plan).status_code == 204
            until(
                lambda digest=plan.digest: (  # type: ignore[misc]
                    web.get(serve.url + "/readyz").json().get("plan") == digest
                ),
                what="the plan is served",
                ignoring=(httpx.HTTPError,),
            )
            with httpx.Client(base_url=serve.url, headers={"Authorization": key}) as client:
                until(
                    lambda c=client: c.get("/v1/decisions/x").status_code == 404,  # type: ignore[misc]
                    what="the key is known",
                )
                for customer, *_ in PEOPLE:
                    for page in ("accounts", "cards"):
                        given: dict[str, Any] = {"customer": customer, "slot": "home-banner"}
                        answer = client.post(
                            "/v1/decisions", json=given | {"context": {"page": page}}
                        )
                        assert answer.status_code == 200, answer.text
                        asked += 1
                answer = client.post("/v1/decisions", json={"customer": "c39", "slot": "rare"})
                assert answer.status_code == 200, answer.text
                asked += 1
        serve.stop()
        until(lambda: _written(east) == asked, what="all decisions are in the ledger")
        worker.stop()
    store = open_store(url)
    sealed(east, store)
    return Decided(store, plans, asked)


def _written(dsn: str) -> int:
    with psycopg.connect(dsn) as connection:
        row = connection.execute(
            "SELECT count(*) FROM wayfare.ledger WHERE kind = 'decision'"
        ).fetchone()
    assert row is not None
    return int(row[0])


@pytest.fixture
def west_that_followed(west: str, decided: Decided) -> str:
    """West applied the chain, and has both plans."""
    followed(west, decided.store)
    published(west, *decided.plans)
    return west


def replayed(dsn: str, decided: Decided, *, sample: int = 2000, seed: int = 0) -> CheckResult:
    return look(
        "DecisionsReplayed",
        dsn=dsn,
        store=decided.store,
        objectives=Objectives(replay_sample=sample, replay_seed=seed),
    )


def test_every_decision_comes_out_the_same_at_the_other_site(
    west_that_followed: str, decided: Decided
) -> None:
    result = replayed(west_that_followed, decided)
    assert_passed(result)
    figures = result.figures
    assert figures["sample"] == figures["replayed"] == figures["equal"] == decided.decisions
    assert (figures["differences"], figures["notReplayed"]) == (0, {})
    assert figures["plansLoaded"] == 2, "each plan is made ready once"
    assert figures["strata"] == 4  # deposit, welcome and nobody in one slot, one in the other


def test_memberships_are_this_sites_own_where_they_can_be_told(
    west_that_followed: str, decided: Decided
) -> None:
    """Decisions right after the first computation may have come before it was heard of."""
    hurried = replayed(west_that_followed, decided).figures
    assert hurried["rowsCompared"] + sum(hurried["rowsNotCompared"].values()) == decided.decisions
    sql(
        west_that_followed,
        "UPDATE wayfare.segment_memberships SET as_of = as_of - interval '1 hour'",
    )
    result = replayed(west_that_followed, decided)
    assert_passed(result)
    assert result.figures["rowsCompared"] == decided.decisions


def test_a_membership_that_was_lost_here_is_found(
    west_that_followed: str, decided: Decided
) -> None:
    sql(
        west_that_followed,
        "UPDATE wayfare.segment_memberships SET as_of = as_of - interval '1 hour', blob = "
        "(SELECT blob FROM wayfare.segment_memberships ORDER BY size LIMIT 1)",
    )
    result = replayed(west_that_followed, decided)
    assert_failed(result, "row", "journey")
    finding = kept(decided.store, result)["findings"][0]
    assert {"decision", "slot", "plan", "fields"} == set(finding)
    assert finding["fields"]["row"]["recorded"] != finding["fields"]["row"]["here"]


def test_another_plan_under_a_digest_is_found_by_its_decisions(
    west_that_followed: str, decided: Decided
) -> None:
    """What a pod at this site would serve under the first plan's digest is another thing."""
    other = bank_plan(savers="customer.age < 55")
    sql(
        west_that_followed,
        "UPDATE wayfare.plans SET body = %s WHERE digest = %s",
        other.to_bytes(),
        decided.plans[0].digest,
    )
    result = replayed(west_that_followed, decided)
    assert_failed(result, "slot 1")  # the slot that it does not have
    assert result.figures["differences"] == sum(
        1
        for finding in kept(decided.store, result)["findings"]
        if finding["plan"] == decided.plans[0].digest
    )


def test_what_is_gone_is_counted_as_such_and_not_as_equal(west: str, decided: Decided) -> None:
    followed(west, decided.store)
    published(west, decided.plans[1])  # the first plan never came here
    result = replayed(west, decided)
    assert_passed(result)
    half = decided.decisions // 2
    assert result.figures["notReplayed"] == {"PlanGone": half}
    assert result.figures["equal"] == half
    assert f"{half} could not be decided again" in result.message
    sql(west, "DELETE FROM wayfare.wanted_plan")
    sql(west, "DELETE FROM wayfare.plans")
    assert_unknown(replayed(west, decided), "PlanGone")


def test_erased_customers_are_left_out_and_counted(
    west_that_followed: str, decided: Decided
) -> None:
    # A site that followed holds no epoch, and writes nothing before it does.
    sql(west_that_followed, "SELECT wayfare.raise_epoch(1, true)")
    facts(west_that_followed, (Kind.ERASURE, "c1", Erasure(customer="c1"), now()))
    result = replayed(west_that_followed, decided)
    assert_passed(result)
    assert result.figures["notReplayed"] == {"CustomerErased": 4}


def test_customers_of_another_version_are_not_compared(
    west_that_followed: str, decided: Decided
) -> None:
    sql(west_that_followed, "UPDATE wayfare.customer_version SET version = version + 1")
    result = replayed(west_that_followed, decided)
    assert_passed(result)
    assert result.figures["rowsNotCompared"] == {"CustomersOfAnotherVersion": decided.decisions}


def test_a_sample_has_every_slot_and_journey_and_is_the_same_for_its_seed(
    west_that_followed: str, decided: Decided
) -> None:
    results = [
        replayed(west_that_followed, decided, sample=8, seed=seed).figures for seed in (1, 1, 2)
    ]
    for figures in results:
        assert figures["sample"] == figures["replayed"] == 8
        assert figures["strata"] == 4
    once, again, other = ({name: f[name] for name in ("sample", "equal", "seed")} for f in results)
    assert once == again
    assert other["seed"] == 2


def test_without_decisions_and_without_a_database_nobody_can_tell(
    west: str, store: ObjectStore
) -> None:
    assert_unknown(look("DecisionsReplayed", dsn=west, store=store), "no decision was recorded")
    assert_unknown(look("DecisionsReplayed", store=store), "was not given")


def test_progress_is_told(west_that_followed: str, decided: Decided) -> None:
    told: list[str] = []
    look("DecisionsReplayed", dsn=west_that_followed, store=decided.store, say=told.append)
    assert told[-1] == f"DecisionsReplayed: {decided.decisions} of {decided.decisions}"


# --- the sample

_counts = st.dictionaries(
    st.text("abcdefgh", min_size=1, max_size=2).map(lambda name: (name,)),
    st.integers(1, 60),
    max_size=8,
)


@given(counts=_counts, size=st.integers(1, 80))
def test_shares_are_even_and_use_up_the_size(counts: dict[tuple[str, ...], int], size: int) -> None:
    found = shares(counts, size)
    assert sum(found.values()) == min(size, sum(counts.values()))
    assert all(found[stratum] <= count for stratum, count in counts.items())
    full = [n for stratum, n in found.items() if n < counts[stratum]]
    assert not full or max(found.values()) <= min(full) + 1


@given(counts=_counts, size=st.integers(1, 80), seed=st.integers(0, 9), order=st.randoms())
def test_a_sample_does_not_depend_on_the_order(
    counts: dict[tuple[str, ...], int], size: int, seed: int, order: random.Random
) -> None:
    items = [
        (stratum, uuid.uuid5(uuid.NAMESPACE_OID, f"{stratum}{n}").bytes)
        for stratum, count in counts.items()
        for n in range(count)
    ]
    taken = []
    for _ in range(2):
        sampler: Sampler[bytes] = Sampler(size, seed)
        for stratum, row_id in items:
            sampler.add(stratum, row_id, row_id)
        taken.append(sampler.taken())
        order.shuffle(items)
    assert taken[0] == taken[1]
    assert len(set(taken[0])) == min(size, len(items))
