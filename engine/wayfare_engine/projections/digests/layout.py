"""A digest as bytes: one line of JSON, the document, and behind it the parts of each table.

    {"format": 1, …, "tables": [{"name": "contacts", "rows": …, "digest": …, "at": …}, …]}\\n
    of each table: its entries, the nodes of its lower level, the nodes of its upper level

An *entry* stands for a row: the hash of its key, its own hash, and where the row was in its
database (`ctid`), which makes it quick to find there. Entries are in the order of their keys'
hashes. A *node* stands for all rows whose key's hash begins with some bits (8 at the upper level,
16 at the lower): how many, the sum of their hashes, and where what is below it begins. Sums are of
two halves, each modulo 2^64, so they do not depend on the order of rows.

No key and no value is in it, only hashes: an erased customer's identifiers do not live on there.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

from wayfare_engine.decoding import known
from wayfare_engine.projections.digests.problems import DigestDamaged, NewerDigest

FORMAT: Final = 1
Array: TypeAlias = npt.NDArray[Any]

ENTRY: Final = np.dtype(
    [("k1", ">u8"), ("k2", ">u8"), ("r1", ">u8"), ("r2", ">u8"), ("ctid", "V6")]
)
#: `first` and `below`: the index and number of the nodes or entries that a node sums up.
NODE: Final = np.dtype(
    [
        ("prefix", "<u4"),
        ("below", "<u4"),
        ("first", "<u8"),
        ("rows", "<u8"),
        ("s1", "<u8"),
        ("s2", "<u8"),
    ]
)
#: Bits of a key's hash by level, the upper first.
UPPER: Final = 8
LOWER: Final = 16


class TableDigest(msgspec.Struct, frozen=True):
    """A table: `digest` is the sum of all its rows' hashes, 32 hexadecimal digits. `at` is where
    its entries begin, counted from behind the document's line; `lower` and `upper` are numbers of
    nodes."""

    name: str
    columns: tuple[str, ...]
    rows: int
    digest: str
    at: int
    lower: int
    upper: int

    @property
    def lower_at(self) -> int:
        """Where the lower level begins."""
        return self.at + self.rows * ENTRY.itemsize

    @property
    def upper_at(self) -> int:
        """Where the upper level begins."""
        return self.lower_at + self.lower * NODE.itemsize

    @property
    def end(self) -> int:
        """Where the next table begins."""
        return self.upper_at + self.upper * NODE.itemsize


class Document(msgspec.Struct, frozen=True):
    """What a digest is of. `watermark`: how far each chain (`site/epoch`) was applied or sealed.
    `unsealed`: rows that the tables follow from beside those, because they are in no segment yet:
    the watermark alone describes the tables only when there are none. `site` is for people."""

    format: int
    site: str
    revision: str
    taken_at: datetime
    watermark: dict[str, int]
    unsealed: int
    tables: tuple[TableDigest, ...]

    def table(self, name: str) -> TableDigest | None:
        """One table's part."""
        return next((table for table in self.tables if table.name == name), None)

    def facts(self) -> dict[str, Any]:
        """For JSON and for people."""
        return {
            "site": self.site,
            "takenAt": self.taken_at.isoformat(),
            "revision": self.revision,
            "watermark": self.watermark,
            "unsealed": self.unsealed,
            "tables": {t.name: {"rows": t.rows, "digest": t.digest} for t in self.tables},
        }


def encode_document(document: Document) -> bytes:
    """Its line."""
    return msgspec.json.encode(document) + b"\n"


def decode_document(source: str, line: bytes) -> Document:
    """Raises NewerDigest, DigestDamaged; `source` says in them where it is from."""

    class _Format(msgspec.Struct):
        format: int

    try:
        found = msgspec.json.decode(line, type=_Format).format
        if found > FORMAT:
            raise NewerDigest(source, found, FORMAT)
        return msgspec.json.decode(line, type=Document)
    except msgspec.MsgspecError as error:
        raise DigestDamaged(source, f"its first line is no document ({error})") from None


def summed(nodes: Array) -> tuple[int, str]:
    """Rows, and the sum of their hashes, of nodes together."""
    rows = int(nodes["rows"].sum(dtype=np.uint64))
    return rows, hexadecimal(*(int(nodes[half].sum(dtype=np.uint64)) for half in ("s1", "s2")))


def hexadecimal(first: int, second: int) -> str:
    """Two halves of a sum, as documents spell it."""
    return f"{first:016x}{second:016x}"


def nodes_over(prefixes: Array, rows: Array, s1: Array, s2: Array, firsts: int) -> Array:
    """Nodes over what is in the order of `prefixes`: one for each run of equal ones.

    `rows`, `s1` and `s2` are of what is summed up; `firsts` is the index of the first of it.
    """
    if not len(prefixes):
        return np.zeros(0, NODE)
    starts = np.flatnonzero(np.concatenate(([True], prefixes[1:] != prefixes[:-1])))
    made = np.zeros(len(starts), NODE)
    made["prefix"] = prefixes[starts]
    made["below"] = np.diff(np.append(starts, len(prefixes)))
    made["first"] = firsts + starts
    for name, values in (("rows", rows), ("s1", s1), ("s2", s2)):
        made[name] = np.add.reduceat(values.astype(np.uint64), starts)
    return made


known(Document)
