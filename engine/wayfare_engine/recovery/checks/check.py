"""What a check is: what it guards, whether it bars a run's way, and how its answer comes about.

A check that cannot look does not pass: its verdict is Unknown, with the reason.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

import httpx
import psycopg
import structlog

from wayfare_engine.errors import SaidToPeople
from wayfare_engine.recovery.checks.looking import Looking, Source
from wayfare_engine.resources import CheckLevel, Verdict
from wayfare_engine.runs import CheckResult, evidence

log = structlog.get_logger(__name__)

#: Findings that one piece of evidence lists; how many there are is counted all the same.
MOST_FINDINGS: Final = 1000


class Cost(StrEnum):
    """`Cheap` ones also run in wake windows and on a schedule, and `Sampled` ones, there with a
    small sample; `Full` ones read everything."""

    CHEAP = "Cheap"
    SAMPLED = "Sampled"
    FULL = "Full"


class Step(StrEnum):
    """When checks are made: a step of a run, or on a schedule."""

    PRECHECK = "Precheck"
    REPLAY = "ReplayDecisions"
    VERIFY = "Verify"
    VERIFY_SERVING = "VerifyServing"
    SCHEDULE = "Schedule"
    #: In the Verify of a drill, whose engine serves by itself.
    ISOLATED = "Isolated"


@dataclass(frozen=True)
class Found:
    """What a check found: a sentence, what it counted, and what it saw of what is wrong, each
    finding a JSON value. `saw` is whatever else belongs into the evidence."""

    verdict: Verdict
    message: str
    figures: dict[str, Any] = field(default_factory=dict)
    findings: list[Any] = field(default_factory=list)
    saw: dict[str, Any] = field(default_factory=dict)


def passed(message: str, figures: dict[str, Any] | None = None, **saw: Any) -> Found:
    """It holds."""
    return Found(Verdict.PASSED, message, figures or {}, [], saw)


def failed(
    message: str,
    figures: dict[str, Any] | None = None,
    findings: list[Any] | None = None,
    **saw: Any,
) -> Found:
    """It does not hold."""
    return Found(Verdict.FAILED, message, figures or {}, findings or [], saw)


def unknown(message: str, figures: dict[str, Any] | None = None, **saw: Any) -> Found:
    """Nobody can tell."""
    return Found(Verdict.UNKNOWN, message, figures or {}, [], saw)


@dataclass(frozen=True, kw_only=True)
class Check:
    """One verification. `guards`, `seen` (its evidence) and `unclear` (when it is Unknown) are
    sentences for the page; `gate`: whether it bars the way, unless a plan names its gates.
    `of_clone`: whether it says something of the clone of a drill, which follows nothing."""

    name: str
    level: CheckLevel
    gate: bool
    cost: Cost
    guards: str
    seen: str
    unclear: str
    steps: frozenset[Step]
    needs: tuple[Source, ...]
    ask: Callable[[Looking], Found]
    of_clone: bool = True

    def look(self, at: Looking) -> CheckResult:
        """The answer, with its evidence in the store where there is one. Never raises for what
        database, store and network do, or for damage: those are Unknown."""
        found = self._found(at)
        as_of = at.clock()
        kept = None
        if at.store is not None:
            try:
                kept = evidence.put(at.store, self._evidence(at, found, as_of.isoformat()))
            except SaidToPeople as problem:
                # Without its evidence a verdict is worth nothing to an auditor.
                found = unknown(f"its evidence could not be kept: {problem}", found.figures)
        return CheckResult(
            name=self.name,
            level=self.level,
            verdict=found.verdict,
            gate=self.gate if at.gates is None else self.name in at.gates,
            message=found.message,
            figures=found.figures,
            evidence=kept,
            as_of=as_of,
        )

    def _found(self, at: Looking) -> Found:
        missing = [source.value for source in self.needs if not at.has(source)]
        if missing:
            return unknown(f"{' and '.join(missing)} was not given")
        try:
            return self.ask(at)
        except SaidToPeople as problem:
            return unknown(str(problem))
        except psycopg.Error as error:
            return unknown(f"PostgreSQL: {_first_line(error)}")
        except httpx.HTTPError as error:
            return unknown(_first_line(error))
        except OSError as error:
            return unknown(_first_line(error))
        except Exception as error:
            log.exception("check.failed", check=self.name)
            return unknown(f"the check itself failed ({type(error).__name__}); it was logged")

    def _evidence(self, at: Looking, found: Found, as_of: str) -> dict[str, Any]:
        return {
            "check": self.name,
            "level": self.level,
            "plan": at.plan,
            "site": at.site,
            "run": at.run,
            "asOf": as_of,
            "verdict": found.verdict,
            "message": found.message,
            "figures": found.figures,
            "findings": found.findings[:MOST_FINDINGS],
            "findingsInAll": len(found.findings),
            "saw": found.saw,
        }


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
