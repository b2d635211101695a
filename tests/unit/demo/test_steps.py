"""Steps and commands of the demo."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from demo.steps import StepFailed, Steps


def steps(folder: Path) -> Steps:
    return Steps(Console(file=io.StringIO(), width=120), folder / "logs" / "demo.log")


def said(made: Steps) -> str:
    assert isinstance(made.console.file, io.StringIO)
    return made.console.file.getvalue()


def test_a_step_is_a_line_with_its_seconds(tmp_path: Path) -> None:
    made = steps(tmp_path)
    with made.step("image") as note:
        note.text = "localhost/wayfare:abc"
    assert said(made).startswith("image  ")
    assert said(made).rstrip().endswith(" s")
    assert "localhost/wayfare:abc" in said(made)
    assert made.seconds["image"] >= 0


def test_a_command_and_what_it_said_are_logged(tmp_path: Path) -> None:
    made = steps(tmp_path)
    assert made.run("sh", "-c", "echo out; echo err >&2").stdout == "out\n"
    log = made.log.read_text()
    assert "out" in log
    assert "err" in log


def test_a_secret_is_not_logged(tmp_path: Path) -> None:
    made = steps(tmp_path)
    made.run("sh", "-c", "printf wf_; echo key", secret=True)
    assert "wf_key" not in made.log.read_text()


@pytest.mark.parametrize(("code", "lacking"), [(1, False), (3, True)])
def test_a_failure_carries_the_last_words_and_whether_the_machine_lacks_something(
    tmp_path: Path, code: int, lacking: bool
) -> None:
    with pytest.raises(StepFailed, match="no such disk") as caught:
        steps(tmp_path).run("sh", "-c", f"echo no such disk >&2; exit {code}")
    assert caught.value.lacking is lacking


def test_a_missing_program_is_named(tmp_path: Path) -> None:
    with pytest.raises(StepFailed, match="no-such-program was not found"):
        steps(tmp_path).run("no-such-program")


def test_a_command_that_does_not_end_is_a_failure(tmp_path: Path) -> None:
    with pytest.raises(StepFailed, match="did not end"):
        steps(tmp_path).run("sleep", "30", timeout=0.2)
