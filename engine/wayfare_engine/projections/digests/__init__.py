"""Digests of projections: equal tables have equal digests, and two that differ show where.

A digest is a file (`layout`): a row of a table is a pair of hashes, of its key and of itself; pairs
are in the order of their keys' hashes, under a tree of two levels with 256 branches each, whose
sums say where to look. Two sites compare by reading a few nodes of each other's.
"""

from wayfare_engine.projections.digests.comparing import (
    Comparison,
    Difference,
    TableComparison,
    compare,
)
from wayfare_engine.projections.digests.covered import COVERED, Covered
from wayfare_engine.projections.digests.layout import Document, TableDigest
from wayfare_engine.projections.digests.problems import CannotCompare, DigestDamaged, NewerDigest
from wayfare_engine.projections.digests.reading import Digest
from wayfare_engine.projections.digests.writing import write

__all__ = [
    "COVERED",
    "CannotCompare",
    "Comparison",
    "Covered",
    "Difference",
    "Digest",
    "DigestDamaged",
    "Document",
    "NewerDigest",
    "TableComparison",
    "TableDigest",
    "compare",
    "write",
]
