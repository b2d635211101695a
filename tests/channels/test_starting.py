"""A send is started in time or not at all, also when its process is held up between."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.channels.scripted import Asked
from wayfare_engine.channels.clock import HostClock
from wayfare_engine.channels.contract import HandOver
from wayfare_engine.channels.host import LATE, Host


def host_at(times: Sequence[float], effects: Path) -> Host:
    """A host whose clock says these times, one a look; the last for ever."""

    def ticking() -> Iterator[float]:
        yield from times
        while True:
            yield times[-1]

    ticks = ticking()
    clock = HostClock("boot", longest=5.0, now=lambda: next(ticks))
    return Host(Asked(effects), clock=clock, concurrency=1)


def hand_over(key: str, remaining: float = 5.0) -> HandOver:
    return HandOver(
        send_key=key,
        customer="c",
        channel="c",
        site="s",
        epoch=1,
        attempt=1,
        remaining=remaining,
        clock="boot:100.000000",
        payload={},
    )


async def test_a_send_whose_time_ends_before_its_start_is_late(tmp_path: Path) -> None:
    host = host_at([101.0, 106.0], tmp_path / "effects")
    assert await host.send(hand_over("k")) == LATE
    assert not (tmp_path / "effects").exists()


async def test_a_send_has_what_is_left_at_its_start(tmp_path: Path) -> None:
    host = host_at([101.0, 102.0], tmp_path / "effects")
    assert (await host.send(hand_over("k"))).result == "Accepted"
    assert (tmp_path / "effects").read_text().splitlines()[0] == "begun k 3.000000"


async def test_of_a_batch_only_what_is_in_time_at_its_start_is_started(tmp_path: Path) -> None:
    host = host_at([101.0, 101.0, 102.5], tmp_path / "effects")
    answers = await host.send_batch([hand_over("k-1", 2.0), hand_over("k-2", 5.0)])
    assert [one and one.result for one in answers] == ["Late", "Accepted"]
    assert "k-1" not in (tmp_path / "effects").read_text()
