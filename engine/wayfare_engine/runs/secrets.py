"""Whether both sites have the same Secrets, without a Secret or anything of it ever leaving a site.

A pod that mounts them tells a keyed digest of each: HMAC-SHA256 with a key that both sites have and
the store has not, so that nobody who reads the store can try contents. Which key it was is part of
the digest: digests of two keys say nothing about each other.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Collection, Mapping
from datetime import datetime
from pathlib import Path

from wayfare_engine.decoding import known
from wayfare_engine.objectstore import ObjectStore, paths
from wayfare_engine.runs.asking import Keys
from wayfare_engine.runs.objects import encode, read
from wayfare_engine.runs.problems import RecordDamaged
from wayfare_engine.runs.records import Record

PRESENT = "present"
"""Told of a Secret that is there, and need not be the same at both sites."""


class SecretsSeen(Record, frozen=True, kw_only=True):
    """What a pod found at `site`: each Secret's keyed digest; None: it is not there, or empty."""

    site: str
    at: datetime
    digests: dict[str, str | None]


def key_for(keys: Keys, plan: str) -> str:
    """The plan's key for digests, made from the operators' key, which a pod need not have."""
    return keys.sign(b"wayfare secrets\n" + plan.encode())


def keyed(key: str, name: str, content: Mapping[str, bytes]) -> str:
    """`<8 hex of which key>:<64 hex>` of a Secret's name and content."""
    parts = [name.encode()]
    for entry in sorted(content):
        parts += [entry.encode(), content[entry]]
    whole = b"".join(b"%d:%b" % (len(part), part) for part in parts)
    return f"{_mac(key, b'which key')[:8]}:{_mac(key, whole)}"


def _mac(key: str, content: bytes) -> str:
    return hmac.new(key.encode(), content, hashlib.sha256).hexdigest()


def same(here: str | None, there: str | None) -> bool | None:
    """Whether two digests are of the same content; None when that cannot be told: one is
    missing, or they were made with different keys."""
    if here is None or there is None:
        return None
    if here.partition(":")[0] != there.partition(":")[0]:
        return None
    return here == there


def look(folder: Path, key: str, *, present: Collection[str] = ()) -> dict[str, str | None]:
    """The digests of the Secrets that are mounted below `folder`, one folder each; of those in
    `present`, only whether they are there."""
    found: dict[str, str | None] = {}
    for place in sorted(one for one in folder.iterdir() if one.is_dir()):
        # Kubernetes keeps versions of a volume in folders that begin with two dots.
        files = [one for one in place.iterdir() if not one.name.startswith("..") and one.is_file()]
        content = {one.name: one.read_bytes() for one in files}
        if not content:
            found[place.name] = None
        elif place.name in present:
            found[place.name] = PRESENT
        else:
            found[place.name] = keyed(key, place.name, content)
    return found


def write(store: ObjectStore, plan: str, seen: SecretsSeen) -> None:
    """Replace what the site told. Raises RecordTooLarge, StoreProblem."""
    path = paths.secrets_seen(plan, seen.site)
    store.put(path, encode(seen, path))


def newest(store: ObjectStore, plan: str, site: str) -> SecretsSeen | None:
    """What the site told last; None when it never did. Raises RecordDamaged, NewerRecord."""
    path = paths.secrets_seen(plan, site)
    found = read(store, path, SecretsSeen)
    if found is not None and found.site != site:
        raise RecordDamaged(path, f"speaks of site {found.site}")
    return found


known(SecretsSeen)
