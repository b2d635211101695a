"""A stranded tail in the object store: parts named by their digests, and a manifest put last.

    stranded/<site>/<epoch>/parts/<sha256>     rows, in the form of a segment
    stranded/<site>/<epoch>/<sha256>.json      the manifest; its digest names the tail

All names follow from content, so recovering twice, or after a kill, gives the same tail.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from wayfare_engine.decoding import known
from wayfare_engine.journal.problems import NewerFormat, SegmentDamaged
from wayfare_engine.journal.segment import Segment, decode
from wayfare_engine.ledger import Kind, bodies
from wayfare_engine.objectstore import ObjectStore, paths
from wayfare_engine.reconcile.problems import NoSuchTail, TailDamaged

FORMAT = 1


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One object of rows; `spooled`: they were answered for when the epoch was over already."""

    digest: str
    rows: int
    spooled: bool = False


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a tail is. `at_seq` is the closed chain's last position, `closed` the digest of what
    closed it; times are ISO 8601, of the rows' own."""

    format: int
    plan: str
    site: str
    epoch: int
    closed_by: int
    at_seq: int
    closed: str
    rows: int
    kinds: dict[str, int]
    oldest_at: datetime | None
    newest_at: datetime | None
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Tail:
    """A manifest and its digest, which names it."""

    digest: str
    manifest: Manifest

    def facts(self) -> dict[str, Any]:
        """For JSON and for people."""
        m = self.manifest
        return {
            "tail": self.digest,
            "site": m.site,
            "epoch": m.epoch,
            "closedBy": m.closed_by,
            "sealed": m.at_seq,
            "rows": m.rows,
            "spooled": sum(part.rows for part in m.parts if part.spooled),
            "kinds": dict(sorted(m.kinds.items())),
            "oldestAt": m.oldest_at.isoformat() if m.oldest_at else None,
            "newestAt": m.newest_at.isoformat() if m.newest_at else None,
        }


@dataclass(frozen=True)
class StrandedRow:
    """One row of a tail. `body` is its JSON text as it was written."""

    origin_id: bytes
    site: str
    epoch: int
    kind: str
    key: str | None
    version: int | None
    customer: str | None
    at: datetime
    body: str

    @property
    def id(self) -> uuid.UUID:
        """As people know it."""
        return uuid.UUID(bytes=self.origin_id)


def put_manifest(store: ObjectStore, manifest: Manifest) -> Tail:
    """Put a manifest whose parts are there; the same one again is no error."""
    data = msgspec.json.encode(manifest)
    tail = Tail(hashlib.sha256(data).hexdigest(), manifest)
    store.put_if_absent(paths.stranded_manifest(manifest.site, manifest.epoch, tail.digest), data)
    return tail


def tails(store: ObjectStore) -> list[Tail]:
    """All tails of the store, by epoch and site. Raises TailDamaged, NewerFormat, StoreProblem."""
    found = []
    for site in store.folders(paths.STRANDED):
        for epoch in store.folders(f"{paths.STRANDED}{site}/"):
            for entry in store.list(f"{paths.STRANDED}{site}/{epoch}/"):
                if entry.path.endswith(".json"):
                    found.append(_read(store, entry.path))
    return sorted(found, key=lambda t: (t.manifest.epoch, t.manifest.site, t.digest))


def find(store: ObjectStore, wanted: str) -> Tail:
    """The tail whose digest begins with `wanted` (at least 6 digits).

    Raises NoSuchTail when there is none or more than one, and as `tails`.
    """
    found = [tail for tail in tails(store) if len(wanted) >= 6 and tail.digest.startswith(wanted)]
    if len(found) != 1:
        raise NoSuchTail(wanted, store.url)
    return found[0]


def rows(store: ObjectStore, tail: Tail) -> Iterator[list[StrandedRow]]:
    """The rows, a part at a time, in the order of the lost chain.

    A stranded row that is itself a merged one is followed by the row that it put back, under that
    row's own origin. Raises TailDamaged, NewerFormat, NewerBody, WrongBody, StoreProblem.
    """
    manifest = tail.manifest
    for part in manifest.parts:
        found = _part(store, tail, part)
        some = [
            StrandedRow(
                row_id, manifest.site, manifest.epoch, kind, key, version, customer, at, body
            )
            for row_id, kind, key, version, customer, at, body in zip(
                *(
                    found.rows[name].to_pylist()
                    for name in ("id", "kind", "key", "version", "customer_id", "at", "body")
                ),
                strict=True,
            )
        ]
        yield [one for row in some for one in _unwrapped(row)]


def _unwrapped(row: StrandedRow) -> Iterator[StrandedRow]:
    yield row
    if row.kind != Kind.MERGED:
        return
    said = bodies.decode(row.kind, row.body)
    yield from _unwrapped(
        StrandedRow(
            uuid.UUID(said.origin_id).bytes,
            said.origin_site,
            said.origin_epoch,
            said.kind,
            said.key,
            said.version,
            said.customer,
            said.at,
            bytes(said.body).decode(),
        )
    )


def _part(store: ObjectStore, tail: Tail, part: Part) -> Segment:
    manifest = tail.manifest
    path = paths.stranded_part(manifest.site, manifest.epoch, part.digest)
    data = store.get(path)
    if data is None:
        raise TailDamaged(path, "the manifest names it, and it is not there")
    if hashlib.sha256(data).hexdigest() != part.digest:
        raise TailDamaged(path, "its bytes do not have the digest of its name")
    try:
        found = decode(data)
    except SegmentDamaged as error:
        raise TailDamaged(path, error.what) from None
    if not isinstance(found, Segment) or found.rows.num_rows != part.rows:
        raise TailDamaged(path, f"it does not hold the {part.rows} rows of the manifest")
    head = found.header
    if (head.plan, head.site, head.epoch) != (manifest.plan, manifest.site, manifest.epoch):
        raise TailDamaged(path, f"it is of plan {head.plan}, site {head.site}, epoch {head.epoch}")
    return found


def _read(store: ObjectStore, path: str) -> Tail:
    data = store.get(path)
    if data is None:
        raise TailDamaged(path, "it was listed, and is gone")
    digest = hashlib.sha256(data).hexdigest()
    if not path.endswith(f"/{digest}.json"):
        raise TailDamaged(path, "its bytes do not have the digest of its name")
    try:
        found: dict[str, Any] = msgspec.json.decode(data, type=dict[str, Any])
        if isinstance(found.get("format"), int) and found["format"] > FORMAT:
            raise NewerFormat(found["format"], FORMAT)
        return Tail(digest, msgspec.convert(found, Manifest))
    except msgspec.MsgspecError as error:
        raise TailDamaged(path, f"it is no manifest: {error}") from None


known(Manifest)
