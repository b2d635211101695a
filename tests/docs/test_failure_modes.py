"""Every test that docs/failure-modes.md and docs/recovery-guarantees.md name is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
PAGE = TOP / "docs" / "failure-modes.md"
GUARANTEES = TOP / "docs" / "recovery-guarantees.md"
NAMED = sorted(
    {
        found
        for page in (PAGE, GUARANTEES)
        for found in re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", page.read_text(encoding="utf-8"))
    }
)


def test_each_row_of_a_table_names_one() -> None:
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    rows = [line for line in lines if line.startswith("| ")]
    heads = [line for line in rows if line.startswith("| Fault |")]
    without = [row for row in rows if row not in heads and "::test_" not in row]
    assert heads
    assert not without, f"no test is named: {without}"


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_it_is_there(file: str, name: str) -> None:
    path = TOP / file
    assert path.is_file(), f"a page names {file}, which is not there"
    found = re.findall(
        r"^(?:async )?def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE
    )
    assert name in found, f"a page names {name}, which is not in {file}"


def test_each_promise_has_an_assumption_and_a_test() -> None:
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in GUARANTEES.read_text(encoding="utf-8").splitlines()
        if re.match(r"\| P\d ", line)
    ]
    assert [row[0] for row in rows] == ["P1", "P2", "P3", "P4", "P5", "P6"]
    for _, promise, assumes, shown in rows:
        assert promise
        assert assumes
        assert "::test_" in shown
