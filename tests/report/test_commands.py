"""`wayfare recovery report | list | watch` on a real S3 server, as people and scripts run them."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import select
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.report import stories
from tests.report.hostile import PAYLOADS, hostile
from tests.report.place import Place
from tests.report.stories import PLAN, START
from tests.servers.command import arguments, clean_environment
from tests.servers.wait import until
from wayfare_engine.objectstore import paths
from wayfare_engine.resources import RunKind, RunState, Verdict
from wayfare_engine.runs import Rto


def test_a_report_is_a_file_of_its_own(place: Place, tmp_path: Path) -> None:
    stories.drill(place.store)
    told = stories.failover(place.store, START + timedelta(days=1))
    file = tmp_path / "report.html"
    file.write_text("an older one")
    done = place.recovery("report", told.name, "--output", str(file))
    assert (done.returncode, done.stdout) == (0, "")
    assert f"written: {file}" in done.stderr
    text = file.read_text()
    assert text.startswith("<!doctype html>")
    assert "Failover of bank.retail to west, run 2" in text
    assert [one.name for one in tmp_path.iterdir()] == ["report.html"]


def test_a_run_is_named_by_name_by_number_or_is_the_newest(place: Place) -> None:
    drill = stories.drill(place.store)
    stories.failback(place.store, START + timedelta(days=1))
    for words, kind in ((("1",), "Drill"), ((drill.name,), "Drill"), ((), "Failback")):
        done = place.recovery("report", *words, "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["head"]["kind"] == kind


def test_a_run_that_is_not_there_is_answered_with_those_that_are(place: Place) -> None:
    done = place.recovery("report", "drill-9")
    assert done.returncode == 1
    assert "plan bank.retail has no run in this store" in done.stderr
    told = stories.drill(place.store)
    done = place.recovery("report", "drill-9")
    assert done.returncode == 1
    assert f"plan bank.retail has no run drill-9; the newest are {told.name} (1)" in done.stderr
    assert place.recovery("report", "1", "--plan", "another").returncode == 3


def test_the_list_says_how_each_run_stands(place: Place) -> None:
    day = timedelta(days=1)
    assert place.recovery("list").stdout == "plan bank.retail: no run was made yet\n"
    stories.drill(place.store)
    stories.failover(place.store, START + day)
    stories.switchover(place.store, START + 2 * day)
    stories.waiting(place.store, START + 3 * day)
    done = place.recovery("list", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [(r["number"], r["kind"], r["state"], r["step"], r["verdict"]) for r in found] == [
        (4, "Switchover", "WaitingForApproval", "Verify", "Unknown"),
        (3, "Switchover", "Abandoned", None, "Failed"),
        (2, "Failover", "Succeeded", None, "Unknown"),
        (1, "Drill", "Succeeded", None, "Passed"),
    ]
    assert found[2]["rto"] == {
        "seconds": 90.0,
        "objectiveSeconds": 60.0,
        "met": False,
        "from": "FaultAt",
    }
    shown = place.recovery("list", "--limit", "3").stdout
    for words in ("WaitingForApproval at Verify", "90.0 s not met", "312 Estimated"):
        assert words in " ".join(shown.split()), shown
    assert "older ones that are not shown: 1 (--limit 4)" in shown


def test_a_runs_name_is_no_way_to_another_folder(place: Place, tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    for number, name in enumerate(("../outside", f"{tmp_path}/outside", "-", "a\nb"), 1):
        hostile(place.store, name)
        with contextlib.chdir(inside):
            assert place.recovery("report", str(number)).returncode == 1  # evidence of no digest
    assert sorted(one.name for one in inside.iterdir()) == [f"{n}.html" for n in range(1, 5)]
    assert [one.name for one in tmp_path.iterdir()] == ["inside"]


def test_a_terminal_is_told_nothing_to_obey(place: Place) -> None:
    hostile(place.store, PAYLOADS[-2])
    for words in (("list",), ("watch", "1"), ("report", "1", "--json"), ("report", "other")):
        done = place.recovery(*words)
        said = done.stdout + done.stderr
        assert "\x1b" not in said
        assert "\x07" not in said
        assert "\\u001b" in said


@pytest.mark.parametrize(
    ("state", "verdict", "code"),
    [
        (RunState.SUCCEEDED, Verdict.PASSED, 0),
        (RunState.SUCCEEDED, Verdict.UNKNOWN, 4),
        (RunState.SUCCEEDED, Verdict.FAILED, 1),
        (RunState.ABANDONED, Verdict.UNKNOWN, 1),
        (RunState.FAILED, Verdict.FAILED, 1),
    ],
)
def test_the_exit_code_is_by_the_verdict(
    place: Place, state: RunState, verdict: Verdict, code: int
) -> None:
    told = stories.Teller(place.store, RunKind.DRILL)
    told.all_steps()
    told.end(state, verdict)
    done = place.recovery("watch", told.name, "--json")
    assert done.returncode == code
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert events[0]["event"] == "run"
    assert (events[-1]["event"], events[-1]["exitCode"]) == ("end", code)


def test_a_run_that_waits_can_end_the_watching(place: Place) -> None:
    stories.waiting(place.store)
    done = place.recovery("watch", "--stop-when-waiting")
    assert done.returncode == 5
    assert "Verify: WaitingForApproval: Verify is done" in done.stdout
    assert place.recovery("watch", "--timeout", "0", "--json").returncode == 5


@contextmanager
def watching(place: Place, *words: str, **streams: Any) -> Iterator[subprocess.Popen[bytes]]:
    """`wayfare recovery watch` as a process; killed at the end if it is still there."""
    process = subprocess.Popen(
        [*arguments("recovery", "watch", "--every", "0.1", *words)],
        env=clean_environment(place.environment) | {"TERM": "xterm", "COLUMNS": "150"},
        stdin=subprocess.DEVNULL,
        **streams,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def test_a_run_is_followed_step_by_step_to_its_end(place: Place, tmp_path: Path) -> None:
    told = stories.Teller(place.store, RunKind.DRILL)
    out = tmp_path / "out"

    def events() -> list[dict[str, Any]]:
        lines = out.read_text().split("\n")[:-1] if out.exists() else []
        return [json.loads(line) for line in lines]

    def seen(step: str, state: str) -> Callable[[], bool]:
        return lambda: any((e.get("step"), e.get("state")) == (step, state) for e in events())

    with out.open("wb") as file, watching(place, told.name, "--json", stdout=file) as process:
        until(lambda: bool(events()), what="the run is seen")
        told.begin("Precheck")
        until(seen("Precheck", "Running"), what="a step that runs")
        told.step("Precheck")
        until(seen("Precheck", "Succeeded"), what="its end")
        told.step("Wake", failed=True)
        until(seen("Wake", "Failed"), what="a step that failed")
        told.step("Wake", attempt=2)
        until(seen("Wake", "Succeeded"), what="its next attempt")
        assert process.poll() is None
        told.end(rto=Rto(seconds=4.0, met=True, from_="Request"))
        assert process.wait(30) == 0
    last = events()[-1]
    assert (last["event"], last["verdict"], last["rtoSeconds"]) == ("end", "Passed", 4.0)
    states = [(e["step"], e["state"]) for e in events() if e["event"] == "step"]
    assert states.index(("Precheck", "Running")) < states.index(("Precheck", "Succeeded"))


def test_in_a_terminal_it_is_a_table_with_the_clock(place: Place) -> None:
    told = stories.failover(place.store)
    main, other = pty.openpty()
    said = b""
    with watching(place, told.name, stdout=other, stderr=other) as process:
        os.close(other)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            if select.select([main], [], [], 0.2)[0]:
                try:
                    said += os.read(main, 65536)
                except OSError:  # the other side is closed
                    break
        assert process.wait(30) == 4
    os.close(main)
    text = said.decode()
    for words in ("FenceWait", "recovery time 90.0 s of 60.0 s", "verdict", "ApprovedPast"):
        assert words in text
    assert "Traceback" not in text


def test_a_store_that_goes_away_is_said_and_asked_again(
    place: Place, objects: Any, tmp_path: Path
) -> None:
    told = stories.Teller(place.store, RunKind.DRILL)
    out, err = tmp_path / "out", tmp_path / "err"
    quick = place.environment | {"WAYFARE_OBJECT_STORE_TIMEOUT_SECONDS": "1"}
    own = Place(place.store, quick)
    with (
        out.open("wb") as file,
        err.open("wb") as problems,
        watching(own, told.name, stdout=file, stderr=problems) as process,
    ):
        until(lambda: "Drill" in out.read_text(), what="the run is seen")
        objects.suspend()
        try:
            until(lambda: "object store" in err.read_text(), what="that it is away is said")
        finally:
            objects.resume()
        told.end()
        assert process.wait(60) == 0
    assert err.read_text().count("object store") == 1


def test_records_that_are_damaged_are_counted_in_the_list(place: Place) -> None:
    stories.drill(place.store)
    place.store.put(paths.step_result(PLAN, 1, "Wake"), b"?")
    assert "1 records damaged" in " ".join(place.recovery("list").stdout.split())


def test_without_a_store_it_says_what_to_set() -> None:
    from tests.servers.command import wayfare

    done = wayfare("recovery", "report")
    assert done.returncode == 3
    assert "WAYFARE_OBJECT_STORE_URL" in done.stderr
