"""What of a recovery plan its steps need, as the operator says it (WAYFARE_RECOVERY_TERMS)."""

from __future__ import annotations

from typing import Any

import msgspec
from pydantic import ValidationError

from wayfare_engine.lease import Takeover
from wayfare_engine.resources.recovery_checks import CustomCheck
from wayfare_engine.runs import CheckResult
from wayfare_engine.settings import MissingSetting

VARIABLE = "WAYFARE_RECOVERY_TERMS"


class RunTerms(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`sites` has the primary first; `gates` names the checks that gate, None each check's own
    word; `secrets` the Secrets that both sites need. `custom`: the plan's own checks that are
    requests, as the plan has them; `found`: what those of this step found that are Jobs."""

    kind: str | None = None
    sites: tuple[str, ...] = ()
    takeover: Takeover = Takeover.LEASE
    rto_seconds: float | None = None
    rpo_seconds: float | None = None
    latency_seconds: float | None = None
    gates: tuple[str, ...] | None = None
    secrets: tuple[str, ...] = ()
    standby: str | None = None
    custom: tuple[dict[str, Any], ...] = ()
    found: tuple[CheckResult, ...] = ()

    @property
    def requests(self) -> tuple[CustomCheck, ...]:
        """The plan's own checks that are requests."""
        return tuple(CustomCheck.model_validate(each) for each in self.custom)

    def other(self, site: str) -> str | None:
        """The plan's other site."""
        others = [one for one in self.sites if one != site]
        return others[0] if len(others) == 1 else None


def parse_terms(text: str | None) -> RunTerms:
    """From the variable's text. Raises MissingSetting for what is not understood."""
    if not text:
        return RunTerms()
    try:
        terms = msgspec.json.decode(text, type=RunTerms)
        _ = terms.requests
        return terms
    except (msgspec.MsgspecError, ValidationError) as error:
        raise MissingSetting(VARIABLE, f"is not understood ({error})") from None
