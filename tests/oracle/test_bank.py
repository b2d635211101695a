"""The example bank: segment sizes by SQL, and decisions by plain Python over the raw rows."""

from __future__ import annotations

import csv
import random
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from tests.oracle.building import segment
from tests.oracle.naive import Naive
from tests.servers.bank import bank_csv
from wayfare_engine.decide import Decider
from wayfare_engine.plan import Attribute, AttributeType, Plan, Schema, compile_plan
from wayfare_engine.resources import Engine, Journey, Segment, parse
from wayfare_engine.segments import Columns, MembershipMatrix, compute

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "bank"
AT = datetime(2026, 3, 2, 10, tzinfo=UTC)
PAGES = ["accounts", "home", "cards", "loans", "deposits"]


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    with bank_csv().open(newline="") as file:
        return list(csv.DictReader(file, delimiter=";"))


@pytest.fixture(scope="module")
def resources() -> list[Any]:
    return [
        parse(document)
        for path in sorted(EXAMPLES.glob("*.yaml"))
        for document in yaml.safe_load_all(path.read_text())
        if document and document["kind"] != "Namespace"
    ]


@pytest.fixture(scope="module")
def schema(resources: list[Any]) -> Schema:
    (engine,) = (r for r in resources if isinstance(r, Engine))
    return Schema(
        tuple(Attribute(a.name, AttributeType(a.type)) for a in engine.spec.customers.attributes)
    )


_PYTHON: dict[AttributeType, Callable[[str], Any]] = {
    AttributeType.INT: int,
    AttributeType.DOUBLE: float,
    AttributeType.STRING: str,
}


@pytest.fixture(scope="module")
def customers(rows: list[dict[str, Any]], schema: Schema) -> list[dict[str, Any]]:
    return [{a.name: _PYTHON[a.type](row[a.name]) for a in schema.attributes} for row in rows]


@pytest.fixture(scope="module")
def ids(rows: list[dict[str, Any]]) -> list[str]:
    """The file has no ids: customers are named by their line."""
    return [str(line) for line in range(1, len(rows) + 1)]


@pytest.fixture(scope="module")
def columns(schema: Schema, ids: list[str], customers: list[dict[str, Any]]) -> Columns:
    return Columns.from_rows(schema, zip(ids, customers, strict=True))


def compiled(resources: list[Any], schema: Schema, extra: tuple[Segment, ...] = ()) -> Plan:
    result = compile_plan(
        engine="bank/retail",
        schema=schema,
        segments=[*(r for r in resources if isinstance(r, Segment)), *extra],
        journeys=[r for r in resources if isinstance(r, Journey)],
        previous=None,
    )
    assert not result.problems
    return result.plan


# A rule, and the same question in SQL.
QUESTIONS = {
    'customer.age >= 55 && customer.balance >= 2000.0 && customer.housing == "no"': (
        "age >= 55 AND balance >= 2000 AND housing = 'no'"
    ),
    'customer.job in ["student", "retired"] || customer.age < 25': (
        "job IN ('student', 'retired') OR age < 25"
    ),
    'customer.job.startsWith("self") && customer.education.contains("ary")': (
        "job GLOB 'self*' AND education GLOB '*ary*'"
    ),
    'customer.job.matches("^(admin|tech)") && !(customer.month == "may")': (
        "(job GLOB 'admin*' OR job GLOB 'tech*') AND month <> 'may'"
    ),
    "customer.age % 10 == 5 && customer.campaign * 2 > customer.previous + 3": (
        "age % 10 = 5 AND campaign * 2 > previous + 3"
    ),
    "customer.pdays / 30 == 3": "pdays / 30 = 3",
    "double(customer.age) * 100.0 < customer.balance": "age * 100.0 < balance",
    'customer.loan == customer.housing && customer.marital != "single"': (
        "loan = housing AND marital <> 'single'"
    ),
    "size(customer.job) > 10 ? customer.day > 15 : customer.day <= 15": (
        "CASE WHEN length(job) > 10 THEN day > 15 ELSE day <= 15 END"
    ),
    'customer.poutcome.upperAscii() == "SUCCESS" && customer.balance < 0.0': (
        "upper(poutcome) = 'SUCCESS' AND balance < 0"
    ),
    "customer.contact > customer.poutcome": "contact > poutcome",
}


def test_segment_sizes_equal_counts_by_sql(
    schema: Schema, columns: Columns, ids: list[str], customers: list[dict[str, Any]]
) -> None:
    database = sqlite3.connect(":memory:")
    names = [a.name for a in schema.attributes]
    quoted = ", ".join(f'"{name}"' for name in names)
    database.execute(f"CREATE TABLE customer ({quoted})")
    database.executemany(
        f"INSERT INTO customer VALUES ({', '.join('?' * len(names))})",
        ([customer[name] for name in names] for customer in customers),
    )
    plan = compiled([], schema, tuple(segment(f"q{i}", rule) for i, rule in enumerate(QUESTIONS)))
    found = compute(plan, columns)
    sizes = {s.name: found[s.key].size for s in plan.segments}
    for i, where in enumerate(QUESTIONS.values()):
        (expected,) = database.execute(f"SELECT count(*) FROM customer WHERE {where}").fetchone()
        assert sizes[f"bank/q{i}"] == expected, where
    assert len(set(sizes.values()) - {0}) > 5  # the questions do tell customers apart


def test_a_thousand_customers_get_what_a_plain_evaluator_gives_them(
    resources: list[Any],
    schema: Schema,
    columns: Columns,
    ids: list[str],
    customers: list[dict[str, Any]],
) -> None:
    plan = compiled(resources, schema)
    found = {key: one.bitmap for key, one in compute(plan, columns).items()}
    matrix = MembershipMatrix.build(plan, found, columns.capacity)
    decider = Decider(plan)
    naive = Naive(resources, AT)
    drawn = random.Random(3)
    winners = set()
    for position in drawn.sample(range(len(ids)), 1000):
        raw = SimpleNamespace(**customers[position])
        for slot in decider.slots:
            context = {
                key: value
                for key, value in (
                    ("page", drawn.choice(PAGES)),
                    ("channel", drawn.choice(["app", "web", "branch"])),
                    ("amount", drawn.choice([10, 5000, 250.5])),
                )
                if drawn.random() < 0.8
            }
            decision = decider.decide(slot, matrix.row(position), context, AT)
            winner = decision.winner
            ours = (winner.journey, winner.node) if winner else None
            assert ours == naive.decide(slot, ids[position], raw, context), (slot, context, raw)
            considered = decider.explain(slot, matrix.row(position), context, AT)
            won = [(c.journey, c.node) for c in considered if c.reason == "Won"]
            assert won == ([ours] if ours else [])
            winners.add(ours)
    assert len(winners) > 5
