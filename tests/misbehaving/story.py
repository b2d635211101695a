"""Every kind of misbehaviour at once, in one engine: what happens, and what is to be seen of it."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from tests.misbehaving.keeper import resident
from tests.misbehaving.records import Line
from tests.misbehaving.stage import Program, Stage
from tests.servers.wait import until


@dataclass(frozen=True)
class Kind:
    """How a host misbehaves. `opens`: enough calls fail for the breaker. `always_there`: its
    process lives on, so that every probe reaches it."""

    switch: str
    program: Program
    dedupe: Literal["Key", "None"]
    opens: bool = True
    always_there: bool = True

    @property
    def name(self) -> str:
        """Of its channel."""
        return f"{self.switch.partition(' ')[0]}-{self.dedupe}".lower()


KINDS = (
    Kind("hang", "plugin", "None"),
    Kind("crash 3", "plugin", "Key", always_there=False),
    Kind("leak 50", "plugin", "Key", always_there=False),
    Kind("slow 30", "plugin", "None"),
    Kind("die", "plugin", "Key", always_there=False),
    Kind("die", "plugin", "None", always_there=False),
    Kind("wrong-json", "raw", "None"),
    Kind("error-body", "raw", "Key"),
    Kind("cut", "raw", "Key"),
    Kind("late 30", "raw", "None"),
    Kind("deep", "raw", "Key"),
    Kind("flood", "raw", "None"),
    Kind("drip", "raw", "Key"),
    Kind("nul", "raw", "None", opens=False),
    Kind("surrogate", "raw", "Key"),
    Kind("long", "raw", "Key"),
)
HEALTHY = "healthy"
SENDS = 30
_FAULT_SECONDS = 6.0


@dataclass
class Seen:
    """What a story came to. Latencies in seconds; memory in bytes, before and after."""

    idle: list[float] = field(default_factory=list)
    fault: list[float] = field(default_factory=list)
    memory: dict[str, tuple[int, int]] = field(default_factory=dict)
    healthy_meanwhile: int = 0
    bad_at: float = 0.0
    good_at: float = 0.0
    lines: dict[str, list[Line]] = field(default_factory=dict)
    outcomes: dict[str, dict[str, str | None]] = field(default_factory=dict)
    told: dict[str, dict[str, Any]] = field(default_factory=dict)
    log: list[dict[str, Any]] = field(default_factory=list)

    def changes(self, channel: str) -> list[tuple[float, str]]:
        """When the channel's breaker changed, and to what."""
        return changes(self.log, channel)


def changes(log: list[dict[str, Any]], channel: str) -> list[tuple[float, str]]:
    """When a channel's breaker changed, by the worker's log, and to what."""
    return [
        (_seconds(line["timestamp"]), line["state"])
        for line in log
        if line["event"] == "channel.breaker" and line["channel"] == channel
    ]


class Traffic:
    """Sends of the healthy channel, so many a second, and decisions one after the other, from
    `start` to `stop`."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.planned = 0

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(0.5):
            self.planned += 5
            self._stage.plan_sends(f"default/{HEALTHY}", 5, f"traffic-{self.planned}")


def decisions(stage: Stage, seconds: float) -> list[float]:
    """One after the other for so long, with a little pause; how long each took."""
    taken = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        began = time.perf_counter()
        stage.decide()
        taken.append(time.perf_counter() - began)
        time.sleep(0.005)
    return taken


def set_up(stage: Stage, kinds: tuple[Kind, ...] = KINDS) -> None:
    """A healthy channel, and one of each kind that behaves for now."""
    healthy = stage.host(HEALTHY, "sink", "Key")
    bad = [stage.host(kind.name, kind.program, kind.dedupe) for kind in kinds]
    stage.start()
    stage.publish(stage.way(healthy), *(stage.way(one) for one in bad))


def play(stage: Stage, kinds: tuple[Kind, ...] = KINDS) -> Seen:
    """Behave, misbehave, behave again; returns when every send has ended."""
    seen = Seen()
    assert stage.serve is not None
    pids = {"worker": stage.workers[0].process.pid, "serve": stage.serve.process.pid}
    traffic = Traffic(stage)
    traffic.start()
    decisions(stage, 0.5)
    seen.idle = decisions(stage, 2.0)
    before = {name: resident(pid) for name, pid in pids.items()}
    for kind in kinds:
        stage.channels[f"default/{kind.name}"].folder.switch(kind.switch)
    seen.bad_at = time.time()
    for kind in kinds:
        stage.plan_sends(f"default/{kind.name}", SENDS, "fault")
    accepted = _accepted(stage)
    opening = {f"default/{kind.name}" for kind in kinds if kind.opens}
    until(lambda: opening <= _opened(stage), seconds=60, what="all breakers opened")
    until(lambda: opening <= open_in_decisions(stage), what="decisions knew of each")
    seen.fault = decisions(stage, _FAULT_SECONDS)
    seen.healthy_meanwhile = _accepted(stage) - accepted
    for kind in kinds:
        stage.channels[f"default/{kind.name}"].folder.switch("")
    seen.good_at = time.time()
    traffic.stop()
    until(stage.ended, seconds=60, what="every send ended", every=0.2)
    until(lambda: stage.decide()["open_channels"] == [], what="decisions know of no open channel")
    seen.memory = {name: (before[name], resident(pid)) for name, pid in pids.items()}
    seen.told = stage.told()
    for kind in kinds:
        channel = f"default/{kind.name}"
        seen.lines[channel] = stage.channels[channel].folder.lines()
        seen.outcomes[channel] = stage.outcomes(channel)
    seen.outcomes[f"default/{HEALTHY}"] = stage.outcomes(f"default/{HEALTHY}")
    seen.log = stage.logs()
    return seen


def open_in_decisions(stage: Stage) -> set[str]:
    """Channels that the serving pod ever knew to be open."""
    assert stage.serve is not None
    lines = [json.loads(x) for x in stage.serve.log.read_text().splitlines() if x.startswith("{")]
    return {name for x in lines if x["event"] == "channels.open" for name in x["channels"]}


def _opened(stage: Stage) -> set[str]:
    return {
        line["channel"]
        for line in stage.logs()
        if line["event"] == "channel.breaker" and line["state"] == "Open"
    }


def _accepted(stage: Stage) -> int:
    return list(stage.outcomes(f"default/{HEALTHY}").values()).count("Accepted")


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
