"""Nothing is left out silently: damaged, missing, foreign and newer objects are shown as that."""

from __future__ import annotations

import json
import tempfile
from datetime import datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.report import stories
from tests.report.outline import Parsed
from tests.report.place import Place
from tests.report.stories import PLAN
from wayfare_engine.objectstore import open_store, paths
from wayfare_engine.recovery.records_of_run import Records
from wayfare_engine.recovery.report import make_report, page
from wayfare_engine.recovery.report.evidence import MOST_SHOWN
from wayfare_engine.recovery.watching import of_records
from wayfare_engine.resources import RunKind
from wayfare_engine.runs import Decision, Rpo, Rto, evidence


def evidence_path(place: Place, named: str) -> tuple[str, str]:
    """Digest and path of the evidence that is named so."""
    made = place.report(1)
    found = next(e for e in made.evidence if any(named in by for by in e.named_by))
    return found.digest, found.path


def test_damaged_evidence_is_shown_as_damaged(place: Place) -> None:
    stories.drill(place.store)
    digest, path = evidence_path(place, "TablesEqual")
    place.store.put(path, b'{"check": "TablesEqual", "saw": "all is well"}')
    made = place.report(1)
    states = {one.digest: one.state for one in made.evidence}
    assert states.pop(digest) == "Damaged"
    assert set(states.values()) == {"Verified"}
    text = Parsed(page(made)).text
    assert "they are not what was recorded, and prove nothing" in text
    assert "1 damaged or missing" in text
    assert any("the evidence is damaged" in words for words in made.unknowns)
    done = place.recovery("report", "1", "--output", "-")
    assert done.returncode == 1
    assert f"evidence {digest} is damaged" in done.stderr


def test_one_changed_byte_is_enough(place: Place) -> None:
    stories.drill(place.store)
    _, path = evidence_path(place, "Verify, attempt 1")
    body = bytearray(place.store.get(path) or b"")
    body[0] ^= 1
    place.store.put(path, bytes(body))
    assert [e.state for e in place.report(1).evidence if e.path == path] == ["Damaged"]


def test_missing_evidence_is_shown_as_missing(place: Place) -> None:
    stories.drill(place.store)
    digest, path = evidence_path(place, "NobodyContactedTwice")
    place.store.delete(path)
    made = place.report(1)
    assert [e.state for e in made.evidence if e.digest == digest] == ["Missing"]
    assert "what it proved cannot be looked at" in Parsed(page(made)).text
    assert place.recovery("report", "1", "--json").returncode == 1


def test_a_damaged_record_of_a_step_is_named_and_the_rest_is_told(place: Place) -> None:
    stories.failover(place.store)
    path = paths.step_result(PLAN, 1, "Wake")
    place.store.put(path, b"{not json")
    made = place.report(1)
    assert [o.path for o in made.objects if o.problem] == [path]
    assert path in Parsed(page(made)).text
    assert {s.name: s.state for s in made.steps}["Wake"] == "Unknown"
    assert {s.name: s.state for s in made.steps}["Route"] == "Succeeded"


def test_a_record_that_lies_elsewhere_does_not_count(place: Place) -> None:
    told = stories.waiting(place.store)
    stolen = place.store.get(paths.step_result(PLAN, 1, "CatchUp"))
    assert stolen is not None
    place.store.put(paths.step_result(PLAN, 1, "Seal"), stolen)
    made = place.report(told.run.number)
    assert [o.problem for o in made.objects if o.problem] == [
        "damaged: it speaks of another run, step or attempt than its place"
    ]
    assert {s.name: s.state for s in made.steps}["Seal"] == "Pending"


def test_without_the_first_record_the_others_are_still_told(place: Place) -> None:
    stories.failover(place.store)
    place.store.put(paths.run_record(PLAN, 1), b"\x00\xff")
    made = place.report(1)
    assert made.head.target == "unknown site"
    assert any("Who asked for this run" in words for words in made.unknowns)
    assert [a.outcome for s in made.steps if s.name == "Route" for a in s.attempts] == [
        "Failed",
        "Succeeded",
    ]
    assert Parsed(page(made)).unbalanced == 0


def test_a_newer_record_is_said_to_be_newer(place: Place) -> None:
    stories.drill(place.store)
    path = paths.run_end(PLAN, 1)
    end = json.loads(place.store.get(path) or b"")
    place.store.put(path, json.dumps(end | {"format": 2}).encode())
    made = place.report(1)
    assert [o.problem for o in made.objects if o.problem] == ["of format 2; this version reads 1"]
    assert made.head.verdict == "Unknown"


def test_an_object_that_nobody_knows_is_listed(place: Place) -> None:
    stories.drill(place.store)
    place.store.put(f"{paths.run(PLAN, 1)}note.txt", b"hello")
    assert [o.problem for o in place.report(1).objects if o.problem] == [
        "is no record that this version knows"
    ]


def test_a_damaged_earlier_run_has_its_place_in_the_history(place: Place) -> None:
    for day in range(2):
        stories.drill(place.store, stories.START + timedelta(days=day))
    place.store.put(paths.run_record(PLAN, 1), b"")
    made = place.report(2)
    assert [(r.number, r.kind, r.verdict) for r in made.history] == [
        (1, "Unknown", "Passed"),
        (2, "Drill", "Passed"),
    ]
    assert [o.path for o in made.objects if o.problem] == [paths.run_record(PLAN, 1)]
    assert Parsed(page(made)).unbalanced == 0


def test_large_evidence_is_hashed_whole_and_shown_from_its_beginning(place: Place) -> None:
    told = stories.Teller(place.store, RunKind.FAILBACK)
    lines = "\n".join(f'{{"id": {n}, "resolution": "applied"}}' for n in range(400_000))
    digest = evidence.put_text(place.store, lines)
    told.rule("Reconcile", Decision.APPROVE, digest=digest)
    [seen] = place.report(1).evidence
    assert (seen.state, seen.size, seen.whole) == ("Verified", len(lines), False)
    assert seen.text == lines[:MOST_SHOWN]


def test_a_store_that_is_away_is_no_missing_evidence(place: Place) -> None:
    stories.drill(place.store)
    gone = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "WAYFARE_OBJECT_STORE_TIMEOUT_SECONDS": "2"}
    done = place.recovery("report", "1", "--output", "-", **gone)
    assert (done.returncode, done.stdout) == (3, "")
    assert "nothing listens at" in done.stderr


def test_a_record_that_was_changed_after_the_end_is_found(place: Place) -> None:
    """Valid in itself, and not what the run's end says that it was."""
    stories.failover(place.store)
    made = place.report(1)
    assert made.sealed.compared is not None
    assert made.sealed.compared > 20
    path = paths.run_approval(PLAN, 1, 1)
    one = json.loads(place.store.get(path) or b"")
    place.store.put(path, json.dumps(one | {"approver": "nobody@bank.example"}).encode())
    made = place.report(1)
    assert [(o.path, o.problem) for o in made.objects if o.problem] == [
        (path, "is not what it was when the run ended")
    ]
    assert place.recovery("report", "1", "--output", "-").returncode == 1


def test_a_record_that_was_taken_away_after_the_end_is_missed(place: Place) -> None:
    stories.failover(place.store)
    path = paths.step_failure(PLAN, 1, "Route", 1)
    place.store.delete(path)
    made = place.report(1)
    assert [(o.path, o.problem) for o in made.objects if o.problem] == [
        (path, "was there when the run ended, and is gone")
    ]
    assert "was there when the run ended, and is gone" in Parsed(page(made)).text


def test_a_record_that_came_after_the_end_is_wondered_at(place: Place) -> None:
    told = stories.drill(place.store)
    told.rule("Verify", Decision.APPROVE)
    made = place.report(1)
    path = paths.run_approval(PLAN, 1, 1)
    assert made.unknowns == (f"Why {path} is there: the run's end does not know it.",)


def test_an_end_that_says_nothing_of_the_records_is_said_so(place: Place) -> None:
    told = stories.drill(place.store)
    made = place.report(1)
    digest = next(e.digest for e in made.evidence if "the run's end" in e.named_by)
    place.store.delete(evidence.path_of(digest))
    assert place.report(told.run.number).sealed.compared is None
    assert any("were changed since the run ended" in w for w in place.report(1).unknowns)


def test_a_time_without_its_zone_is_no_time(place: Place) -> None:
    stories.drill(place.store)
    path = paths.step_result(PLAN, 1, "Wake")
    one = json.loads(place.store.get(path) or b"")
    place.store.put(path, json.dumps(one | {"ended_at": "2026-11-28T09:00:00"}).encode())
    made = place.report(1)
    assert "damaged: it has a time without its zone" in [o.problem for o in made.objects]


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["rows", "accounted", "resolutions", "isolated", "left", "what", "rpo"])
            | st.text(max_size=3),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
_FIGURES = st.dictionaries(
    st.sampled_from(
        ["stranded", "isolated", "left", "rpo", "fromAt", "outwardSends", "replayed", "skipped"]
    ),
    _JSON,
    max_size=4,
)
_TIMES = st.datetimes(timezones=st.timezones())


@settings(max_examples=60, deadline=None)
@given(_FIGURES, _TIMES, _TIMES, st.floats(allow_nan=False, allow_infinity=False), st.integers())
def test_no_figure_keeps_a_report_from_being_made(
    figures: dict[str, Any], began: datetime, ended: datetime, seconds: float, rows: int
) -> None:
    """Whatever valid JSON a record holds, there is a page, and it is whole."""
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(f"file://{folder}/store")
        told = stories.Teller(store, RunKind.DRILL)
        for name in ("Precheck", "StartIsolated", "Reconcile", "Cleanup", "Measure"):
            told.at = began
            told.begin(name)
            told.at = min(began, ended)
            told.step(name, 0.0, figures=figures)
        told.end(
            rto=Rto(seconds=seconds, objective_seconds=-seconds, from_="Request"),
            rpo=Rpo(rows=rows % 2**63 - 2**62, oldest_at=ended, objective_seconds=seconds),
        )
        made = make_report(store, PLAN, 1, now=stories.START)
        text = page(made)
        json.dumps(made.facts())
        of_records(Records(store, PLAN, 1).look()).facts()
    assert Parsed(text).unbalanced == 0
