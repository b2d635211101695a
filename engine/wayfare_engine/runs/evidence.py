"""Evidence: what a step or check saw, kept under the SHA-256 of its bytes."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from wayfare_engine.crashpoints import crash_point
from wayfare_engine.objectstore import ObjectStore, StoreUnavailable, paths
from wayfare_engine.runs import objects
from wayfare_engine.runs.objects import canonical
from wayfare_engine.runs.problems import EvidenceMissing, RecordDamaged, RecordTooLarge

MOST_EVIDENCE = 16 * 1024 * 1024
"""Bytes of one piece."""

_before_put = crash_point("runs.evidence.before_put", "nothing yet: the evidence comes next")
_after_put = crash_point("runs.evidence.put", "the evidence is in the store")


def put(store: ObjectStore, value: object) -> str:
    """Keep a value as canonical JSON; its digest, `sha256:<64 hex>`. Safe to repeat.

    Raises RecordTooLarge, StoreProblem, StoreUnavailable.
    """
    return put_bytes(store, canonical(value))


def put_text(store: ObjectStore, text: str) -> str:
    """Keep a text as it is (a page, a log); its digest."""
    return put_bytes(store, text.encode())


def put_bytes(store: ObjectStore, body: bytes) -> str:
    """Keep bytes; their digest."""
    found = digest(body)
    path = path_of(found)
    if len(body) > MOST_EVIDENCE:
        raise RecordTooLarge(path, len(body), MOST_EVIDENCE)
    _before_put()
    try:
        store.put_if_absent(path, body)  # who was first wrote the same bytes
    except StoreUnavailable:
        if not store.exists(path):
            raise
    _after_put()
    return found


def get_bytes(store: ObjectStore, found: str) -> bytes:
    """What was kept under this digest. Raises EvidenceMissing, and RecordDamaged when it is not
    what its digest says."""
    path = path_of(found)
    body = objects.get(store, path, MOST_EVIDENCE)
    if body is None:
        raise EvidenceMissing(found)
    if digest(body) != found:
        raise RecordDamaged(path, "is not what its name, the digest, says")
    return body


def get_text(store: ObjectStore, found: str) -> str:
    """The text that was kept under this digest."""
    return get_bytes(store, found).decode("utf-8", "replace")


def get(store: ObjectStore, found: str) -> Any:
    """The value that was kept under this digest. Raises RecordDamaged when it is no JSON."""
    body = get_bytes(store, found)
    try:
        return json.loads(body)
    except ValueError:
        raise RecordDamaged(path_of(found), "is not JSON; it may be a text") from None


def digest(body: bytes) -> str:
    """`sha256:<64 hex>`."""
    return "sha256:" + hashlib.sha256(body).hexdigest()


def path_of(found: str) -> str:
    """Where evidence is. Raises ValueError for what is not a digest."""
    kind, _, name = found.partition(":")
    if kind != "sha256" or len(name) != 64 or name.strip("0123456789abcdef"):
        raise ValueError(f"{found!r} is not sha256:<64 hexadecimal digits>")
    return paths.evidence(name)
