"""Configuration bundles in the store, under their digest, and which one is current."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from wayfare_engine.decoding import known
from wayfare_engine.objectstore import ObjectStore, StoreUnavailable, paths
from wayfare_engine.runs import objects
from wayfare_engine.runs.bundle import encoded
from wayfare_engine.runs.evidence import digest as digest_of
from wayfare_engine.runs.objects import encode
from wayfare_engine.runs.problems import EvidenceMissing, RecordDamaged, RecordTooLarge
from wayfare_engine.runs.records import Record

MOST_BUNDLE = 64 * 1024 * 1024
"""Bytes."""


class Current(Record, frozen=True, kw_only=True):
    """Which bundle the acting site has, as `site` said at `at`."""

    digest: str
    at: datetime
    site: str


def put(store: ObjectStore, normalised: Sequence[Mapping[str, Any]]) -> str:
    """Keep a bundle of objects that are normalised already; its digest. Safe to repeat."""
    body = encoded(normalised)
    found = digest_of(body)
    path = paths.bundle(found.partition(":")[2])
    if len(body) > MOST_BUNDLE:
        raise RecordTooLarge(path, len(body), MOST_BUNDLE)
    try:
        store.put_if_absent(path, body)
    except StoreUnavailable:
        if not store.exists(path):
            raise
    return found


def get(store: ObjectStore, found: str) -> tuple[dict[str, Any], ...]:
    """The objects of a bundle. Raises EvidenceMissing, RecordDamaged."""
    path = paths.bundle(found.partition(":")[2])
    body = objects.get(store, path, MOST_BUNDLE)
    if body is None:
        raise EvidenceMissing(found)
    if digest_of(body) != found:
        raise RecordDamaged(path, "is not what its name, the digest, says")
    return tuple(json.loads(body))


def put_current(store: ObjectStore, plan: str, current: Current) -> None:
    """Say which bundle the acting site has now."""
    path = paths.bundle_current(plan)
    store.put(path, encode(current, path))


def read_current(store: ObjectStore, plan: str) -> Current | None:
    """Which bundle the acting site said that it has; None when it never did."""
    return objects.read(store, paths.bundle_current(plan), Current)


known(Current)
