"""A plan with sinks, what is counted as outward, and what a scenario would have cost."""

from __future__ import annotations

from typing import Any

import pytest

from wayfare_engine.plan import FORMAT, Plan, PlanChannel
from wayfare_engine.recovery.drill.lost_part import Waiting, cost
from wayfare_engine.recovery.drill.outward import judged
from wayfare_engine.recovery.drill.sinks import outward, sunk
from wayfare_engine.runs import LostPart

SINK = "http://rehearse-drill-engine.bank.svc:8082"


def channel(url: str, **spec: Any) -> PlanChannel:
    """A way out."""
    return PlanChannel(url=url, digest="sha256:0", spec=spec)


def plan(**channels: PlanChannel) -> Plan:
    """A plan of these channels in namespace bank."""
    return Plan(
        format=FORMAT,
        engine="bank/retail",
        attributes=(),
        segments=(),
        slots={},
        sources={},
        channels={f"bank/{name}": each for name, each in channels.items()},
    )


PRODUCTION = plan(
    mail=channel("http://mail-channel.bank.svc:8082", fallback={"name": "sms"}),
    sms=channel("http://sms-channel.bank.svc:8082", deduplication={"window": "24h"}),
    desk=channel("", plugin={"name": "task"}),
)


def test_every_address_is_the_sinks_and_nothing_else_changes() -> None:
    made = sunk(PRODUCTION, SINK)
    assert {name: each.url for name, each in made.channels.items()} == {
        "bank/mail": SINK,
        "bank/sms": SINK,
        "bank/desk": "",
    }
    assert made.digest != PRODUCTION.digest
    assert sunk(made, "x").channels["bank/mail"].spec == PRODUCTION.channels["bank/mail"].spec
    assert outward(made, SINK) == {}
    assert sorted(outward(PRODUCTION, SINK)) == ["bank/mail", "bank/sms"]


def test_hand_overs_to_the_sink_are_not_outward() -> None:
    found = judged(
        sunk(PRODUCTION, SINK),
        SINK,
        {"bank/mail": 7, "bank/desk": 2},
        [("bank/mail", "sink-1", 1), ("bank/mail", "sink-2", 1), ("bank/desk", "", 1)],
    )
    assert found.outward_sends == 0
    assert found.figures()["handOvers"] == 9
    assert found.at_sink == 2


@pytest.mark.parametrize(
    ("served", "handed_over", "accepted", "sends"),
    [
        (PRODUCTION, {"bank/mail": 3}, [], 3),
        (sunk(PRODUCTION, SINK), {"bank/gone": 2}, [], 2),
        (sunk(PRODUCTION, SINK), {"bank/mail": 2}, [("bank/mail", "smtp-77", 1)], 1),
        (None, {"bank/mail": 4}, [], 4),
    ],
)
def test_all_else_is(
    served: Plan | None,
    handed_over: dict[str, int],
    accepted: list[tuple[str | None, str, int]],
    sends: int,
) -> None:
    assert judged(served, SINK, handed_over, accepted).outward_sends == sends


# -- what would have been lost --------------------------------------------------------------------

FOUND = Waiting(
    waiting={("bank/mail", "Journaled"): 5, ("bank/mail", "Local"): 2, ("bank/sms", "Local"): 1},
    in_doubt={"bank/sms": 3},
)
STRANDED = {"rows": 12, "basis": "Exact"}


def test_a_lost_site_strands_rows_and_leaves_sends_in_doubt() -> None:
    found = cost(LostPart(lost="Site", at_position=40), PRODUCTION, FOUND, STRANDED)
    assert found["stranded"] == STRANDED
    assert [(one["channel"], one["sends"]) for one in found["inDoubt"]] == [("bank/sms", 3)]
    assert found["fellBack"] == []
    assert found["atPosition"] == 40


@pytest.mark.parametrize("lost", ["Valkey", "Channel", "ObjectStore"])
def test_what_has_no_disk_strands_nothing(lost: str) -> None:
    channel = "mail" if lost == "Channel" else None
    found = cost(LostPart(lost=lost, channel=channel), PRODUCTION, FOUND, STRANDED)
    assert found["stranded"]["rows"] == 0
    assert found["inDoubt"] == []


def test_a_lost_channel_falls_back_or_waits() -> None:
    found = cost(LostPart(lost="Channel", channel="mail"), PRODUCTION, FOUND, STRANDED)
    assert found["fellBack"] == [{"channel": "bank/mail", "to": "bank/sms", "sends": 7}]
    assert found["waits"] == []
    found = cost(LostPart(lost="Channel", channel="sms"), PRODUCTION, FOUND, STRANDED)
    assert found["fellBack"] == []
    assert found["waits"] == [{"channel": "bank/sms", "sends": 1}]


def test_without_the_object_store_what_is_to_be_journaled_waits() -> None:
    found = cost(LostPart(lost="ObjectStore"), PRODUCTION, FOUND, STRANDED)
    assert found["waits"] == [{"channel": "bank/mail", "sends": 5}]


@pytest.mark.parametrize(
    ("spec", "then"),
    [
        ({}, "never repeated"),
        ({"sharedAccount": True, "deduplication": {"window": "24h"}}, "same key"),
        ({"sharedAccount": True}, "where the plugin says"),
    ],
)
def test_what_becomes_of_a_send_in_doubt_follows_from_its_channel(
    spec: dict[str, Any], then: str
) -> None:
    served = plan(sms=channel("http://x", **spec))
    (found,) = cost(LostPart(lost="Site"), served, FOUND, STRANDED)["inDoubt"]
    assert then in found["then"]
