"""docs/recovery-records.md: paths, procedures and sentences are those of the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from wayfare_engine.objectstore import paths
from wayfare_engine.resources import RunKind
from wayfare_engine.runs import bundle, objects, problems
from wayfare_engine.runs.procedures import By, procedure
from wayfare_engine.store import task_claims

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "recovery-records.md").read_text()
_TABLE = PAGE.partition("| It says | Do |")[2]
SENTENCES = [row.split("`")[1] for row in _TABLE.splitlines() if row.startswith("| `")]
SOURCES = (
    " ".join(
        re.sub(r'"\s*f?"', "", Path(str(module.__file__)).read_text())
        for module in (problems, objects, task_claims)
    )
    + Path(str(objects.__file__)).with_name("evidence.py").read_text()
)


def test_the_paths_are_the_codes() -> None:
    named = re.findall(r"^\| `([a-z]+/[^`]+)` \|", PAGE, re.MULTILINE)
    digits = {"<number>": 7, "<attempt>": 7, "<request>": 7, "<approval>": 7}
    made = [
        paths.run_record("<plan>", 7),
        paths.step_attempt("<plan>", 7, "<step>", 7),
        paths.step_failure("<plan>", 7, "<step>", 7),
        paths.step_result("<plan>", 7, "<step>"),
        paths.run_request("<plan>", 7, 7),
        paths.run_answer("<plan>", 7, 7),
        paths.run_approval("<plan>", 7, 7),
        paths.run_end("<plan>", 7),
        paths.evidence("<sha256>"),
        paths.beacon("<plan>", "<site>"),
        paths.secrets_seen("<plan>", "<site>"),
        paths.bundle("<sha256>"),
        paths.bundle_current("<plan>"),
    ]
    for word, number in digits.items():
        named = [path.replace(word, str(number)) for path in named]
    assert named == [re.sub(r"\b0+7\b", "7", path) for path in made]


@pytest.mark.parametrize("kind", list(RunKind))
def test_the_procedures_are_the_codes(kind: RunKind) -> None:
    row = re.search(rf"^\| {kind} \| (.*) \|$", PAGE, re.MULTILINE)
    assert row is not None
    told = []
    for step in procedure(kind).steps:
        name = f"**{step.name}**" if step.no_return else step.name
        told.append(name + "°" * (step.by is By.OTHER_SITE))
    assert row[1] == ", ".join(told)


@pytest.mark.parametrize("sentence", SENTENCES)
def test_what_a_fault_looks_like_is_what_is_said(sentence: str) -> None:
    for part in sentence.split("…"):
        assert part.strip() in SOURCES


def test_the_tables_are_there() -> None:
    assert len(SENTENCES) == 8
    for manager in bundle._MANAGERS:
        assert manager in PAGE or manager == "argocd-application-controller"
