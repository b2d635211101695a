"""Every crash point is killed by a scenario, or by a test that is named."""

from __future__ import annotations

import importlib
import pkgutil

import wayfare_operator
from tests.crash.children import ROOT
from tests.crash.table import CASES, ELSEWHERE
from tests.crash.zygote import load_everything
from wayfare_engine.crashpoints import registered

WHAT_TO_DO = (
    "add it to `points` of the scenario in tests/crash/ that passes it each round (or write a "
    "scenario and list it in SCENARIOS), or name the test that kills there in ELSEWHERE, both in "
    "tests/crash/table.py"
)


def points() -> dict[str, str]:
    """Those of the engine and of the operator, whose kills are tested elsewhere."""
    load_everything()
    for module in pkgutil.walk_packages(wayfare_operator.__path__, "wayfare_operator."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    return registered()


def killed_at() -> set[str]:
    return {case.point for case in CASES}


def test_every_point_has_a_case() -> None:
    without = {p: what for p, what in points().items() if p not in killed_at() | ELSEWHERE.keys()}
    told = "\n".join(f"  {point} ({what})" for point, what in sorted(without.items()))
    assert not without, f"nobody is killed at:\n{told}\n{WHAT_TO_DO}"


def test_every_case_has_its_point() -> None:
    gone = sorted(str(case) for case in CASES if case.point not in points())
    assert not gone, (
        f"these cases kill at points that are not in the engine: {', '.join(gone)}; rename or "
        "remove them in `points` of their scenario"
    )


def test_every_point_that_is_tested_elsewhere_is_there_and_so_is_its_test() -> None:
    gone = sorted(point for point in ELSEWHERE if point not in points())
    assert not gone, f"remove from ELSEWHERE in tests/crash/table.py, not in the engine: {gone}"
    twice = sorted(ELSEWHERE.keys() & killed_at())
    assert not twice, f"remove from ELSEWHERE in tests/crash/table.py, they have a case: {twice}"
    for point, where in ELSEWHERE.items():
        file, _, test = where.partition("::")
        text = (ROOT / file).read_text() if file and (ROOT / file).is_file() else ""
        assert test, f"ELSEWHERE[{point!r}] names no test: write file::test"
        assert f"def {test}(" in text, (
            f"ELSEWHERE[{point!r}] names {where}, which is not there: name it anew"
        )


def test_a_case_has_as_many_kills_as_it_says() -> None:
    idle = sorted(str(case) for case in CASES if not case.passes or min(case.passes) < 1)
    assert not idle, f"these cases kill nobody: {', '.join(idle)}"
