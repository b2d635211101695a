"""Two thousand sends through workers that are killed; a hundred thousand: `make chaos`."""

from __future__ import annotations

import pytest

from tests.chaos.sends import INVARIANTS, Dedupe, run


@pytest.mark.timeout(600)
@pytest.mark.parametrize("dedupe", ["Key", "None"])
def test_killed_workers_and_a_receiver_that_fails(dedupe: Dedupe) -> None:
    happened = run(dedupe, sends=2000, kills=3, seed=1)
    assert happened.kills == 3
    for invariant in INVARIANTS[dedupe]:
        invariant(happened)
