"""No decision of the lease reads a clock that somebody can set."""

from __future__ import annotations

import ast
from pathlib import Path

import wayfare_engine.lease as package

FOLDER = Path(str(package.__file__)).parent
ALLOWED = {"clock_gettime", "CLOCK_BOOTTIME"}


def test_of_the_standard_clocks_only_boottime_is_used() -> None:
    seen = set()
    for path in FOLDER.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                if node.value.id == "time":
                    seen.add(node.attr)
                assert node.value.id != "datetime", f"{path.name}: {ast.unparse(node)}"
            if isinstance(node, ast.ImportFrom):
                assert node.module != "time", path.name
                assert node.module != "wayfare_engine.clock", path.name
                assert not (node.module or "").startswith("threading"), path.name
    assert seen == ALLOWED


def test_times_that_people_read_are_compared_with_nothing() -> None:
    """`at` in lease objects, beats and statements is written and shown."""
    for path in FOLDER.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, (ast.Compare, ast.BinOp)):
                continue
            names = {n.attr for n in ast.walk(node) if isinstance(n, ast.Attribute)}
            assert not names & {"at", "oldest_unsealed_at", "acting_since"}, ast.unparse(node)
