"""All of them, merged into one answer."""

from __future__ import annotations

import importlib
import sys
import time
from typing import Any

#: Modules of this package, in the order in which they run.
MODULES: tuple[str, ...] = ()


def measure(scale: float = 1.0) -> dict[str, Any]:
    """Every figure; `scale` 1.0 is the size that the docs' figures come from."""
    figures: dict[str, Any] = {"scale": scale}
    for name in MODULES:
        began = time.monotonic()
        print(f"  {name} …", file=sys.stderr, flush=True)
        figures |= importlib.import_module(f"bench.journal.{name}").measure(scale)
        print(f"  {name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    return figures
