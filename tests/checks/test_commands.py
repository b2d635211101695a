"""`wayfare recovery check`, and the page that says what each check guards."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.checks.making import followed, sealed, send, sent, sql
from tests.journal.making import PLAN
from wayfare_engine.cli.application import run
from wayfare_engine.objectstore import ObjectStore
from wayfare_engine.recovery.checks import CATALOGUE, Cost, Step, for_step, named, verdict
from wayfare_engine.recovery.checks.page import filled
from wayfare_engine.resources import Verdict

PAGE = Path(__file__).parents[2] / "docs" / "checks.md"
CHEAP = ("NoOrphans", "ContactedOnce", "ReceiptsReconciled")


@pytest.fixture
def given(east: str, west: str, store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The options for a database that followed a chain."""
    for name in ("WAYFARE_POSTGRESQL_DSN", "WAYFARE_OBJECT_STORE_URL", "WAYFARE_SITE"):
        monkeypatch.delenv(name, raising=False)
    sent(east, send(), send("bob"))
    sealed(east, store)
    followed(west, store)
    return ["--dsn", west, "--store", store.url, "--plan", PLAN, "--site", "west"]


def answered(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    capsys.readouterr()
    code = run(["recovery", "check", *arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_all_passed_is_exit_code_0(given: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = answered(capsys, *CHEAP, "Lag", "ChainUnbroken", *given)
    assert code == 0, out
    lines = [line.split()[2].rstrip(":") for line in out.splitlines()]
    assert lines == ["ChainUnbroken", "Lag", "NoOrphans", "ContactedOnce", "ReceiptsReconciled"]


def test_one_failed_is_exit_code_1_and_told_as_json(
    given: list[str], west: str, capsys: pytest.CaptureFixture[str]
) -> None:
    sql(west, "DELETE FROM wayfare.contacts")
    code, out, _ = answered(capsys, "NoOrphans", "Lag", "TablesEqual", "--json", *given)
    found = json.loads(out)
    assert (code, found["verdict"]) == (1, "Failed")
    by_name = {one["name"]: one for one in found["checks"]}
    assert by_name["NoOrphans"]["figures"]["orphans"] == 2
    assert by_name["NoOrphans"]["evidence"].startswith("sha256:")
    assert by_name["TablesEqual"]["verdict"] == "Unknown"


def test_unknown_is_exit_code_4_and_never_0(
    given: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = answered(capsys, "NoOrphans", "ResourcesEqual", *given)
    assert code == 4
    assert "Unknown" in out
    assert "the other site's name was not given" in out
    # Without any address everything is unknown, and said to be.
    code, out, _ = answered(capsys, "NoOrphans")
    assert code == 4
    assert "this site's database was not given" in out


def test_all_checks_are_made_when_none_is_named(
    given: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = answered(capsys, "--json", *given)
    made = [one["name"] for one in json.loads(out)["checks"]]
    assert code == 4, "no beacon, no plan, no checkpoint: nobody can tell"
    assert made == [name for name in CATALOGUE if name not in _OF_PODS]


_OF_PODS = ("Readiness", "Latency", "ChannelsTested")


def test_a_database_that_is_away_is_unknown(
    given: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    away = "host=127.0.0.1 port=1 user=nobody password=hidden connect_timeout=1"
    code, out, err = answered(capsys, "NoOrphans", "--dsn", away)
    assert code == 4
    assert "hidden" not in out + err


def test_a_name_that_is_none_is_told_with_those_that_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, _, err = answered(capsys, "Orphans")
    assert code == 2
    assert "NoOrphans" in err


def test_the_list_says_what_each_check_guards(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = answered(capsys, "--list", "--json")
    assert code == 0
    assert [one["name"] for one in json.loads(out)] == list(CATALOGUE)
    code, out, _ = answered(capsys, "Lag", "--list")
    assert out.startswith("Lag (Data, cheap, a gate)")


def test_every_check_is_on_the_page_as_it_is() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert filled(text) == text
    for check in CATALOGUE.values():
        assert f"| `{check.name}` | {check.level} |" in text


def test_a_schedule_has_cheap_checks_and_no_other() -> None:
    scheduled = for_step(Step.SCHEDULE, None)
    assert scheduled
    assert all(check.cost is not Cost.FULL for check in scheduled)
    assert {check.level for check in scheduled} == {"System", "Data", "Service", "Business"}


def test_a_drill_verifies_its_own_engine_too() -> None:
    drill, failover = (
        {check.name for check in for_step("Verify", kind)} for kind in ("Drill", "Failover")
    )
    assert drill - failover == {"Readiness", "Latency", "ChannelsTested"}
    assert failover - drill == {"Lag"}, "a clone follows nothing"
    assert [check.name for check in for_step("ReplayDecisions", "Drill")] == ["DecisionsReplayed"]
    with pytest.raises(ValueError):
        for_step("Fork", "Drill")


def test_nothing_and_what_nobody_knows_have_not_passed() -> None:
    assert verdict([]) is Verdict.UNKNOWN
    assert len(named(["Lag", "Lag"])) == 1
