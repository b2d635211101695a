"""What runbooks tell people to type can be typed, and what they say that one sees can be seen."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer.main

from tests.docs.test_commands import TOP, Line, lines
from wayfare_engine.cli.application import make_app
from wayfare_engine.resources import ConditionType, Reason, RunState
from wayfare_engine.resources.recovery_words import Phase
from wayfare_engine.runs.procedures import PROCEDURES

RUNBOOKS = sorted((TOP / "docs" / "runbooks").glob("*.md"))
RECOVERY = [page for page in RUNBOOKS if "wayfare recovery" in page.read_text(encoding="utf-8")]
COMMANDS = sorted(
    {
        line.text
        for line in lines()
        if line.page.startswith("docs/runbooks/")
        and line.text.startswith(("wayfare recovery ", "wayfare lease ", "wayfare journal "))
    }
)
#: Headings of `kubectl get wrp` and `wrr`, as they are printed.
COLUMNS = {
    word.upper()
    for file in ("recoveryplans", "recoveryruns")
    for found in re.findall(
        r"^    - name: (.+)$", (TOP / "crds" / f"{file}.yaml").read_text(), re.MULTILINE
    )
    for word in found.split()
}
#: Words in capitals of other things than conditions, reasons, states and steps.
OTHERS = {
    *("Channel", "PostgreSQL", "Site", "Lease", "Statement", "Estimated", "Unknown", "True"),
    *("False", "Journaled", "Local", "Warm", "Cold", "Passed", "Failed", "None", "Awake"),
}


def test_there_are_runbooks_of_recovery() -> None:
    names = {page.stem for page in RECOVERY}
    assert names >= {
        "both-sites-unknown",
        "drill",
        "failback",
        "failover",
        "object-store-gone",
        "planned-switch",
    }
    assert len(COMMANDS) > 15


@pytest.mark.parametrize("text", COMMANDS)
def test_it_can_be_typed_as_it_stands(text: str) -> None:
    """With every option that it needs, and values that may be; the command itself is not run."""
    words = shlex.split(text)[1:]
    found = typer.main.get_command(make_app(words))
    while hasattr(found, "commands") and words:
        found, words = found.commands[words[0]], words[1:]
    if not words and not found.params:
        return
    found.make_context("it", words)


@pytest.mark.parametrize("page", RECOVERY, ids=lambda page: page.stem)
def test_every_condition_reason_state_and_step_is_one(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    known = {
        *map(str, ConditionType),
        *map(str, Reason),
        *map(str, RunState),
        *map(str, Phase),
        *(str(step.name) for table in PROCEDURES.values() for step in table.steps),
        *COLUMNS,
    }
    assert {
        word for words in re.findall(r"`([A-Z]{3,}(?: [A-Z]+)*)\b", text) for word in words.split()
    } <= COLUMNS
    quoted = re.findall(r"`([A-Z][A-Za-z]+)(?:=(True|False|Unknown))?(?:/([A-Z][A-Za-z]+))?`", text)
    named = {word for kind, _, reason in quoted for word in (kind, reason) if word} - OTHERS
    assert named <= known, f"{page} names what no code says: {sorted(named - known)}"
    assert {kind for kind, state, _ in quoted if state} <= set(map(str, ConditionType))


def test_what_cannot_be_typed_is_found() -> None:
    with pytest.raises(Exception, match="reason"):
        test_it_can_be_typed_as_it_stands("wayfare recovery abandon RUN")


def test_the_lines_of_a_pod_are_commands_too() -> None:
    """`kubectl exec … -- wayfare …` is typed as well."""
    inside = {
        found
        for page in RUNBOOKS
        for found in re.findall(r" -- (wayfare [^`\n]+)", page.read_text(encoding="utf-8"))
    }
    assert inside
    for text in inside:
        if "…" not in text:
            test_it_can_be_typed_as_it_stands(Line("", text.rstrip(")")).text)
