"""Evidence is found by what it is."""

from __future__ import annotations

import hashlib

import pytest

from tests.servers.faultstore import Answer, Drop, FaultStore
from wayfare_engine import runs
from wayfare_engine.objectstore import ObjectStore, StoreUnavailable, paths
from wayfare_engine.runs import evidence
from wayfare_engine.runs.evidence import MOST_EVIDENCE
from wayfare_engine.runs.objects import canonical


def test_a_value_is_found_by_its_digest(direct: ObjectStore) -> None:
    value = {"rows": [1, 2.5, None], "text": "ä", "empty": {}}
    digest = evidence.put(direct, value)
    assert digest == "sha256:" + hashlib.sha256(canonical(value)).hexdigest()
    assert evidence.get(direct, digest) == value
    assert direct.exists(f"evidence/{digest.removeprefix('sha256:')}")


def test_equal_values_have_equal_digests(direct: ObjectStore) -> None:
    one = evidence.put(direct, {"a": 1, "b": (2.0, True)})
    assert evidence.put(direct, {"b": [2, True], "a": 1.0}) == one
    assert evidence.put(direct, {"b": [2, 1], "a": 1}) != one
    assert len(list(direct.list(paths.EVIDENCE))) == 2


def test_records_and_moments_can_be_evidence(direct: ObjectStore) -> None:
    check = runs.Rpo(rows=3)
    digest = evidence.put(direct, [check])
    assert evidence.get(direct, digest) == [{"rows": 3}]


def test_a_text_is_kept_as_it_is(direct: ObjectStore) -> None:
    digest = evidence.put_text(direct, "line 1\nline 2 ä\n")
    assert evidence.get_text(direct, digest) == "line 1\nline 2 ä\n"
    with pytest.raises(runs.RecordDamaged, match="is not JSON"):
        evidence.get(direct, digest)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [float("-inf")]])
def test_what_json_cannot_say_is_no_evidence(direct: ObjectStore, value: object) -> None:
    with pytest.raises(ValueError, match="JSON"):
        evidence.put(direct, value)


def test_evidence_that_is_not_there_is_said(direct: ObjectStore) -> None:
    digest = "sha256:" + "0" * 64
    with pytest.raises(runs.EvidenceMissing, match=f"{digest} is not in the object store"):
        evidence.get(direct, digest)


@pytest.mark.parametrize("digest", ["", "x", "sha256:", "md5:" + "0" * 64, "sha256:" + "G" * 64])
def test_what_is_no_digest_reads_nothing(direct: ObjectStore, digest: str) -> None:
    with pytest.raises(ValueError, match="64 hexadecimal digits"):
        evidence.get(direct, digest)


def test_evidence_that_was_changed_is_named(direct: ObjectStore) -> None:
    digest = evidence.put(direct, {"rows": 1})
    path = f"evidence/{digest.removeprefix('sha256:')}"
    direct.put(path, b'{"rows":2}')
    with pytest.raises(runs.RecordDamaged, match=f"object {path} .* is not what its name"):
        evidence.get(direct, digest)


def test_a_lost_answer_is_settled_by_reading(store: ObjectStore, faults: FaultStore) -> None:
    faults.rule("a", Drop(), methods="PUT", times=1)
    assert evidence.get(store, evidence.put(store, [1])) == [1]


def test_evidence_that_was_not_written_is_not_said_to_be(
    store: ObjectStore, faults: FaultStore
) -> None:
    faults.rule("a", Answer(503, "SlowDown"), methods="PUT")
    with pytest.raises(StoreUnavailable):
        evidence.put(store, [1])


def test_too_much_is_refused_before_it_is_written(direct: ObjectStore) -> None:
    assert evidence.put_bytes(direct, b"x" * MOST_EVIDENCE)
    with pytest.raises(runs.RecordTooLarge, match=r"16,777,217 bytes, and 16,777,216 are the most"):
        evidence.put_bytes(direct, b"x" * (MOST_EVIDENCE + 1))
