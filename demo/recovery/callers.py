"""Those who go on meanwhile: a caller who asks for decisions, and sends that come due.

The caller knows both sites, asks the one that answered last, and turns to the other when it
does not: what an app with two addresses does. What is told is the longest time without an answer.
"""

from __future__ import annotations

import itertools
import secrets
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from demo import outside
from demo.cluster import NAMESPACE
from demo.steps import StepFailed, looks

SLOT = "push-box"
_PATIENCE_SECONDS = 1.0
#: A tenth of the second for which at most there may be no answer.
_EVERY_SECONDS = 0.1
#: Sends come due so far apart.
SPACING_SECONDS = 0.1
_FIRST_CUSTOMER = 10_001
_BATCH = 1_000


@dataclass(frozen=True)
class Door:
    """Where a site's engine is reached, with a key of it."""

    url: str
    key: str


@dataclass
class Asked:
    """When answers came (seconds of one clock), and how many requests had none."""

    answered: list[float] = field(default_factory=list)
    failed: int = 0

    @property
    def gap_seconds(self) -> float:
        """The longest time from one answer to the next."""
        return longest(self.answered)


def longest(moments: Sequence[float]) -> float:
    """The longest time between two of them that follow each other."""
    if len(moments) < 2:
        raise StepFailed(f"there were {len(moments)} answers: nothing can be said of a gap")
    return round(max(later - earlier for earlier, later in itertools.pairwise(moments)), 3)


@contextmanager
def asking(doors: Sequence[Door], *, every: float = _EVERY_SECONDS) -> Iterator[Asked]:
    """A caller asks for decisions, for the time of the block, each `every` seconds unless an answer
    takes longer; the first door is asked first."""
    asked, ending = Asked(), threading.Event()
    thread = threading.Thread(target=_ask, args=(doors, every, asked, ending))
    thread.start()
    try:
        yield asked
    finally:
        ending.set()
        thread.join()


def _ask(doors: Sequence[Door], every: float, asked: Asked, ending: threading.Event) -> None:
    place, due = 0, time.monotonic()
    with httpx.Client(timeout=_PATIENCE_SECONDS) as client:
        for number in itertools.count(_FIRST_CUSTOMER):
            if ending.wait(max(0.0, due - time.monotonic())):
                return
            due = max(time.monotonic(), due + every)
            door = doors[place]
            customer = str(_FIRST_CUSTOMER + number % 20_000)
            try:
                answer = client.post(
                    f"{door.url}/v1/decisions",
                    json={"customer": customer, "slot": SLOT, "context": {}},
                    headers={"Authorization": f"Bearer {door.key}"},
                )
                well = answer.status_code == 200
            except httpx.TransportError:
                well = False
            if well:
                asked.answered.append(time.monotonic())
            else:
                asked.failed += 1
                place = (place + 1) % len(doors)


def plan_sends(
    door: Door, count: int, *, first_due: float = 0.0, spacing: float = SPACING_SECONDS
) -> float:
    """Sends that come due one after the other, `spacing` seconds apart, from now on (`first_due`
    seconds later), at the site that acts; when that was, in seconds since 1970."""
    return plan_keyed_sends(door, count, first_due=first_due, spacing=spacing)[0]


def plan_keyed_sends(
    door: Door, count: int, *, first_due: float = 0.0, spacing: float = SPACING_SECONDS
) -> tuple[float, set[str]]:
    """The same, and the keys under which they come to the receiver."""
    began, entry = time.time(), secrets.token_hex(4)
    keys: set[str] = set()
    sends: list[dict[str, Any]] = [
        {
            "channel": f"{NAMESPACE}/mail",
            "customer_id": str(_FIRST_CUSTOMER + number),
            "key": f"{entry}-{number}",
            "content": {"text": f"A word for you, number {number}"},
            "due": (
                datetime.fromtimestamp(began, UTC) + timedelta(seconds=first_due + number * spacing)
            ).isoformat(),
        }
        for number in range(count)
    ]
    for first in range(0, count, _BATCH):
        some = sends[first : first + _BATCH]
        answer = httpx.post(
            f"{door.url}/v1/sends",
            json=some,
            headers={"Authorization": f"Bearer {door.key}"},
            timeout=30,
        )
        if answer.status_code != 200:
            raise StepFailed(f"planning sends: {answer.status_code} {answer.text[:300]}")
        keys.update(each["send_key"] for each in answer.json()["sends"])
    return began, keys


def wait_sent(since: float, count: int, *, seconds: float = 120.0) -> list[float]:
    """Wait until as many took effect outside since then; when each did."""
    found: list[float] = []
    for _ in looks(seconds, every=0.5):
        if len(found := outside.times(since)) >= count:
            return found
    raise StepFailed(f"{len(found)} of {count} sends took effect within {seconds:.0f} s")


def sends_gap(since: float, until: float) -> float:
    """The longest time between two effects outside, of sends that came due all the while, the
    two ends counted: where they stopped early, the gap is as long as that."""
    moments = [since, *(at for at in outside.times(since) if at <= until), until]
    return longest(moments)
