"""`kubectl wayfare …`: the same commands as `wayfare …`, found by kubectl on PATH; and their
completion, which kubectl asks a program named `kubectl_complete-wayfare` for."""

from __future__ import annotations

import os
import shlex
import sys

from wayfare_engine.cli.application import run

_PROGRAM = "kubectl-wayfare"
_NO_FILES = 4
"""What tells the shell not to offer file names (cobra's ShellCompDirectiveNoFileComp)."""


def main() -> None:
    """Entry point of `kubectl-wayfare`."""
    sys.exit(run(sys.argv[1:], name="kubectl wayfare"))


def complete() -> None:
    """Entry point of `kubectl_complete-wayfare`: the words so far are its arguments, the last one
    is not finished. Answers with a line for each that fits (and its help after a tab, as the shell
    fish has it, too), and how to go on."""
    *words, incomplete = sys.argv[1:] or [""]
    os.environ |= {
        "COLUMNS": "10000",  # a help text stays in its line
        "_KUBECTL_WAYFARE_COMPLETE": "complete_fish",
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
        "_TYPER_COMPLETE_ARGS": f"{shlex.join([_PROGRAM, *words])} "
        + (shlex.quote(incomplete) if incomplete else ""),
    }
    run(words, name=_PROGRAM)
    print(f":{_NO_FILES}")
