"""The plan's bytes."""

from __future__ import annotations

import pytest

from tests.oracle.building import BANK, journey, slot
from wayfare_engine.plan import FORMAT, Plan, PlanFormatError, compile_plan


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"\xff", b'{"format": 1}', b"{" * 100_000])
def test_what_is_no_plan_is_refused(data: bytes) -> None:
    with pytest.raises(PlanFormatError):
        Plan.from_bytes(data)


def test_a_newer_format_is_refused_by_name() -> None:
    with pytest.raises(PlanFormatError, match=f"format {FORMAT + 1}, this version reads up to"):
        Plan.from_bytes(b'{"format": %d, "shape": "new"}' % (FORMAT + 1))


def _plan() -> Plan:
    nodes = [
        slot("offer", "home-banner", content={"title": "a title of its own", "sizes": [1, 2.5]}),
        slot("other", "side", content={"title": "another"}),
    ]
    return compile_plan(
        engine="bank/retail",
        schema=BANK,
        segments=[],
        journeys=[journey("j", "true", nodes=nodes)],
        previous=None,
    ).plan


def test_contents_stand_in_the_bytes_once() -> None:
    plan = _plan()
    data = plan.to_bytes()

    assert data.count(b"a title of its own") == 1
    again = Plan.from_bytes(data)
    shown = {c.node: c.content for found in again.slots.values() for c in found}
    assert shown == {
        "offer": {"title": "a title of its own", "sizes": [1, 2.5]},
        "other": {"title": "another"},
    }
    assert again == plan
    assert again.digest == plan.digest
    held = again.sources["Journey"]["bank/j"].spec["nodes"][0]["slot"]["content"]
    assert shown["offer"] is held


@pytest.mark.parametrize(
    ("there", "instead"),
    [(b'"nodes":[', b'"nodes":[7,'), (b'"Journey":{"bank/j"', b'"Journey":{"bank/k"')],
)
def test_a_plan_whose_sources_do_not_hold_its_contents_is_refused(
    there: bytes, instead: bytes
) -> None:
    data = _plan().to_bytes()
    assert there in data

    with pytest.raises(PlanFormatError, match="not a plan"):
        Plan.from_bytes(data.replace(there, instead))
