"""The protocol's model, searched exhaustively; and each safeguard is shown to be needed."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.servers.require import need

ROOT = Path(__file__).parents[2]
MODEL = ROOT / "model"
SAFEGUARDS = {"NO_WAIT", "NO_CHECK", "NO_CLOSED", "NO_DISPATCH_GUARD", "NO_KEY"}


@dataclass(frozen=True)
class Case:
    """A line of cases.txt."""

    holds: bool
    model: str
    flags: tuple[str, ...]

    def __str__(self) -> str:
        return " ".join((self.model, *self.flags))


def cases() -> list[Case]:
    """What `model/run` checks."""
    found = []
    for line in (MODEL / "cases.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            verdict, model, flags, _what = line.split(maxsplit=3)
            assert verdict in ("holds", "fails")
            found.append(Case(verdict == "holds", model, tuple(flags.split(","))))
    return found


@dataclass(frozen=True)
class Searched:
    """What pan said at its end."""

    errors: int
    states: float
    depth: int
    violated: str
    output: str


def search(case: Case) -> Searched:
    """Run one case; a search that was cut off by depth or memory is an error of the test."""
    output = subprocess.run(
        [MODEL / "run", case.model, *case.flags],
        capture_output=True,
        text=True,
        check=True,
        timeout=280,
    ).stdout
    assert "max search depth too small" not in output, output
    assert "out of memory" not in output, output
    assert "reached -DMEMLIM" not in output, output
    summary = re.search(r"depth reached (\d+).*errors: (\d+)", output)
    states = re.search(r"^\s*([0-9.e+]+) states, stored", output, re.M)
    violated = re.search(r"assertion violated (.*) \(at depth", output)
    assert summary, output
    assert states, output
    return Searched(
        errors=int(summary[2]),
        states=float(states[1]),
        depth=int(summary[1]),
        violated=violated[1] if violated else "",
        output=output,
    )


@pytest.fixture(autouse=True, scope="module")
def _tools() -> None:
    need(shutil.which("spin") and shutil.which("gcc"), "spin and gcc, to search the models")


@pytest.mark.parametrize("case", [c for c in cases() if c.holds], ids=str)
def test_the_promises_hold_in_every_state(case: Case) -> None:
    found = search(case)
    assert found.errors == 0, found.output
    # So that a model that stopped early by mistake is not taken for a proof.
    assert found.states > 100_000
    unreached = re.findall(r"unreached in proctype \w+\n((?:\t.*\n)*)", found.output)
    steps = [line for block in unreached for line in block.splitlines() if "state" in line]
    # A step that no run takes would make its promise empty; what may be unreached is the end of
    # loops that go on for ever.
    assert [s for s in steps if "-end-" not in s and "states)" not in s] == []


#: What has to be violated: of P1 and P2 the assertion of that promise, else the only one there is.
ASSERTED = {"-DP1": "effects", "-DP2": "segments", "-DP3": "started<=e", "-DREACH": "e<3"}


@pytest.mark.parametrize("case", [c for c in cases() if not c.holds], ids=str)
def test_a_missing_safeguard_is_found(case: Case) -> None:
    found = search(case)
    assert found.errors == 1, found.output
    assert ASSERTED[case.flags[0]] in found.violated
    assert "the way there:" in found.output


def test_every_promise_is_checked_and_every_safeguard_removed() -> None:
    whole = {flag for c in cases() if c.holds for flag in c.flags}
    assert whole == {"-DP1", "-DP2", "-DP3"}
    removed = {f.removeprefix("-D") for c in cases() if not c.holds for f in c.flags}
    assert removed >= SAFEGUARDS
    for model in ("wayfare.pml", "clocks.pml"):
        text = (MODEL / model).read_text()
        tested = set(re.findall(r"#(?:ifn?def +|(?:el)?if +defined\()(\w+)", text))
        used = {f.removeprefix("-D") for c in cases() if c.model == model for f in c.flags}
        used = {f.removesuffix("=0") for f in used}
        assert tested == used, f"{model}: a flag without a case, or a case without its flag"


def test_the_code_names_the_steps_of_the_model() -> None:
    modelled = set()
    for path in MODEL.glob("*.pml"):
        modelled |= set(re.findall(r"/\* step ([A-Z_]+):", path.read_text()))
    assert len(modelled) >= 10
    coded: dict[str, list[str]] = defaultdict(list)
    for path in (ROOT / "engine").rglob("*.py"):
        for name in re.findall(r"\bmodel: ([A-Z_]+)\b", path.read_text()):
            coded[name].append(path.name)
    assert modelled - coded.keys() == set(), "steps of the model that no code names"
    assert coded.keys() - modelled == set(), "steps that code names and no model has"
