"""What a benchmark's figures should reach, and the run of a benchmark's modules against that."""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Bar:
    """What a figure should reach; `ratio`: it does not depend on how quick the machine is."""

    says: str
    reached: Callable[[Any], bool]
    ratio: bool = False


def at_least(bar: float, *, ratio: bool = False) -> Bar:
    """A figure that may be larger."""
    return Bar(f">= {bar:,g}", lambda found: found >= bar, ratio)


def at_most(bar: float, *, ratio: bool = False) -> Bar:
    """A figure that may be smaller."""
    return Bar(f"<= {bar:,g}", lambda found: found <= bar, ratio)


def measure_all(
    package: str, modules: Sequence[str], reach: Mapping[str, Bar], scale: float
) -> dict[str, Any]:
    """The figures of `package`'s modules, each of which has `measure(scale)`, merged; `short` names
    those that do not reach their bar."""
    figures: dict[str, Any] = {"scale": scale}
    for name in modules:
        began = time.monotonic()
        print(f"  {name} …", file=sys.stderr, flush=True)
        figures |= importlib.import_module(f"{package}.{name}").measure(scale)
        print(f"  {name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    short = []
    for name, bar in reach.items():
        found = figures.get(name)
        fine = found is not None and bar.reached(found)
        short += [] if fine else [name]
        verdict = "reached" if fine else "SHORT  "
        print(f"  {verdict} {name}: {found} (wanted: {bar.says})", file=sys.stderr, flush=True)
    return figures | {"short": short}
