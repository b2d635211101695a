"""For each kind of misbehaviour: windows in turns without and with it, over real processes.

`serve` has one core, and everything else the other one. `<kind>_p50` and `<kind>_p99` are what a
decision took, the median of the windows with it over the median of those without. In both a healthy
channel sends; `<kind>_healthy` is its rate over that without. `<kind>_recovers` is the median time
until every send ended and decisions knew of no open channel, in seconds; `<kind>_trials` the most
hand-overs that one half open breaker let through. Memory is what the processes grew by, in MB.
"""

from __future__ import annotations

import statistics
import sys
import time
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from bench.misbehaving.load import Load
from tests.misbehaving.keeper import resident
from tests.misbehaving.stage import Stage, cores, stage
from tests.misbehaving.story import HEALTHY, KINDS, Kind, Traffic, changes, set_up
from tests.servers.wait import until

_WINDOWS = 5
_SECONDS = 4.0
_SENDS = 40
_WARM_UP_SECONDS = 3.0


@dataclass
class _Windows:
    p50: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)
    healthy: list[float] = field(default_factory=list)


def measure(scale: float) -> dict[str, Any]:
    """See the module's text. A smaller scale has shorter windows, and no fewer."""
    seconds = max(_SECONDS * scale, 0.5)
    figures: dict[str, Any] = {}
    with stage(pinned=True) as made:
        set_up(made)
        assert made.serve is not None
        load = Load(made.serve.port, made.processes.key(), cores()[1])
        traffic = Traffic(made)
        traffic.start()
        try:
            # The key is known when it answers.
            until(lambda: _asked(load), what="the load's key is known")
            load.run(_WARM_UP_SECONDS)
            pids = {"worker": made.workers[0].process.pid, "serve": made.serve.process.pid}
            before = {name: resident(pid) for name, pid in pids.items()}
            for kind in KINDS:
                figures |= _kind(made, kind, load, seconds)
                print(f"    {kind.name}", file=sys.stderr, flush=True)
            for name, pid in pids.items():
                figures[f"{name}_grew_mb"] = round((resident(pid) - before[name]) / 1024**2, 1)
        finally:
            traffic.stop()
            load.stop()
    return figures


def _asked(load: Load) -> bool:
    return bool(load.run(0.05))


def _kind(made: Stage, kind: Kind, load: Load, seconds: float) -> dict[str, Any]:
    bad = made.channels[f"default/{kind.name}"]
    idle, fault = _Windows(), _Windows()
    recovered, trials = [], []
    for number in range(_WINDOWS):
        _window(made, load, seconds, idle)
        bad.folder.switch(kind.switch)
        began = time.time()
        made.plan_sends(bad.channel, _SENDS, f"window-{number}")
        _window(made, load, seconds, fault)
        bad.folder.switch("")
        good = time.time()
        at = time.monotonic()
        until(lambda: made.ended(bad.channel), seconds=60, what=f"{kind.name} ended", every=0.05)
        until(lambda: made.decide()["open_channels"] == [], what="no channel is open", every=0.05)
        recovered.append(time.monotonic() - at)
        trials.append(_trials(made, bad.channel, began, good))
    name = kind.name
    return {
        f"{name}_p50": _ratio(fault.p50, idle.p50),
        f"{name}_p99": _ratio(fault.p99, idle.p99),
        f"{name}_healthy": _ratio(fault.healthy, idle.healthy),
        f"{name}_recovers": round(statistics.median(recovered), 2),
        f"{name}_trials": max(trials),
    }


def _window(made: Stage, load: Load, seconds: float, into: _Windows) -> None:
    before, began = _accepted(made), time.monotonic()
    taken = load.run(seconds)
    into.healthy.append((_accepted(made) - before) / (time.monotonic() - began))
    into.p50.append(taken[len(taken) // 2])
    into.p99.append(taken[min(len(taken) - 1, int(len(taken) * 0.99))])


def _trials(made: Stage, channel: str, began: float, good: float) -> int:
    begun = [x.at for x in made.channels[channel].folder.lines() if x.what == "begun"]
    turns = [(at, state) for at, state in changes(made.logs(), channel) if began <= at]
    most = 0
    for (at, state), (end, _) in pairwise(turns):
        if state == "HalfOpen" and end <= good:
            most = max(most, sum(at <= one <= end for one in begun))
    return most


def _accepted(made: Stage) -> int:
    return list(made.outcomes(f"default/{HEALTHY}").values()).count("Accepted")


def _ratio(these: list[float], those: list[float]) -> float:
    return round(statistics.median(these) / statistics.median(those), 3)
