"""Segments: which customers each holds, computed over columns."""

from wayfare_engine.segments.columns import ArrowTexts, Column, Columns, arrow_column, column
from wayfare_engine.segments.matrix import MembershipMatrix
from wayfare_engine.segments.membership import Membership, compute, digest_of

__all__ = [
    "ArrowTexts",
    "Column",
    "Columns",
    "Membership",
    "MembershipMatrix",
    "arrow_column",
    "column",
    "compute",
    "digest_of",
]
