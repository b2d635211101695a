"""Segments: which customers each holds, computed over columns."""

from wayfare_engine.segments.columns import Column, Columns, column
from wayfare_engine.segments.matrix import MembershipMatrix
from wayfare_engine.segments.membership import Membership, compute, digest_of

__all__ = [
    "Column",
    "Columns",
    "Membership",
    "MembershipMatrix",
    "column",
    "compute",
    "digest_of",
]
