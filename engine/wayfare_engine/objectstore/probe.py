"""Proof, at the start of a process, that a store does what the journal and the lease rely on.

What is proved: of several creates of one object exactly one succeeds, one after the other and at
once; a read and a listing right after a write see it, also when the object was asked for before it
was there (the lease asks for the next epoch's object again and again); a replaced object reads as
the new one. What no probe can prove: that a bucket is not copied to another place later, behind
the back of who writes. Both sites have to open the very same bucket.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from wayfare_engine.objectstore import paths
from wayfare_engine.objectstore.problems import StoreProblem, StoreUnfit
from wayfare_engine.objectstore.store import ObjectStore, open_store

AT_ONCE = 8
LEAST_SECONDS = 10.0
"""How long an answer may take at least: creates of one object at once wait for one another, at
SeaweedFS a second each (measured: up to 3 s for eight)."""
_HINT = (
    "use one that has it: Amazon S3, Google Cloud Storage, Azure Blob Storage, MinIO, SeaweedFS; "
    "a gateway or cache in between may be what takes it away"
)


def prove_store(url: str, timeout_seconds: float) -> None:
    """Prove the store of `url`, with a client for that alone: it is more patient than who writes
    has to be, and repeats nothing by itself, because a create that took effect and was answered
    with an error would find its own object. Raises as `prove` does."""
    patient = max(timeout_seconds, LEAST_SECONDS)
    prove(open_store(url, timeout_seconds=patient, retries=0), uuid.uuid4().hex)


def prove(store: ObjectStore, nonce: str, *, rounds: int = 2) -> None:
    """Prove it below `probe/<nonce>/`, and clean up there; about 20 small requests a round.

    `nonce` is new for each probe. Raises StoreUnfit with what is lacking, and StoreProblem or
    StoreUnavailable when the store cannot be used at all or not now.
    """
    used: list[str] = []

    def fresh(name: str) -> str:
        used.append(paths.probe(nonce, name))
        return used[-1]

    try:
        for number in range(rounds):
            _one_after_the_other(store, fresh(f"{number}-create"))
            _at_once(store, fresh(f"{number}-race"))
            _replaced(store, fresh(f"{number}-replace"))
    finally:
        for path in used:
            # Credentials that may not remove are enough for all else.
            with suppress(StoreProblem):
                store.delete(path)


def _one_after_the_other(store: ObjectStore, path: str) -> None:
    folder = path.rpartition("/")[0] + "/"
    if store.get(path) is not None or store.exists(path):
        raise StoreUnfit(store.url, f"{path} is there before it was written", _HINT)
    _listed(store, folder, path)
    if not store.put_if_absent(path, b"first"):
        raise StoreUnfit(store.url, "a create of a new object says that it was there", _HINT)
    _need(store, store.get(path) == b"first", "a read right after a write does not see it")
    _need(store, store.exists(path), "a read right after a write does not see it")
    _need(store, _listed(store, folder, path), "a listing right after a write does not show it")
    again = store.put_if_absent(path, b"second")
    _need(store, not again, "two creates of one object both succeeded (it lacks put-if-absent)")
    _need(store, store.get(path) == b"first", "a create replaced an object (no put-if-absent)")


def _at_once(store: ObjectStore, path: str) -> None:
    bodies = [f"writer {number}".encode() for number in range(AT_ONCE)]
    attempt: Callable[[bytes], bool] = lambda body: store.put_if_absent(path, body)  # noqa: E731
    with ThreadPoolExecutor(AT_ONCE) as pool:
        made = list(pool.map(attempt, bodies))
    winners = [body for body, won in zip(bodies, made, strict=True) if won]
    _need(
        store,
        len(winners) == 1,
        f"of {AT_ONCE} creates of one object at once {len(winners)} succeeded, not one",
    )
    _need(store, store.get(path) == winners[0], "the winner of a race is not what is stored")


def _replaced(store: ObjectStore, path: str) -> None:
    for body in (b"old", b"new"):
        store.put(path, body)
        _need(store, store.get(path) == body, "a read right after a write sees an older object")


def _listed(store: ObjectStore, folder: str, path: str) -> bool:
    return any(listed.path == path for listed in store.list(folder))


def _need(store: ObjectStore, fact: bool, otherwise: str) -> None:
    if not fact:
        raise StoreUnfit(store.url, otherwise, _HINT)
