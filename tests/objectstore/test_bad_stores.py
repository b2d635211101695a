"""Stores that cannot be used, or not now: each is named, with its cause and what to do."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.faultstore import Answer, Delay, FaultStore, Overwrites, Stale
from tests.servers.objects import ObjectServer
from tests.servers.ports import free_port
from tests.servers.require import need
from wayfare_engine.objectstore import (
    ForeignStore,
    ObjectStore,
    StoreFull,
    StoreProblem,
    StoreUnavailable,
    StoreUnfit,
    open_store,
    paths,
)
from wayfare_engine.objectstore.marker import FORMAT, Marker, check, claim
from wayfare_engine.objectstore.probe import AT_ONCE, prove, prove_store


@pytest.fixture
def store(faults: FaultStore, url: str) -> ObjectStore:
    """The place through the proxy. Nothing here is about a store that does not answer, so that it
    may be slow."""
    return open_store(url, options=faults.options("a"), retries=0, timeout_seconds=30.0)


def test_a_good_store_is_proved_and_left_as_it_was(direct: ObjectStore) -> None:
    direct.put("journal/x", b"")
    prove(direct, "n1")
    assert [m.path for m in direct.list("")] == ["journal/x"]


def test_files_are_proved_too(tmp_path: Path) -> None:
    prove(open_store(f"file://{tmp_path}"), "n1")


def test_a_store_that_shows_fresh_objects_late_is_refused(
    store: ObjectStore, faults: FaultStore
) -> None:
    faults.rule("a", Stale(seconds=0.5))
    with pytest.raises(StoreUnfit, match="a read right after a write does not see it"):
        prove(store, "n1")


def test_a_store_that_lists_fresh_objects_late_is_refused(
    store: ObjectStore, faults: FaultStore
) -> None:
    faults.rule("a", Stale(seconds=0.5), path="list-type")
    with pytest.raises(StoreUnfit, match="a listing right after a write does not show it"):
        prove(store, "n1")


def test_a_store_without_put_if_absent_is_refused(store: ObjectStore, faults: FaultStore) -> None:
    faults.rule("a", Overwrites())
    with pytest.raises(StoreUnfit, match="two creates of one object both succeeded"):
        prove(store, "n1")


def test_a_store_whose_creates_race_is_refused(store: ObjectStore, faults: FaultStore) -> None:
    faults.rule("a", Overwrites(), path="-race")
    with pytest.raises(StoreUnfit, match="at once 8 succeeded, not one"):
        prove(store, "n1")


def test_a_store_whose_creates_wait_for_one_another_is_good(
    url: str, faults: FaultStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_a_worker_has_it(faults, monkeypatch)
    slow = faults.rule("a", Delay(1.5), methods="PUT", path="-race")
    prove_store(url, 0.5)
    assert slow.used == 2 * AT_ONCE


def test_a_create_that_is_done_and_answered_with_an_error_says_nothing_of_the_store(
    url: str, faults: FaultStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_a_worker_has_it(faults, monkeypatch)
    rule = faults.rule("a", Answer(503, "SlowDown", late=True), methods="PUT", times=1)
    with pytest.raises(StoreUnavailable):
        prove_store(url, 10)
    assert rule.used == 1
    prove_store(url, 10)


def as_a_worker_has_it(faults: FaultStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store's address and credentials are in the environment."""
    for name, value in faults.options("a").items():
        monkeypatch.setenv(name, value)


def test_nothing_listens(url: str, objects: ObjectServer) -> None:
    address = f"http://127.0.0.1:{free_port()}"
    store = open_store(url, options=objects.options | {"AWS_ENDPOINT_URL": address}, retries=0)
    with pytest.raises(StoreUnavailable, match=f"nothing listens at {address}"):
        prove(store, "n1")


def test_a_name_that_no_dns_knows(url: str, objects: ObjectServer) -> None:
    address = "http://store.invalid:9000"
    store = open_store(url, options=objects.options | {"AWS_ENDPOINT_URL": address}, retries=0)
    with pytest.raises(StoreUnavailable, match="not known to the DNS"):
        claim(store, "retail")


def test_credentials_that_only_read(url: str, objects: ObjectServer, direct: ObjectStore) -> None:
    direct.put("x", b"1")
    store = open_store(url, options=objects.options | {"AWS_ACCESS_KEY_ID": "reader"}, retries=0)
    assert store.get("x") == b"1"
    with pytest.raises(StoreProblem, match=r"writing .* was refused .*need the rights to .*write"):
        prove(store, "n1")
    with pytest.raises(StoreProblem, match="was refused"):
        claim(store, "retail")
    assert check(store, "retail") is None, "who only reads compares the marker and writes nothing"


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("AWS_ACCESS_KEY_ID", "nobody", "does not know this access key; check AWS_ACCESS_KEY_ID"),
        ("AWS_SECRET_ACCESS_KEY", "wrong", "check AWS_SECRET_ACCESS_KEY"),
    ],
)
def test_wrong_credentials(
    url: str, objects: ObjectServer, option: str, value: str, words: str
) -> None:
    store = open_store(url, options=objects.options | {option: value}, retries=0)
    with pytest.raises(StoreProblem, match=words) as problem:
        claim(store, "retail")
    assert not isinstance(problem.value, StoreUnavailable), "waiting does not help"


def test_no_such_bucket(objects: ObjectServer) -> None:
    store = open_store("s3://no-such-bucket/x", options=objects.options, retries=0)
    for call in (
        lambda: store.get("x"),
        lambda: store.exists("lease/retail/00000002"),
        lambda: list(store.list("x/")),
        lambda: claim(store, "retail"),
        lambda: prove(store, "n1"),
    ):
        with pytest.raises(StoreProblem, match=r"no such bucket.*WAYFARE_OBJECT_STORE_URL"):
            call()


# What follows is said by providers and not by this server; the texts are theirs.


def test_wrong_region(store: ObjectStore, faults: FaultStore) -> None:
    text = (
        "The authorization header is malformed; the region 'us-east-1' is wrong; "
        "expecting 'eu-central-1'"
    )
    faults.rule("a", Answer(400, "AuthorizationHeaderMalformed", text), times=1)
    with pytest.raises(StoreProblem, match=r"in region eu-central-1.*set AWS_REGION=eu-central-1"):
        claim(store, "retail")
    faults.heal()
    faults.rule("a", Answer(301, "PermanentRedirect"))
    with pytest.raises(StoreProblem, match="set AWS_REGION"):
        claim(store, "retail")


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (507, "XMinioStorageFull"),
        (403, "QuotaExceeded"),
        (400, "XMinioAdminBucketQuotaExceeded"),
        (507, "InsufficientStorage"),
    ],
)
def test_a_full_store(store: ObjectStore, faults: FaultStore, status: int, code: str) -> None:
    faults.rule("a", Answer(status, code), methods="PUT")
    with pytest.raises(StoreFull, match=r"the store is full; make room.*nothing is lost"):
        store.put_if_absent("x", b"")
    assert issubclass(StoreFull, StoreUnavailable), "what waits goes on waiting"


def test_a_clock_that_is_wrong(store: ObjectStore, faults: FaultStore) -> None:
    faults.rule("a", Answer(403, "RequestTimeTooSkewed"))
    with pytest.raises(StoreProblem, match="clock of this machine"):
        store.get("x")


def test_a_conflict_in_flight_is_an_unknown_outcome(store: ObjectStore, faults: FaultStore) -> None:
    faults.rule("a", Answer(409, "ConditionalRequestConflict"), times=1)
    with pytest.raises(StoreUnavailable, match="under way"):
        store.put_if_absent("x", b"")


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    need(os.geteuid() == 0, "root, to mount a small file system")
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], check=False)
    need(done.returncode == 0, "the right to mount a small file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def test_a_full_disk_and_one_that_may_only_be_read(tiny: Path) -> None:
    store = open_store(f"file://{tiny}")
    with pytest.raises(StoreFull, match="the store is full"):
        store.put_if_absent("x", bytes(100_000))
    assert store.get("x") is None, "nothing half-written"
    subprocess.run(["mount", "-o", "remount,ro", tiny], check=True)
    with pytest.raises(StoreProblem, match="may not be written to; check the mount"):
        prove(store, "n1")


def test_the_first_claims_and_the_others_find_it(direct: ObjectStore) -> None:
    assert check(direct, "retail") is None
    assert claim(direct, "retail") == Marker("retail", FORMAT)
    assert claim(direct, "retail") == check(direct, "retail")


def test_a_claim_whose_answer_was_lost_is_ours(store: ObjectStore, faults: FaultStore) -> None:
    from tests.servers.faultstore import Drop

    faults.rule("a", Drop(), methods="PUT", times=1)
    with pytest.raises(StoreUnavailable):
        claim(store, "retail")
    assert claim(store, "retail").plan == "retail"


def test_somebody_elses_store_is_refused_before_anything_is_written(
    store: ObjectStore, direct: ObjectStore, faults: FaultStore
) -> None:
    claim(direct, "wholesale")
    with pytest.raises(ForeignStore, match=r"belongs to plan 'wholesale'.*plan 'retail'"):
        claim(store, "retail")
    assert faults.seen("a", "PUT") == []


def test_a_newer_store_is_refused_before_anything_is_written(
    store: ObjectStore, direct: ObjectStore, faults: FaultStore
) -> None:
    direct.put(paths.MARKER, b'{"plan":"retail","format":%d,"new":1}' % (FORMAT + 1))
    with pytest.raises(ForeignStore, match=r"newer version.*upgrade this site first"):
        claim(store, "retail")
    assert faults.seen("a", "PUT") == []


def test_a_marker_of_another_program_is_refused(direct: ObjectStore) -> None:
    direct.put(paths.MARKER, b"\xff not json")
    with pytest.raises(ForeignStore, match="not one of ours"):
        claim(direct, "retail")


def test_a_journal_without_its_marker_is_not_claimed(direct: ObjectStore) -> None:
    direct.put(paths.segment("a", 1, 1), b"")
    with pytest.raises(ForeignStore, match=r"holds journal/ and no wayfare.json"):
        claim(direct, "retail")
    assert not direct.exists(paths.MARKER)
