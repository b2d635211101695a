"""The evidence that a run's records name: read whole, hashed, and shown from its beginning."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping

from wayfare_engine.objectstore import ObjectStore, StoreUnavailable
from wayfare_engine.objectstore.streams import pieces
from wayfare_engine.recovery.report.model import EvidenceSeen
from wayfare_engine.runs.evidence import path_of

#: Bytes of an object that are kept for the page; the rest is hashed and let go.
MOST_KEPT = 256 * 1024
#: Characters that are shown of one object.
MOST_SHOWN = 24_000


def look_at(store: ObjectStore, named: Mapping[str, tuple[str, ...]]) -> Iterator[EvidenceSeen]:
    """Each digest of `named` (by whom it is named), in order. Memory does not grow with the size
    of an object. Raises StoreProblem and StoreUnavailable: what could not be asked is not missing.
    """
    for digest, by in named.items():
        yield _look(store, digest, by)


def _look(store: ObjectStore, digest: str, by: tuple[str, ...]) -> EvidenceSeen:
    try:
        path = path_of(digest)
    except ValueError:
        return _seen(digest, "no place, because this is no digest", "Missing", by)
    parts = pieces(store, path)
    if parts is None:
        return _seen(digest, path, "Missing", by)
    hashed, kept, size = hashlib.sha256(), b"", 0
    try:
        for part in parts:
            hashed.update(part)
            kept = (kept + part)[:MOST_KEPT]
            size += len(part)
    except StoreUnavailable:
        if not store.exists(path):  # removed while it was read
            return _seen(digest, path, "Missing", by)
        raise
    found = f"sha256:{hashed.hexdigest()}"
    text, whole = _text(kept, size)
    return EvidenceSeen(
        digest=digest,
        path=path,
        state="Verified" if found == digest else "Damaged",
        size=size,
        found_digest=found,
        text=text,
        whole=whole,
        named_by=by,
    )


def _seen(digest: str, path: str, state: str, by: tuple[str, ...]) -> EvidenceSeen:
    return EvidenceSeen(
        digest=digest,
        path=path,
        state=state,
        size=None,
        found_digest=None,
        text=None,
        whole=False,
        named_by=by,
    )


def _text(kept: bytes, size: int) -> tuple[str, bool]:
    """What is shown, and whether that is all of it. JSON is laid out."""
    whole = len(kept) == size
    text = kept.decode("utf-8", "replace")
    if whole:
        with contextlib.suppress(ValueError, RecursionError):  # a text, or JSON lines: as it is
            text = json.dumps(json.loads(kept), indent=2, ensure_ascii=False)
    return text[:MOST_SHOWN], whole and len(text) <= MOST_SHOWN
