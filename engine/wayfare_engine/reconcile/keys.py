"""Which state a stranded row is about: the projection, and its key there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from wayfare_engine.ledger import Kind

#: The name of a projection, and the values of its key as far as the versions are counted by it.
StateKey = tuple[str, ...]

_KEYS: Mapping[str, Callable[[Any], StateKey]] = {
    Kind.TRANSITION: lambda b: ("journey_instances", b.instance),
    Kind.ATTRIBUTE: lambda b: ("profile_changes", b.customer, b.name),
    # An identifier's versions are counted over all customers that it ever led to.
    Kind.IDENTITY: lambda b: ("identities", b.kind, b.value),
    Kind.LIST_MEMBER: lambda b: ("list_members", b.list, b.customer),
    Kind.OPT_OUT: lambda b: ("opt_outs", b.customer, b.channel),
    Kind.ASSIGNMENT: lambda b: ("assignments", b.experiment, b.customer),
    Kind.APPROVAL: lambda b: ("approvals", b.subject),
}

#: The columns of each of these keys.
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "journey_instances": ("instance",),
    "profile_changes": ("customer_id", "name"),
    "identities": ("kind", "value"),
    "list_members": ("list", "customer_id"),
    "opt_outs": ("customer_id", "channel"),
    "assignments": ("experiment", "customer_id"),
    "approvals": ("subject",),
}


def state_key(kind: str, body: Any) -> StateKey | None:
    """The key of a row whose kind has a state, from its decoded body; None for other kinds."""
    of = _KEYS.get(kind)
    return None if of is None else of(body)
