"""The time to take over at ten million customers: reckoned here from figures that were measured,
by the function that the status uses, and found so in the documents."""

from __future__ import annotations

import re
from pathlib import Path

from wayfare_operator.recovery.takeover import Estimate, Facts, estimate

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "recovery-standby.md").read_text(encoding="utf-8")
FIGURES = " ".join((DOCS / "figures.md").read_text(encoding="utf-8").split())

CUSTOMERS, ROWS_A_DAY, HOURS = 10_000_000, 4, 22
DIGESTED = 5_000_000
"""Rows of the benchmark of digests."""


def numbers(pattern: str) -> list[float]:
    """What stands in the figures at the groups of the pattern."""
    found = re.findall(pattern, FIGURES)
    assert found, f"docs/figures.md has no {pattern}"
    return [
        float(each.replace(",", ""))
        for groups in found
        for each in ([groups] if isinstance(groups, str) else groups)
    ]


def rows_of_lag() -> int:
    return CUSTOMERS * ROWS_A_DAY * HOURS // 24


def measured() -> Facts:
    """The slowest of each figure that was measured."""
    rate = min(
        *numbers(r"Catch-up of 5 million rows into all [^|]*\|[^|]*\| ([\d,]+)/s \| ([\d,]+)/s"),
        *numbers(r"A run of catch-up alone after that: ([\d,]+) rows a second"),
    )
    digests = max(numbers(r"making those digests \| – \| ([\d.]+) s \| ([\d.]+) s"))
    rows = CUSTOMERS + rows_of_lag()
    return Facts(
        ttl=12,
        clock_error=0.001,
        hand_over=5,
        wake=max(numbers(r"The cold standby of the lab wakes in \| – \| ([\d.]+) s")),
        restore=0,
        lag_rows=rows_of_lag(),
        rate=rate,
        verify=round(digests * rows / DIGESTED, 1),
        objective=900,
    )


def found() -> Estimate:
    return estimate(measured())


def test_the_documents_have_the_sum_that_the_status_would_have() -> None:
    assert found().arithmetic in " ".join(PAGE.split())
    assert found().meets(900) == "True"


def test_they_say_where_its_parts_come_from() -> None:
    text = " ".join(PAGE.split())
    assert f"{CUSTOMERS:,} × {ROWS_A_DAY} × {HOURS} / 24 = {rows_of_lag():,} rows" in text
    facts = measured()
    assert facts.verify is not None
    assert f"{CUSTOMERS + rows_of_lag():,} rows" in text
    assert f"= {facts.verify:,.1f} s" in text


def test_the_lag_has_room_left() -> None:
    """An extra window opens before the objective is missed."""
    budget = found().budget_rows
    assert budget is not None
    assert budget > rows_of_lag()
    assert f"{budget:,} rows" in " ".join(PAGE.split())
