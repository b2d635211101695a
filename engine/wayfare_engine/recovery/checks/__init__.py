"""Checks: what a recovery run, or a schedule, verifies at four levels, each with its evidence.

Each check is a module with one `CHECK`; `CATALOGUE` has them all. Nothing here changes a database
or the other site; evidence is put into the store.
"""

from wayfare_engine.recovery.checks.catalogue import (
    CATALOGUE,
    UnknownCheck,
    for_step,
    named,
    run,
    verdict,
)
from wayfare_engine.recovery.checks.check import Check, Cost, Found, Step
from wayfare_engine.recovery.checks.custom_http import custom_http
from wayfare_engine.recovery.checks.looking import EngineAt, Looking, Objectives, Source

__all__ = [
    "CATALOGUE",
    "Check",
    "Cost",
    "EngineAt",
    "Found",
    "Looking",
    "Objectives",
    "Source",
    "Step",
    "UnknownCheck",
    "custom_http",
    "for_step",
    "named",
    "run",
    "verdict",
]
