"""What supersedes what, for one send: the ranks of outcomes and receipts.

Outcomes. `Accepted` is the highest whatever its attempt: the send took effect, and nothing may
follow it. Otherwise a later attempt's outcome supersedes an earlier one's, and for one attempt
what is definite supersedes what is not.

Receipts. What a provider tells may arrive in any order: the furthest stage counts. What ends a send
badly is above all stages, because a provider may say `delivered` of what bounced a day later.

Tasks. What a person did has happened: `Closed` stands whatever else is said. Otherwise the version
decides.
"""

from __future__ import annotations

from typing import Final

OUTCOMES: Final = {
    "Held": 1,
    "Unknown": 2,
    "Expired": 3,
    "NotAccepted": 4,
    "Rejected": 5,
    "Accepted": 6,
}
RECEIPTS: Final = {
    "accepted": 1,
    "sent": 2,
    "delivered": 3,
    "read": 4,
    "clicked": 5,
    "failed": 6,
    "expired": 7,
    "bounced": 8,
    "complained": 9,
}
#: Receipts that say that a send reached its provider, and did not end there.
TOOK_EFFECT: Final = ("accepted", "sent", "delivered", "read", "clicked", "complained")
TASKS: Final = {"Open": 1, "Taken": 1, "Expired": 1, "Closed": 2}
#: Receipts of this rank or more end a send.
FINAL_RECEIPT: Final = RECEIPTS["failed"]
#: The rank of `Accepted`, above that of every attempt.
ACCEPTED: Final = 1 << 40


def outcome_rank(result: str, attempt: int) -> int:
    """The place of an outcome among all of its send; 0 is below all. Raises KeyError."""
    return ACCEPTED if result == "Accepted" else attempt * 8 + OUTCOMES[result]
