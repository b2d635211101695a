"""Two thousand sends through workers that are killed; a hundred thousand: `make chaos`."""

from __future__ import annotations

import pytest

from tests.chaos.sends import (
    INVARIANTS,
    Dedupe,
    no_key_took_effect_twice,
    run,
    what_is_in_doubt_is_not_repeated,
)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("dedupe", ["Key", "None"])
def test_killed_workers_and_a_receiver_that_fails(dedupe: Dedupe) -> None:
    happened = run(dedupe, sends=2000, kills=3, seed=1)
    assert happened.kills == 3
    for invariant in INVARIANTS[dedupe]:
        invariant(happened)


@pytest.mark.timeout(300)
def test_a_receiver_that_cannot_tell_a_repeat_must_not_be_said_to() -> None:
    """What the others look for is found when it is there."""
    lie = {"deduplication": {"by": "SendKey", "window": "1h"}}
    happened = run("None", sends=60, kills=0, seed=1, claims=lie)
    for invariant in (no_key_took_effect_twice, what_is_in_doubt_is_not_repeated):
        with pytest.raises(AssertionError):
            invariant(happened)
