"""The recorded rebuild, small: a disk is lost, and the bucket gives everything back."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from demo.rebuild import head_of, record
from demo.recorded_site import Copy, compare_projections
from demo.steps import StepFailed, Steps
from tests.servers.bank import bank_csv


@pytest.mark.timeout(600)
def test_a_site_is_rebuilt_from_the_bucket_alone_and_nobody_is_contacted_twice(
    tmp_path: Path,
) -> None:
    customers = head_of(bank_csv(), 2000, tmp_path / "customers.csv")

    report = record(Steps(Console(), tmp_path / "rebuild.log"), customers, sends=1500)

    assert (report.customers, report.decisions, report.events) == (2000, 2000, 2000)
    assert report.changes == 6 * 1000
    applied = {name for name, rows in report.projections.items() if rows}
    assert applied == {
        *("profile_changes", "identities", "event_windows", "list_members", "opt_outs"),
        *("contacts", "counters", "journey_instances", "outbox", "assignments"),
    }
    assert report.sealed_rows == report.history_rows > 11_500
    assert report.ledger_equal
    assert report.projections["outbox"] == report.sends["planned"] == 1500
    assert report.sends["received_before"] < 1500
    assert report.sends["received"] + report.sends["unknown"] >= 1500
    assert report.contacted_twice == 0
    assert report.epoch == 2
    assert report.explained == 50


def test_a_projection_that_differs_is_named() -> None:
    before = Copy({"contacts": ["(a)", "(b)"], "counters": []}, 0, "", 0)
    after = Copy({"contacts": ["(a)"], "counters": []}, 0, "", 0)

    assert compare_projections(before, before) == {"contacts": 2, "counters": 0}
    with pytest.raises(StepFailed, match="contacts differs: 1 rows are not as before"):
        compare_projections(before, after)
