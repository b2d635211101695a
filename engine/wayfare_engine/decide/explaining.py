"""Why a customer is not in an audience, in words."""

from __future__ import annotations

from wayfare_engine.plan import Plan
from wayfare_engine.plan.formula import Formula
from wayfare_engine.plan.rendering import rendered

_LONGEST = 300


def lacking(formula: Formula, plan: Plan, row: int) -> str:
    """What a row lacks for a formula of bits that it does not satisfy."""
    text = _missing(formula, plan, row) or ""
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _missing(formula: Formula, plan: Plan, row: int) -> str | None:
    """None when the row satisfies the formula."""
    kind = formula[0]
    if kind in ("bit", "nobit"):
        if bool(row >> formula[1] & 1) is (kind == "bit"):
            return None
        segment = plan.segments[formula[1]]
        if segment.kind == "hoisted":
            return f"{rendered(segment.expression)} is not true"
        return f"{'not in' if kind == 'bit' else 'in'} segment {segment.name}"
    missing = [_missing(part, plan, row) for part in formula[1:]]
    if kind == "all":
        found = [each for each in missing if each is not None]
        return "; ".join(found) if found else None
    if any(each is None for each in missing):
        return None
    return " and ".join(each for each in missing if each) or "the audience is empty"
