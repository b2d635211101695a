"""What a replay changes of a send whose turn comes, joined to those few that were chosen: a turn
must not look at the rulings on all that wait."""

from __future__ import annotations

_SEND = (
    "send_key",
    "customer",
    "channel",
    "payload",
    "attempt",
    "due",
    "expires",
    "part",
    "planned",
)


def with_replays(query: str, *more: str) -> str:
    """`query` gives the first nine fields of a `Send`, and `more`, in the order of the last of
    these, or of `due`, and then of the key; this gives all fields of the `Send`, and then `more`,
    in the same order."""
    extra = "".join(f", t.{name}" for name in more)
    order = "due" if not more else more[-1]
    return f"""
WITH t ({", ".join((*_SEND, *more))}) AS MATERIALIZED ({query})
SELECT t.send_key, t.customer, t.channel, t.payload, t.attempt, t.due,
    coalesce(r.expires, t.expires), t.part, t.planned, false, NULL, r.at, coalesce(r.attempt, 0)
    {extra}
FROM t LEFT JOIN wayfare.rulings r ON r.send_key = t.send_key AND r.action = 'Replay'
ORDER BY t.{order}, t.send_key
"""  # noqa: S608 - queries of our own
