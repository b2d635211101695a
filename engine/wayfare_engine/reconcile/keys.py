"""Which state a stranded row is about."""

from __future__ import annotations

from typing import Any

from wayfare_engine.facts.fact import STATES
from wayfare_engine.ledger import Kind

#: A kind whose rows have a state, and what tells that state apart (see `facts.STATES`).
StateKey = tuple[Kind, tuple[str, ...]]


def state_key(kind: str, body: Any) -> StateKey | None:
    """The key of a row whose kind has a state, from its decoded body; None for other kinds."""
    state = STATES.get(Kind(kind))
    return None if state is None else (Kind(kind), state.parts(body))
