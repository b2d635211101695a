"""Every `wayfare …` line of the documents is a command that there is, with options that it has."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer.main

from wayfare_engine.cli.application import make_app

TOP = Path(__file__).parents[2]
PAGES = sorted([*TOP.glob("*.md"), *(TOP / "docs").rglob("*.md"), *(TOP / "helm").rglob("*.md")])
_BLOCK = re.compile(r"```[a-z]*\n(.*?)```", re.DOTALL)
_INLINE = re.compile(r"`(wayfare [^`\n]+)`")


@dataclass(frozen=True)
class Line:
    """A command line of a page."""

    page: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}: {self.text}"


def lines() -> Iterator[Line]:
    for page in PAGES:
        name = str(page.relative_to(TOP))
        text = page.read_text(encoding="utf-8")
        for block in _BLOCK.findall(text):
            for line in block.replace("\\\n", " ").splitlines():
                if line.startswith("wayfare ") and "{" not in line:
                    yield Line(name, line.partition(" #")[0].partition(" > ")[0].strip())
        for found in _INLINE.findall(_BLOCK.sub("", text)):
            yield Line(name, found)


@cache
def program(group: str) -> Any:
    """The whole of `wayfare`, as it is for who asks for a command of this group."""
    return typer.main.get_command(make_app([group]))


def command(words: list[str]) -> tuple[Any, list[str]]:
    """The command that the words name, and those that are left. `wayfare a|b` names both."""
    found, left = program(words[1] if words[1:] else ""), words[1:]
    while left and hasattr(found, "commands"):
        names = [name for name in re.split(r"[|/]", left[0]) if name]
        missing = [name for name in names if name not in found.commands]
        assert not missing, f"there is no command {missing[0]!r} in {' '.join(words)!r}"
        found, left = found.commands[names[0]], left[1:]
    return found, left


@pytest.mark.parametrize("line", sorted(set(lines()), key=str), ids=str)
def test_the_command_is_there(line: Line) -> None:
    text = re.sub(r"[…\[\]]|\.\.\.", " ", line.text).replace(" | ", "|")
    found, left = command(shlex.split(text, comments=True))
    known = {name for one in found.params for name in (*one.opts, *one.secondary_opts)}
    known.add("--help")
    ours = left[: left.index("--")] if "--" in left else left
    for word in ours:
        if word.startswith("-") and word != "-":
            option = word.partition("=")[0]
            assert option in known, f"{line.page}: {option!r} is no option of {line.text!r}"


def test_there_are_such_lines() -> None:
    assert len(set(lines())) > 20
