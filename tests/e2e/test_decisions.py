"""Answers over HTTP against independent counts and an independent evaluator."""

from __future__ import annotations

import random
import re
import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import yaml

from tests.e2e.product import Product
from tests.oracle.naive import Naive
from wayfare_engine.resources import Engine, parse

# The first of them waits for the whole demo.
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(2000)]

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "bank"


def as_sql(rule: str, segments: dict[str, str]) -> str:
    """The few CEL words that the example's rules use, in SQL."""
    for name, other in segments.items():
        if f'segment("{name}")' in rule:
            rule = rule.replace(f'segment("{name}")', f"({as_sql(other, segments)})")
    rule = re.sub(r"!(?!=)", " NOT ", rule)
    for cel, sql in (("&&", " AND "), ("||", " OR "), ("==", "="), ("[", "("), ("]", ")")):
        rule = rule.replace(cel, sql)
    rule = re.sub(r"customer\.(\w+)\.startsWith\((\"[^\"]*\")\)", r"(\1 LIKE \2 || '%')", rule)
    rule = re.sub(r"customer\.(\w+)", r'"\1"', rule)
    return re.sub(
        r'"([^"]*)"', lambda m: m.group(0) if m.group(1) in COLUMNS else f"'{m.group(1)}'", rule
    )


COLUMNS: set[str] = set()


@pytest.fixture
def database(rows: list[dict[str, str]]) -> sqlite3.Connection:
    COLUMNS.update(rows[0])
    connection = sqlite3.connect(":memory:")
    numeric = {"age", "balance", "day", "duration", "campaign", "pdays", "previous"}
    columns = ", ".join(f'"{c}" {"NUMERIC" if c in numeric else "TEXT"}' for c in rows[0])
    connection.execute(f"CREATE TABLE customers ({columns})")
    marks = ", ".join("?" for _ in rows[0])
    connection.executemany(
        f"INSERT INTO customers VALUES ({marks})", [tuple(row.values()) for row in rows]
    )
    return connection


def test_segment_sizes_equal_a_count_in_sql(product: Product, database: sqlite3.Connection) -> None:
    found = {s["metadata"]["name"]: s for s in product.items("segments")}
    rules = {name: s["spec"]["rule"] for name, s in found.items() if "rule" in s["spec"]}
    assert len(rules) >= 5
    for name, rule in rules.items():
        (count,) = database.execute(
            f"SELECT count(*) FROM customers WHERE {as_sql(rule, rules)}"
        ).fetchone()
        assert found[name]["status"]["size"] == count, (name, rule)
        assert found[name]["status"]["digest"].startswith("sha256:")


def test_a_broken_journey_says_where_and_the_good_ones_go_on(product: Product) -> None:
    good: dict[str, Any] = {
        "apiVersion": "wayfare.dev/v1alpha1",
        "kind": "Journey",
        "metadata": {"name": "e2e-good", "namespace": "bank"},
        "spec": {
            "engineRef": {"name": "retail"},
            "priority": 1,
            "audience": "customer.age >= 18",
            "nodes": [
                {
                    "name": "offer",
                    "type": "slot",
                    "slot": {"name": "e2e-slot", "content": {"title": "fine"}},
                }
            ],
        },
    }
    broken = yaml.safe_load(yaml.safe_dump(good))
    broken["metadata"]["name"] = "e2e-broken"
    broken["spec"]["audience"] = "customer.age >= 18 &&\n  customer.agee < 30"
    try:
        product.apply(good, broken)
        stalled = product.wait_condition("journey", "e2e-broken", "Ready", "False")
        assert "spec.audience" in stalled["message"]
        assert "line 2, column 11" in stalled["message"]
        assert "agee" in stalled["message"]
        product.wait_condition("journey", "e2e-good", "Ready", "True")
        with product.client() as client:
            answer = client.post(
                "/v1/decisions", json={"customer": "1", "slot": "e2e-slot", "context": {}}
            ).json()
        assert answer["content"] == {"title": "fine"}

        # A good journey that breaks keeps its last good version.
        good["spec"]["audience"] = 'customer.age >= "x"'
        good["spec"]["nodes"][0]["slot"]["content"] = {"title": "never"}
        product.apply(good)
        product.wait_condition("journey", "e2e-good", "Ready", "False")
        with product.client() as client:
            answer = client.post(
                "/v1/decisions", json={"customer": "1", "slot": "e2e-slot", "context": {}}
            ).json()
        assert answer["content"] == {"title": "fine"}
    finally:
        product.kubectl("delete", "journey", "e2e-good", "e2e-broken", "-n", "bank")


def test_a_request_without_a_key_is_refused(product: Product) -> None:
    body = {"customer": "1", "slot": "home-banner", "context": {}}
    for headers in ({}, {"Authorization": "Bearer wf_none_none"}):
        answer = httpx.post(f"{product.address}/v1/decisions", json=body, headers=headers)
        assert answer.status_code == 401
        assert answer.headers["content-type"].startswith("application/problem+json")


def test_bad_input_is_answered_with_the_place(product: Product) -> None:
    with product.client() as client:
        unknown = client.post(
            "/v1/decisions", json={"customer": "no-such", "slot": "home-banner", "context": {}}
        )
        wrong = client.post(
            "/v1/decisions", json={"customer": 7, "slot": "home-banner", "context": {}}
        )
        slot = client.post("/v1/decisions", json={"customer": "1", "slot": "?", "context": {}})
    assert unknown.status_code == 404
    assert wrong.status_code in (400, 422)
    assert "customer" in wrong.text
    assert slot.status_code == 404


def test_a_thousand_customers_get_what_a_plain_evaluator_gives_them(
    product: Product, rows: list[dict[str, str]], some_customers: list[int]
) -> None:
    """Over HTTP, in the cluster, against rules rewritten as Python over the raw rows."""
    resources = [
        parse(document)
        for path in sorted(EXAMPLES.glob("*.yaml"))
        for document in yaml.safe_load_all(path.read_text())
        if document and document["kind"] != "Namespace"
    ]
    (engine,) = (one for one in resources if isinstance(one, Engine))
    types = {"int": int, "double": float, "string": str}
    attributes = {one.name: types[one.type] for one in engine.spec.customers.attributes}
    naive = Naive(resources, datetime.now(UTC))
    drawn = random.Random(7)
    winners: set[tuple[str, str] | None] = set()
    with product.client() as client:
        for customer in some_customers:
            raw = SimpleNamespace(
                **{name: typed(rows[customer - 1][name]) for name, typed in attributes.items()}
            )
            slot = drawn.choice(["home-banner", "counter-screen", "app-inbox"])
            context = {
                key: value
                for key, value in (
                    ("page", drawn.choice(["accounts", "home", "loans"])),
                    ("channel", drawn.choice(["app", "web"])),
                    ("country", drawn.choice(["PT", "ES"])),
                    ("unread", drawn.choice([0, 3])),
                )
                if drawn.random() < 0.8
            }
            answer = client.post(
                "/v1/decisions",
                json={"customer": str(customer), "slot": slot, "context": context},
            ).json()
            ours = (answer["journey"], answer["node"]) if answer["journey"] else None
            assert ours == naive.decide(slot, str(customer), raw, context), (slot, context, raw)
            winners.add(ours)
        explained = client.get(f"/v1/decisions/{answer['decision_id']}").json()
    assert len(winners) > 5
    assert explained["considered"]
    assert all(one["reason"] for one in explained["considered"])
