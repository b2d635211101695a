"""The plan's bytes."""

from __future__ import annotations

import pytest

from wayfare_engine.plan import FORMAT, Plan, PlanFormatError


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"\xff", b'{"format": 1}', b"{" * 100_000])
def test_what_is_no_plan_is_refused(data: bytes) -> None:
    with pytest.raises(PlanFormatError):
        Plan.from_bytes(data)


def test_a_newer_format_is_refused_by_name() -> None:
    with pytest.raises(PlanFormatError, match=f"format {FORMAT + 1}, this version reads up to"):
        Plan.from_bytes(b'{"format": %d, "shape": "new"}' % (FORMAT + 1))
