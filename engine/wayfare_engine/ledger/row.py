"""A row of the ledger, as this process makes it."""

from __future__ import annotations

import uuid
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple


class Kind(StrEnum):
    """What a row says happened. The bodies are in `ledger.bodies`."""

    DECISION = "decision"
    EVENT = "event"
    INTENT = "intent"
    DISPATCH = "dispatch"
    OUTCOME = "outcome"
    RECEIPT = "receipt"
    RULING = "ruling"
    TASK = "task"
    TASK_STATE = "task_state"
    TRANSITION = "transition"
    ATTRIBUTE = "attribute"
    IDENTITY = "identity"
    LIST_MEMBER = "list_member"
    OPT_OUT = "opt_out"
    ASSIGNMENT = "assignment"
    APPROVAL = "approval"
    LOAD = "load"
    SEGMENT_REFRESH = "segment_refresh"
    ID_BLOCK = "id_block"
    ERASURE = "erasure"
    RETENTION = "retention"
    CHECKPOINT = "checkpoint"
    MERGED = "merged"
    MERGE = "merge"


class LedgerRow(NamedTuple):
    """One fact. `body` is compact JSON text; `id` is a UUIDv7; PostgreSQL adds the transaction.

    `key` and `version` are set for stateful kinds: the key is the thing that has a state (an
    instance, an attribute, a list's member, an opt-out), its version grows by one with each change
    and is assigned under the key's lock. Everywhere such rows are applied by version.
    """

    id: uuid.UUID
    site: str
    epoch: int
    kind: str
    key: str | None
    version: int | None
    customer_id: str | None
    at: datetime
    body: str
