"""The order in which tests run, which share a process, which are left out, and how runs add up."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.scheduling import group, place
from tests.summary import add_up
from tests.time_limit import left_out


def test_the_lab_goes_down_after_its_tests_and_those_that_may_be_left_out() -> None:
    tests = [
        ("tests/unit/test_decoding.py::test_a", False),
        ("tests/standing/test_two_sites.py::test_a", False),
        ("tests/lab/test_teardown.py::test_a", False),
        ("tests/e2e/test_drills.py::test_a", True),
        ("tests/e2e/test_sites.py::test_a", False),
    ]
    ordered = sorted(tests, key=lambda test: place(test[0], more=test[1]))
    folders = [nodeid.split("/")[1] for nodeid, _ in ordered]
    assert folders == ["e2e", "e2e", "lab", "standing", "unit"]
    assert [more for _, more in ordered] == [False, True, False, False, False]


def test_tests_that_share_servers_are_a_group() -> None:
    assert group("tests/lab/test_site.py::test_a") == group("tests/e2e/test_sites.py::test_a")
    assert group("tests/chaos/test_chaos.py::test_a[1]") == "chaos"


def test_nothing_is_left_out_without_a_limit_or_before_it_is_over() -> None:
    assert left_out(None, 1e6) == ""
    assert left_out("", 1e6) == ""
    assert left_out("40", 40 * 60) == ""


def test_after_the_limit_the_reason_names_it() -> None:
    assert "WAYFARE_TEST_MINUTES=40" in left_out("40", 40 * 60 + 1)


def test_minutes_that_are_no_number_are_refused() -> None:
    with pytest.raises(ValueError, match="WAYFARE_TEST_MINUTES is 'forty'"):
        left_out("forty", 1.0)


def test_several_runs_are_added_up(tmp_path: Path) -> None:
    for number, said in enumerate(
        ('tests="5" failures="1" errors="1" skipped="2"', 'tests="3" failures="0" skipped="0"')
    ):
        (tmp_path / f"{number}.xml").write_text(f"<testsuites><testsuite {said}/></testsuites>")
    assert add_up(tmp_path.glob("*.xml")) == {"passed": 4, "failed": 2, "skipped": 2}
