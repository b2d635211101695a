"""Receipts in disorder through a real serving pod: few here, and as many as one likes by
`python -m tests.chaos.receipts --receipts 100000`."""

from __future__ import annotations

import random

from tests.chaos.receipts import STATES, calls, run
from tests.servers.postgresql import running_postgresql

RECEIPTS = 5_000


def test_counts_are_exact_among_repeats_disorder_and_forgeries() -> None:
    with running_postgresql() as server:
        found = run(server, RECEIPTS, seed=1)
    distinct = found.sends * len(STATES)
    assert found.receipts == distinct + distinct // 10
    assert found.forged > 0


def test_what_is_drawn_is_in_disorder() -> None:
    sends = [str(n) for n in range(1000)]
    drawn = calls(sends, random.Random(1))
    assert any(call.forged for call in drawn)
    said = [one for call in drawn if not call.forged for one in call.receipts]
    assert len(said) == 3300
    assert len({(key, state) for key, state, _ in said}) == 3000
    seen: dict[str, int] = {}
    late = 0
    for key, state, _ in said:
        place = STATES.index(state)
        late += place < seen.get(key, -1)
        seen[key] = max(place, seen.get(key, -1))
    assert late > len(said) // 20
