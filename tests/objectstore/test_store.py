"""A store on S3, on files, and by addresses that are none."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import pytest

from tests.servers.faultstore import Answer, Cut, Delay, Drop, FaultStore, Hold
from tests.servers.objects import ObjectServer
from tests.servers.wait import until
from wayfare_engine.objectstore import ObjectStore, StoreProblem, StoreUnavailable, open_store


@pytest.fixture(params=["s3", "file"])
def any_store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    """Both kinds that a machine can have for itself."""
    if request.param == "file":
        return open_store(f"file://{tmp_path}/store")
    store: ObjectStore = request.getfixturevalue("direct")
    return store


def test_an_object_is_created_once(any_store: ObjectStore) -> None:
    assert any_store.put_if_absent("a/b", b"1")
    assert not any_store.put_if_absent("a/b", b"2")
    assert any_store.get("a/b") == b"1"


def test_of_many_creates_at_once_one_succeeds(any_store: ObjectStore) -> None:
    with ThreadPoolExecutor(16) as pool:
        won = list(pool.map(lambda n: any_store.put_if_absent("race", b"%d" % n), range(16)))
    assert sum(won) == 1
    assert any_store.get("race") == b"%d" % won.index(True)


def test_create_again_with_the_same_bytes_is_our_own_success(any_store: ObjectStore) -> None:
    assert any_store.create("a", b"mine") is None
    assert any_store.create("a", b"mine") is None
    assert any_store.create("a", b"other") == b"mine"


def test_what_is_not_there(any_store: ObjectStore) -> None:
    assert any_store.get("no") is None
    assert any_store.get_range("no", 0, 1) is None
    assert any_store.size("no") is None
    assert not any_store.exists("no")
    assert list(any_store.list("no/")) == []
    any_store.delete("no")


def test_a_listing_is_ordered_and_goes_on_after_a_path(any_store: ObjectStore) -> None:
    names = [f"j/site/{n:04d}" for n in range(1203)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: any_store.put(name, b"xy"), reversed(names)))
    any_store.put("jj/other", b"")
    assert [m.path for m in any_store.list("j/")] == names
    assert [m.path for m in any_store.list("j/", after=names[1100])] == names[1101:]
    assert {m.size for m in any_store.list("j/")} == {2}


def test_ranges_and_sizes(any_store: ObjectStore) -> None:
    any_store.put("r", bytes(range(100)))
    assert any_store.get_range("r", 10, 5) == bytes(range(10, 15))
    assert any_store.size("r") == 100
    any_store.put("empty", b"")
    assert any_store.exists("empty")
    assert any_store.get("empty") == b""


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Drop(), "was cut|no connection"),
        (Drop(silent=True), "did not answer in time"),
        (Cut(), "was cut|no connection"),
        (Answer(500), "answered 500 Internal Server Error"),
        (Answer(503, "SlowDown"), "answered 503 Service Unavailable .SlowDown"),
        (Hold(), "did not answer in time"),
    ],
    ids=lambda value: value.__class__.__name__ + str(getattr(value, "status", "")),
)
def test_without_retries_one_request_is_sent_and_its_outcome_is_unknown(
    store: ObjectStore, faults: FaultStore, fault: Drop | Cut | Answer | Hold, words: str
) -> None:
    faults.rule("a", fault, methods="PUT")
    with pytest.raises(StoreUnavailable, match=words):
        store.put_if_absent("x", b"1")
    assert len(faults.seen("a", "PUT")) == 1
    faults.heal()
    took_effect = isinstance(fault, Drop)
    assert store.exists("x") is took_effect
    assert store.create("x", b"1") is None, "repeating it is safe"


def test_with_retries_a_refusal_is_repeated_and_an_unknown_outcome_is_not(
    faults: FaultStore, url: str
) -> None:
    patient = open_store(url, options=faults.options("a"), retries=3, timeout_seconds=10)
    faults.rule("a", Answer(503), methods="PUT", times=2)
    assert patient.put_if_absent("x", b"1")
    assert len(faults.seen("a", "PUT")) == 3
    faults.rule("a", Drop(), methods="PUT", times=1)
    with pytest.raises(StoreUnavailable):
        patient.put_if_absent("y", b"1")
    assert patient.create("y", b"1") is None, "it took effect, and it was ours"


def test_folders_are_named_without_reading_what_is_in_them(any_store: ObjectStore) -> None:
    for path in ("j/b/1/x", "j/a/1/x", "j/a/2/x", "j/file", "k/c/x"):
        any_store.put(path, b"")
    assert any_store.folders("j/") == ("a", "b")
    assert any_store.folders("j/a/") == ("1", "2")
    assert any_store.folders("none/") == ()


def test_a_held_write_takes_effect_late(store: ObjectStore, faults: FaultStore) -> None:
    faults.rule("a", Hold(), methods="PUT", times=1)
    with pytest.raises(StoreUnavailable):
        store.put("late", b"1")
    assert len(faults.held) == 1
    assert not store.exists("late")
    assert faults.release() == [200]
    assert store.get("late") == b"1"


def test_a_held_write_takes_effect_by_itself(store: ObjectStore, faults: FaultStore) -> None:
    faults.rule("a", Hold(seconds=0.2, silent=False), methods="PUT", times=1)
    with pytest.raises(StoreUnavailable):
        store.put("late", b"1")
    until(lambda: store.exists("late"), what="the write takes effect")


def test_an_answer_cut_in_the_middle_is_no_answer(store: ObjectStore, faults: FaultStore) -> None:
    store.put("x", b"0" * 10_000)
    faults.rule("a", Cut(middle=True), methods="GET", times=1)
    with pytest.raises(StoreUnavailable):
        store.get("x")
    assert store.get("x") == b"0" * 10_000


def test_a_site_is_cut_off_alone(faults: FaultStore, url: str) -> None:
    a = open_store(url, options=faults.options("a"), retries=0, timeout_seconds=3.0)
    b = open_store(url, options=faults.options("b"), retries=0, timeout_seconds=3.0)
    hows: tuple[Literal["silent", "refused"], ...] = ("silent", "refused")
    for how in hows:
        faults.partition("a", how=how)
        with pytest.raises(StoreUnavailable):
            a.put("x", b"")
        b.put("y", b"")
        faults.heal("a")
        a.put("z", b"")
    assert [m.path for m in b.list("")] == ["y", "z"]


def test_a_slow_store_is_waited_for_within_the_timeout(
    store: ObjectStore, faults: FaultStore
) -> None:
    faults.rule("a", Delay(0.2))
    store.put("x", b"")
    faults.heal()
    faults.rule("a", Delay(30))
    with pytest.raises(StoreUnavailable, match="in time"):
        store.get("x")


def test_a_call_that_waits_lets_other_threads_work(store: ObjectStore, faults: FaultStore) -> None:
    faults.rule("a", Hold(), methods="GET")
    done = threading.Event()

    def wait() -> None:
        with pytest.raises(StoreUnavailable):
            store.get("x")
        done.set()

    thread = threading.Thread(target=wait)
    thread.start()
    turns = 0
    while not done.is_set():
        turns += 1
    thread.join()
    assert turns > 1000


@pytest.mark.parametrize(
    ("url", "options", "words"),
    [
        ("nonsense", {}, "no store is addressed"),
        ("", {}, "no store is addressed"),
        ("ftp://x/y", {}, "no store is addressed by ftp"),
        ("file://relative/x", {}, "three slashes"),
        ("s3://", {}, "s3://BUCKET/PREFIX"),
        ("s3://b//x", {}, "empty path segment"),
        ("az://container/prefix", {}, "AZURE|Azure"),
        ("s3://b", {"AWS_ENDPOINT_URL": "127.0.0.1:9000"}, "write http://HOST:PORT"),
        ("s3://b", {"AWS_ENDPOINT_URL": "not a url"}, "write http://HOST:PORT"),
        ("s3://b", {"AWS_SECRET_ACCESS_KEY": "x\n"}, "line break"),
        ("s3://b", {"AWS_NONSENSE": "x"}, "aws_nonsense"),
        ("gs://b", {"GOOGLE_SERVICE_ACCOUNT": "/no/such.json"}, "/no/such.json cannot be read"),
    ],
)
def test_an_address_that_cannot_work_is_refused_in_words(
    url: str, options: dict[str, str], words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(StoreProblem, match=words):
        open_store(url, options=options)
    assert capfd.readouterr().err == "", "no stack trace of the client"


def test_options_of_the_client_itself_do_no_harm(objects: ObjectServer) -> None:
    store = open_store(objects.url(), options=objects.options | {"AWS_ALLOW_HTTP": "true"})
    store.put("x", b"")


def test_addresses_of_other_providers_open(monkeypatch: pytest.MonkeyPatch) -> None:
    open_store("gs://bucket/prefix", options={"GOOGLE_SKIP_SIGNATURE": "true"})
    key = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
    azure = {"AZURE_STORAGE_ACCOUNT_NAME": "account", "AZURE_STORAGE_ACCOUNT_KEY": key}
    open_store("az://container/prefix", options=azure)


def test_the_environment_configures_as_the_options_do(
    objects: ObjectServer, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in objects.options.items():
        monkeypatch.setenv(name, value)
    store = open_store(url)
    store.put("x", b"1")
    assert store.get("x") == b"1"


def test_a_folder_that_vanished_is_not_an_empty_store(tmp_path: Path) -> None:
    store = open_store(f"file://{tmp_path}/store")
    store.put("x", b"")
    (tmp_path / "store").rename(tmp_path / "away")
    with pytest.raises(StoreUnavailable, match="mounted"):
        store.exists("y")
