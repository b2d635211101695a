"""Latency: how long a request to the decision route takes, against the objective.

The customer that is asked about does not exist, so the request is read, authenticated and looked
up like any other, and no decision of anybody is written.
"""

from __future__ import annotations

from typing import Final

from wayfare_engine.recovery.checks.check import Check, Cost, Found, Step, failed, passed, unknown
from wayfare_engine.recovery.checks.looking import Looking, Source
from wayfare_engine.resources import CheckLevel
from wayfare_engine.runs.http_asking import ask, client

_REQUESTS: Final = 100
_WARM: Final = 5
_SECONDS: Final = 5.0
_NOBODY: Final = "~wayfare-check"
#: What comes back when nobody of that name is there, or no slot of that name.
_LOOKED_UP: Final = (404, 422)


def _ask(at: Looking) -> Found:
    assert at.engine is not None, "the check says that it needs the engine"
    asked = {"customer": _NOBODY, "slot": "~wayfare-check", "context": {}}
    pods = {}
    with client(at.engine.api_key) as asking:
        for number, url in enumerate(at.engine.urls):
            took: list[float] = []
            for count in range(_WARM + _REQUESTS):
                answer = ask(
                    asking,
                    "POST",
                    f"{url.rstrip('/')}/v1/decisions",
                    seconds=_SECONDS,
                    json=asked,
                )
                if answer.status not in _LOOKED_UP:
                    return unknown(
                        f"the decision route answers {answer.status}: give a key that may decide"
                        if answer.status in (401, 403)
                        else f"the decision route answers {answer.status}"
                    )
                if count >= _WARM:
                    took.append(answer.seconds * 1000)
            took.sort()
            pods[str(number)] = {"p50": took[len(took) // 2], "p99": took[len(took) * 99 // 100]}
    worst = max(pod["p99"] for pod in pods.values())
    limit = at.objectives.latency_ms
    figures = {
        "requests": _REQUESTS * len(pods),
        "p50Ms": round(max(pod["p50"] for pod in pods.values()), 2),
        "p99Ms": round(worst, 2),
        "objectiveMs": limit,
    }
    said = f"99 in 100 requests took at most {worst:.1f} ms, and {limit:g} ms are the objective"
    if worst > limit:
        return failed(said, figures, [pods])
    return passed(said, figures, pods=pods)


CHECK = Check(
    name="Latency",
    level=CheckLevel.SERVICE,
    gate=False,
    cost=Cost.CHEAP,
    guards="The decision route of every serving pod answers within the objective.",
    seen="The median and the 99th percentile of 100 requests to each pod.",
    unclear="No pod's address was given, none answers, or the key may not decide.",
    steps=frozenset({Step.ISOLATED}),
    needs=(Source.ENGINE,),
    ask=_ask,
)
