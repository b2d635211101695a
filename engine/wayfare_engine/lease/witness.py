"""Which copies of the object store are refused as a witness between two sites."""

from __future__ import annotations

from enum import StrEnum

from wayfare_engine.lease.problems import Replicated
from wayfare_engine.objectstore.witness import Condition, witness_shared

__all__ = ["Condition", "Replication", "refuse_replicated", "witness_shared"]


class Replication(StrEnum):
    """How the store copies itself elsewhere, as declared in the plan or the settings."""

    NONE = "None"
    SYNCHRONOUS = "Synchronous"
    ASYNCHRONOUS = "Asynchronous"


def refuse_replicated(url: str, replication: Replication) -> None:
    """Raise Replicated for a store that confirms a write before every copy has it."""
    if replication is Replication.ASYNCHRONOUS:
        raise Replicated(url)
