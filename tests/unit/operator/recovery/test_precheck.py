"""From when a recovery time is measured."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from wayfare_engine.resources import RunKind
from wayfare_operator.recovery.steps import precheck

REQUESTED = datetime(2026, 11, 29, 9, 27, 40, tzinfo=UTC)
"""As an object tells it: in whole seconds."""


@pytest.mark.parametrize(
    ("after", "source", "start"),
    [(-7.5, "LastBeat", -7.5), (0.4, "LastBeat", 0.0), (1.0, "Request", 0.0)],
)
def test_a_beat_in_the_second_of_the_request_counts_as_before_it(
    after: float, source: str, start: float
) -> None:
    run = SimpleNamespace(at=REQUESTED, fault_at=None, statement="off, I see it")
    step: Any = SimpleNamespace(kind=RunKind.FAILOVER, run=run)
    beat = SimpleNamespace(at=REQUESTED + timedelta(seconds=after))
    held = SimpleNamespace(epoch=1, site="east")
    grounds: Any = SimpleNamespace(beat=beat, held=held, age=3.0)
    found = precheck._figures(step, grounds)
    assert found["from"] == source
    assert found["fromAt"] == (REQUESTED + timedelta(seconds=start)).isoformat()
