"""The generator of customers."""

from __future__ import annotations

import csv
import io
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from demo.customers import COLUMNS, apportion, generate, marginals, spread, write, write_to


@cache
def customers() -> tuple[dict[str, str], ...]:
    return tuple(
        dict(zip(COLUMNS, row, strict=True)) for row in generate(marginals()["rows"], seed=1)
    )


def test_the_table_accounts_for_every_row() -> None:
    table = marginals()
    assert {
        name: sum(counts.values()) for name, counts in table["counts"].items()
    } == dict.fromkeys(table["counts"], 45_211)


@pytest.mark.parametrize("column", sorted(marginals()["counts"]))
def test_counts_are_met_exactly_at_the_datas_own_size(column: str) -> None:
    assert dict(Counter(row[column] for row in customers())) == marginals()["counts"][column]


@pytest.mark.parametrize("column", ["balance", "duration"])
@pytest.mark.parametrize("part", [0.05, 0.25, 0.5, 0.75, 0.95])
def test_quantiles_are_met(column: str, part: float) -> None:
    quantiles = marginals()["quantiles"][column]
    values = sorted(int(row[column]) for row in customers())
    wanted = quantiles[round(part * (len(quantiles) - 1))]
    assert values[int(part * len(values))] == pytest.approx(wanted, abs=max(3, abs(wanted) * 0.01))


def test_who_was_never_contacted_has_no_history() -> None:
    never = [row for row in customers() if row["pdays"] == "-1"]
    assert len(never) == marginals()["never_contacted"]
    assert {(row["previous"], row["poutcome"]) for row in never} == {("0", "unknown")}
    assert all(row["previous"] != "0" for row in customers() if row["pdays"] != "-1")


def test_a_seed_always_gives_the_same_customers_and_another_gives_others() -> None:
    assert list(generate(500, seed=7)) == list(generate(500, seed=7))
    assert list(generate(500, seed=7)) != list(generate(500, seed=8))


@pytest.mark.parametrize("rows", [1, 2, 17, 1000])
def test_any_number_of_rows_can_be_had(rows: int) -> None:
    assert len(list(generate(rows, seed=1))) == rows


def test_no_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one row"):
        generate(0, seed=1)  # an error at once, before the first row is asked for


def test_the_file_has_the_published_datas_form() -> None:
    output = io.StringIO()
    write_to(output, 20, seed=1)
    header, first, *_ = output.getvalue().splitlines()
    assert header == ";".join(f'"{name}"' for name in COLUMNS)
    age, job, *_ = first.split(";")
    assert age.isdigit()
    assert job.startswith('"')
    assert len(list(csv.DictReader(io.StringIO(output.getvalue()), delimiter=";"))) == 20


def test_a_file_is_whole_or_not_there(tmp_path: Path) -> None:
    path = tmp_path / "customers.csv"
    with pytest.raises(ValueError, match="at least one row"):
        write(path, rows=0)
    assert not path.exists()
    write(path, rows=3)
    assert len(path.read_text().splitlines()) == 4


def test_apportioning_gives_remainders_to_the_largest() -> None:
    assert Counter(apportion({"a": 2, "b": 1}, 4)) == {"a": 3, "b": 1}


def test_numbers_are_spread_evenly_between_the_quantiles() -> None:
    assert spread([0, 10, 100], 2) == ["5", "55"]
