"""A check of a user's own that is a request, as one of the checks of a step."""

from __future__ import annotations

from functools import partial

from wayfare_engine.recovery.checks.check import Check, Cost, Found, Step
from wayfare_engine.recovery.checks.looking import Looking
from wayfare_engine.resources import CheckLevel
from wayfare_engine.resources.recovery_checks import CustomCheck
from wayfare_engine.runs import http_checks


def custom_http(given: CustomCheck) -> Check:
    """The check that a plan describes; ValueError for one that is a Job, which is the operator's.

    It is a gate where the plan names it as one.
    """
    if given.http is None:
        raise ValueError(f"the check {given.name} is no HTTP check")
    return Check(
        name=given.name,
        level=CheckLevel(given.level),
        gate=False,
        cost=Cost.CHEAP,
        guards="A check of the plan's own.",
        seen="Status, size and time of the answer.",
        unclear="Never: what does not answer has failed.",
        steps=frozenset({Step.ISOLATED, Step(http_checks.step_of(given)), Step.SCHEDULE}),
        needs=(),
        ask=partial(_ask, given),
    )


def _ask(given: CustomCheck, at: Looking) -> Found:
    found = http_checks.look(given)
    return Found(found.verdict, found.message, found.figures, found.findings)
