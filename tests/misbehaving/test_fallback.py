"""A fallback never fires after an unknown outcome, whatever the first channel's host does."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.misbehaving.records import Line
from tests.misbehaving.stage import Stage, stage
from tests.servers.wait import until

pytestmark = pytest.mark.timeout(300)
_EACH = 25
#: What the first host does, in turns; `random` refuses, fails and keeps silent.
_REFUSES_ALL = "random 100 0 0"
_TURNS = ("", "wrong-json", "cut", "random 30 20 20", "late 30", _REFUSES_ALL)


@dataclass
class Seen:
    """The lines of both hosts, and how the sends ended, by the dedupe class of the first."""

    first: list[Line]
    second: list[Line]
    outcomes: dict[str, str | None]


def _play(made: Stage, dedupe: str) -> Seen:
    first, second = f"default/first-{dedupe.lower()}", f"default/second-{dedupe.lower()}"
    for turn in _TURNS:
        if turn == _REFUSES_ALL:
            _until_taken(made, first)
        made.channels[first].folder.switch(turn)
        planned = set(made.plan_sends(first, _EACH, f"turn-{turn}"))
        if turn == "cut":
            # What it has dispatched then is in doubt.
            made.workers.pop().kill()
            made.workers.append(made.processes.start("worker"))

        # Where all are refused, none is accepted at a second try because the host was switched.
        places = (second,) if turn == _REFUSES_ALL else (first, second)

        def met(planned: set[str] = planned, places: tuple[str, ...] = places) -> bool:
            begun = (made.channels[name].folder.keys("begun") for name in places)
            return planned <= {key for keys in begun for key in keys}

        until(met, seconds=60, what=f"each was handed over: {turn}", every=0.1)
        made.channels[first].folder.switch("")
        until(lambda: made.ended(first), seconds=60, what=f"all ended: {turn}", every=0.1)
    lines = [made.channels[name].folder.lines() for name in (first, second)]
    return Seen(lines[0], lines[1], made.outcomes(first))


def _until_taken(made: Stage, channel: str) -> None:
    """Its breaker is closed. While it is open, sends fall back and none is refused."""
    numbers = itertools.count()

    def taken() -> bool:
        (key,) = made.plan_sends(channel, 1, f"taken-{next(numbers)}")
        until(lambda: made.ended(channel), seconds=60, what="it ended", every=0.1)
        return key in made.channels[channel].folder.keys("effect")

    until(taken, seconds=60, what=f"{channel} takes a send", every=0.5)


@pytest.fixture(scope="module")
def seen() -> Iterator[dict[str, Seen]]:
    with stage() as made:
        ways = []
        for dedupe in ("Key", "None"):
            name = dedupe.lower()
            first = made.host(f"first-{name}", "raw", dedupe, seed=3)
            second = made.host(f"second-{name}", "raw", "Key")
            retry = {"initialDelay": "100ms", "attempts": 2}
            ways += [
                made.way(first, fallback={"name": second.name}, retry=retry),
                made.way(second),
            ]
        made.start()
        made.publish(*ways)
        yield {dedupe: _play(made, dedupe) for dedupe in ("Key", "None")}


@pytest.mark.parametrize("dedupe", ["Key", "None"])
def test_no_key_takes_effect_at_both_channels(seen: dict[str, Seen], dedupe: str) -> None:
    one, other = (
        Counter(line.send_key for line in lines if line.what == "effect")
        for lines in (seen[dedupe].first, seen[dedupe].second)
    )
    assert one
    assert other, "nothing fell back"
    assert not one.keys() & other.keys()
    assert {*one.values(), *other.values()} == {1}


@pytest.mark.parametrize("dedupe", ["Key", "None"])
def test_what_fell_back_had_been_refused_each_time(seen: dict[str, Seen], dedupe: str) -> None:
    open_: set[str] = set()
    for line in seen[dedupe].first:
        if line.what == "begun":
            open_.add(line.send_key)
        elif line.what == "refused":
            open_.discard(line.send_key)
    fell_back = {line.send_key for line in seen[dedupe].second}
    assert not open_ & fell_back
    refused = {line.send_key for line in seen[dedupe].first if line.what == "refused"}
    assert refused & fell_back, "none that was refused fell back"


def test_what_stayed_in_doubt_is_unknown_and_went_nowhere_else(seen: dict[str, Seen]) -> None:
    unknown = {key for key, outcome in seen["None"].outcomes.items() if outcome == "Unknown"}
    assert unknown
    assert not unknown & {line.send_key for line in seen["None"].second}
    assert set(seen["Key"].outcomes.values()) == {"Accepted"}
