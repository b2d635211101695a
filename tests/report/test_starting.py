"""Runs and Approvals made from the command line, on a real API server with the chart's policies."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.report.cluster import STATUS, Site, running_site
from tests.report.place import Place
from tests.report.stories import PLAN, START, STATEMENT
from tests.servers.command import arguments, clean_environment
from tests.servers.wait import until
from wayfare_engine.lease import Terms, take
from wayfare_engine.lease.beats import BeatWriter, Figures

pytestmark = pytest.mark.contract

WAITING = {
    "number": 4,
    "state": "WaitingForApproval",
    "step": "Verify",
    "steps": [
        {"name": "Precheck", "state": "Succeeded", "attempt": 1},
        {
            "name": "Verify",
            "state": "WaitingForApproval",
            "attempt": 2,
            "message": "one gate did not pass",
            "evidence": f"sha256:{'ab' * 32}",
        },
    ],
    "checks": [
        {
            "name": "TablesEqual",
            "level": "Data",
            "verdict": "Failed",
            "gate": True,
            "message": "contacts differ in 3 rows",
            "evidence": f"sha256:{'cd' * 32}",
        },
        {"name": "LatencyMet", "level": "Service", "verdict": "Failed", "gate": False},
    ],
}


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The site, once for the module."""
    with running_site(tmp_path_factory.mktemp("site")) as site:
        yield site


@pytest.fixture
def site(started: Site) -> Iterator[Site]:
    """Without runs and Approvals."""
    yield started
    started.clear()
    started.status("RecoveryPlan", "retail", STATUS)


def made(site: Site) -> dict[str, Any]:
    """The only run that there is."""
    [run] = site.items("RecoveryRun")
    return run


def begun(site: Site, kind: str = "switchover", **status: Any) -> str:
    """A run that is at some point; its name."""
    done = site.recovery("rita", kind, "retail", "--reason", "a test", "--yes", "--json")
    assert done.returncode == 0, done.stderr
    name = str(json.loads(done.stdout)["name"])
    site.status("RecoveryRun", name, WAITING | status)
    return name


def test_a_drill_is_made_in_the_name_of_who_asks(site: Site) -> None:
    done = site.recovery("dora", "drill", "retail", "--reason", "before the release", "--json")
    assert done.returncode == 0, done.stderr
    told, run = json.loads(done.stdout), made(site)
    assert told["name"] == run["metadata"]["name"]
    assert told["uid"] == run["metadata"]["uid"]
    assert run["metadata"]["annotations"] == {"wayfare.dev/author": "dora"}
    assert run["spec"] == {
        "planRef": {"name": "retail"},
        "kind": "Drill",
        "reason": "before the release",
        "scenario": {"lost": "Site"},
    }
    assert len(told["name"]) <= 30


def test_a_drill_can_take_a_channel_to_be_lost(site: Site) -> None:
    lost = ("--lost", "Channel", "--channel", "sms", "--at-position", "1200")
    assert site.recovery("dora", "drill", "retail", *lost).returncode == 0
    assert made(site)["spec"]["scenario"] == {
        "lost": "Channel",
        "channel": "sms",
        "atPosition": 1200,
    }
    done = site.recovery("dora", "drill", "retail", "--lost", "Channel")
    assert done.returncode == 2
    assert "--channel goes with --lost Channel" in " ".join(done.stderr.split())


def test_a_failover_shows_what_may_go_wrong(site: Site) -> None:
    words = ("failover", "retail", "--reason", "no answer", "--fault-at", "2026-11-28T08:59:00Z")
    done = site.recovery("rita", *words, "--statement", STATEMENT, "--yes")
    assert done.returncode == 0, done.stderr
    said = " ".join(done.stderr.split())
    for line in (
        "Site west takes epoch 4 of plan bank/retail from site east, which holds epoch 3.",
        "4,711 records of site east are not applied here",
        f"Nobody sends for {Terms(12, 0.001, 5).wait:.2f} s",
        "Nobody checks that site east is off.",
        "Site east stops sending by its own clock, at the latest 12 s",
        "Site east is Acting by the plan's status",
    ):
        assert line in said, said
    spec = made(site)["spec"]
    assert spec["kind"] == "Failover"
    assert spec["statement"] == {"text": STATEMENT}
    assert spec["faultAt"] == "2026-11-28T08:59:00Z"


@pytest.mark.parametrize("kind", ["switchover", "failover", "failback"])
def test_without_a_person_to_ask_nothing_is_made(site: Site, kind: str) -> None:
    done = site.recovery("rita", kind, "retail", "--reason", "a test")
    assert done.returncode == 2
    assert "nobody is there to confirm this; --yes says it is meant" in done.stderr
    assert site.items("RecoveryRun") == []


def test_who_may_only_drill_cannot_make_a_failover(site: Site) -> None:
    done = site.recovery("dora", "failover", "retail", "--reason", "a test", "--yes")
    assert done.returncode == 1
    assert "was refused: dora may not make a Failover: that needs the verb failover" in done.stderr
    assert site.items("RecoveryRun") == []


def test_a_second_run_is_refused_with_the_name_of_the_first(site: Site) -> None:
    assert site.recovery("dora", "drill", "retail").returncode == 0
    first = made(site)["metadata"]["name"]

    def refused() -> str:
        done = site.recovery("rita", "switchover", "retail", "--reason", "now", "--dry-run")
        return done.stderr if done.returncode == 1 else ""

    said = until(refused, what="the policy sees the first run")
    assert f"RecoveryRun {first} (Drill) is open on plan retail" in said


def test_a_run_that_the_phase_forbids_is_told_to_be_rejected(site: Site) -> None:
    done = site.recovery("rita", "failback", "retail", "--reason", "a test", "--dry-run")
    assert "It will be rejected." in done.stderr
    assert site.items("RecoveryRun") == []


def test_a_plan_that_is_not_there_is_answered_with_those_that_are(site: Site) -> None:
    done = site.recovery("dora", "drill", "wholesale")
    assert done.returncode == 1
    assert "there is no RecoveryPlan wholesale in namespace bank (there: retail)" in done.stderr


def test_approving_names_what_was_looked_at_and_who_did(site: Site) -> None:
    name = begun(site)
    done = site.recovery("anna", "approve", name, "--reason", "the snapshot is equal", "--yes")
    assert done.returncode == 0, done.stderr
    said = " ".join(done.stderr.split())
    assert "check TablesEqual (Data): Failed: contacts differ in 3 rows" in said
    assert "LatencyMet" not in said
    [approval] = site.items("Approval")
    assert approval["spec"] == {
        "runRef": {"name": name},
        "step": "Verify",
        "attempt": 2,
        "decision": "Approve",
        "evidence": f"sha256:{'ab' * 32}",
        "approver": "anna",
        "reason": "the snapshot is equal",
    }
    assert f"Approve of Verify, attempt 2, of {name}" in done.stdout


def test_who_may_not_decide_is_refused(site: Site) -> None:
    name = begun(site)
    done = site.recovery("vic", "approve", name, "--reason", "a test", "--yes")
    assert done.returncode == 1
    assert "was refused" in done.stderr
    assert site.items("Approval") == []


def test_a_failed_step_is_tried_again(site: Site) -> None:
    steps = [{"name": "CatchUp", "state": "Failed", "attempt": 3}]
    name = begun(site, state="Failed", step="CatchUp", steps=steps, checks=[])
    done = site.recovery("anna", "retry", name, "--reason", "the node is back", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["decision"], told["step"], told["attempt"], told["approver"]) == (
        "Retry",
        "CatchUp",
        3,
        "anna",
    )
    done = site.recovery("anna", "approve", name, "--reason", "a test", "--yes")
    assert done.returncode == 1
    assert f"run {name}: there is nothing to approve: it is Failed at step CatchUp" in done.stderr


def test_a_run_is_abandoned_before_its_point_of_no_return_and_not_after(site: Site) -> None:
    name = begun(site)
    done = site.recovery("anna", "abandon", name, "--reason", "not today", "--yes")
    assert done.returncode == 0, done.stderr
    assert [a["spec"]["decision"] for a in site.items("Approval")] == ["Abandon"]
    steps = [
        {"name": "TransferEpoch", "state": "Succeeded", "attempt": 1},
        {"name": "Activate", "state": "Running", "attempt": 1},
    ]
    site.status("RecoveryRun", name, WAITING | {"state": "Running", "steps": steps})
    done = site.recovery("anna", "abandon", name, "--reason", "not today", "--yes")
    assert done.returncode == 1
    assert "TransferEpoch has begun, and from there it can only be finished" in done.stderr


def test_a_run_that_ended_is_decided_about_no_more(site: Site) -> None:
    name = begun(site, state="Succeeded", evidence=f"sha256:{'ef' * 32}")
    done = site.recovery("anna", "retry", name, "--reason", "a test")
    assert done.returncode == 1
    assert "it has ended, its state is Succeeded" in done.stderr


def test_a_run_is_watched_by_its_status(site: Site) -> None:
    name = begun(site)
    done = site.recovery("vic", "watch", name, "--stop-when-waiting", "--json")
    assert done.returncode == 5, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert (events[0]["event"], events[0]["step"]) == ("run", "Verify")
    states = {e["step"]: e["state"] for e in events if e["event"] == "step"}
    assert states == {"Precheck": "Succeeded", "Verify": "WaitingForApproval"}
    ended = {"state": "Succeeded", "verdict": "Passed", "evidence": f"sha256:{'ef' * 32}"}
    site.status("RecoveryRun", name, WAITING | ended)
    assert site.recovery("vic", "watch", name).returncode == 0
    site.status("RecoveryRun", name, WAITING | ended | {"verdict": "Unknown"})
    assert site.recovery("vic", "watch", name).returncode == 4
    site.status("RecoveryRun", name, {"state": "Rejected"})
    assert site.recovery("vic", "watch", name).returncode == 1


def test_without_a_cluster_it_says_what_to_set(site: Site) -> None:
    done = site.recovery("dora", "drill", "retail", KUBECONFIG="/nonexistent")
    assert done.returncode == 3
    assert "set KUBECONFIG to the file of a running cluster" in done.stderr
    config = site.server.folder / "dead.kubeconfig"
    text = site.server.kubeconfig.read_text().replace(site.server.url, "https://127.0.0.1:9")
    config.write_text(text)
    done = site.recovery("dora", "drill", "retail", KUBECONFIG=str(config))
    assert done.returncode == 3
    assert "https://127.0.0.1:9" in done.stderr
    assert "connection refused" in done.stderr


def asked(site: Site, answer: bytes, *words: str) -> tuple[int, str]:
    """Run it in a terminal in which a person types `answer`; exit code, and what was said."""
    main, other = pty.openpty()
    process = subprocess.Popen(
        [*arguments("recovery", *words, "-n", "bank")],
        env=clean_environment(site.environment("rita")),
        stdin=other,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    os.close(other)
    os.write(main, answer)
    said, _ = process.communicate(timeout=60)
    os.close(main)
    return process.returncode, said


def test_a_person_is_asked_and_may_say_no(site: Site) -> None:
    words = ("failover", "retail", "--reason", "no answer")
    code, said = asked(site, b"n\n", *words)
    assert code == 1
    assert "There is no way back" in said
    assert "Start this failover of bank/retail?" in said
    assert site.items("RecoveryRun") == []
    code, said = asked(site, b"y\n", *words)
    assert code == 0, said
    assert made(site)["spec"]["kind"] == "Failover"


def test_where_the_store_is_named_the_figures_are_its_own(site: Site, place: Place) -> None:
    given: dict[str, Any] = {"plan": PLAN, "site": "west", "epoch": 1}
    take(place.store, **given, nonce="n", reason="first", at=START)
    figures = Figures(sealed_seq=3, unsealed=12, oldest_unsealed_at=START)
    BeatWriter(place.store, **given, figures=lambda: figures, now=lambda: START, writer="w").beat()
    words = ("failover", "retail", "--reason", "a test", "--dry-run")
    done = site.recovery("rita", *words, **place.environment)
    assert done.returncode == 0, done.stderr
    said = " ".join(done.stderr.split())
    assert "Site east takes epoch 2 of plan bank/retail from site west" in said
    assert "12 were not in the store, the oldest of 2026-11-28 09:00:00 UTC" in said


def test_a_run_can_be_followed_from_its_start(site: Site) -> None:
    with subprocess.Popen(
        [*arguments("recovery", "drill", "retail", "-n", "bank", "--watch", "--json")],
        env=clean_environment(site.environment("dora")),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        until(lambda: site.items("RecoveryRun"), what="the run is made")
        name = made(site)["metadata"]["name"]
        assert process.poll() is None
        ended = {"state": "Succeeded", "verdict": "Passed", "evidence": f"sha256:{'0' * 64}"}
        site.status("RecoveryRun", name, ended)
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    first, *events = [json.loads(line) for line in said.splitlines()]
    assert first["name"] == name
    assert events[-1] == events[-1] | {"event": "end", "verdict": "Passed", "exitCode": 0}
