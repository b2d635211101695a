"""Compile problems, put as a condition."""

from __future__ import annotations

from collections.abc import Mapping

from wayfare_engine.plan import CompileProblem
from wayfare_engine.resources import Reason, ResourceError
from wayfare_operator.reconcile.publication import Compiled
from wayfare_operator.status import Outcome

_TOLD_AT_MOST = 5
_SHORT = 12


def invalid(error: ResourceError) -> Outcome:
    """A spec that does not parse: an API server with an older schema let it in."""
    told = "; ".join(f"{path}: {message}" if path else message for path, message in error.problems)
    return Outcome(False, Reason.INVALID_SPEC, told, stalled=True)


def place(problem: CompileProblem) -> str:
    """`path, line 1, column 5`, as far as it is known."""
    if problem.line <= 0:
        return problem.path
    return f"{problem.path}, line {problem.line}, column {problem.column}"


def problem_outcome(
    compiled: Compiled, key: tuple[str, str], spec_digest: str, in_plan: str | None
) -> Outcome | None:
    """Why a resource is not in the plan as it stands; None when nothing is wrong."""
    goes_on = ""
    if in_plan is not None and in_plan != spec_digest:
        short = in_plan.removeprefix("sha256:")[:_SHORT]
        goes_on = f"\nversion {short} goes on serving"
    denied = compiled.denied.get(key)
    if denied is not None:
        return Outcome(
            False,
            denied.reason,
            f"{denied.path}: {denied.message}{goes_on}",
            stalled=True,
        )
    problems = compiled.problems.get(key)
    if not problems:
        return None
    told = "\n".join(f"{place(each)}: {each.message}" for each in problems[:_TOLD_AT_MOST])
    if len(problems) > _TOLD_AT_MOST:
        told += f"\nand {len(problems) - _TOLD_AT_MOST} more"
    return Outcome(False, str(problems[0].reason), told + goes_on, stalled=True)


def compile_errors(compiled: Compiled, limit: int) -> list[dict[str, str | int]]:
    """The first problems of all resources, as Engine.status.compileErrors has them."""
    errors: list[dict[str, str | int]] = []
    denied: Mapping[tuple[str, str], object] = compiled.denied
    for key in sorted({*compiled.problems, *denied}):
        kind, name = key
        refusal = compiled.denied.get(key)
        if refusal is not None:
            errors.append(
                {
                    "kind": kind,
                    "name": name,
                    "path": refusal.path,
                    "reason": str(refusal.reason),
                    "message": refusal.message,
                }
            )
            continue
        problem = compiled.problems[key][0]
        error: dict[str, str | int] = {
            "kind": kind,
            "name": name,
            "path": problem.path[:256],
            "reason": str(problem.reason),
            "message": problem.message[:1000],
        }
        if problem.line > 0:
            error["line"], error["column"] = problem.line, problem.column
        errors.append(error)
    return errors[:limit]
