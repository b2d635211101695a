"""Running our own command inside an engine's worker pod.

The right to exec into that pod is the authority; there is no second credential to keep.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from wayfare_engine.errors import MISSING, SaidToPeople


@dataclass(eq=False)
class NotFound(SaidToPeople):
    """A program that is needed and not there."""

    exit_code = MISSING

    program: str
    hint: str

    def __str__(self) -> str:
        return f"{self.program} was not found. {self.hint}"


def kubectl() -> str:
    """kubectl on PATH, or the one that the lab built."""
    found = os.environ.get("WAYFARE_KUBECTL") or shutil.which("kubectl")
    if found:
        return found
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "wayfare/bin"
    built = sorted(cache.glob("*/kubectl"), key=lambda p: p.stat().st_mtime)
    if built:
        return str(built[-1])
    raise NotFound("kubectl", "Install it, or give --dsn to reach PostgreSQL directly.")


def run_in_worker(
    engine: str,
    arguments: Sequence[str],
    *,
    namespace: str | None,
    stdin: BinaryIO | None = None,
) -> int:
    """`kubectl exec deploy/ENGINE-worker -- wayfare ARGUMENTS`; returns its exit code."""
    given, _, name = engine.rpartition("/")
    namespace = given or namespace
    command = [kubectl(), "exec", "--quiet"]
    if stdin is not None:
        command.append("-i")
    if namespace:
        command += ["-n", namespace]
    command += [f"deploy/{name}-worker", "-c", "worker", "--", "wayfare", *arguments]
    return subprocess.run(command, stdin=stdin, check=False).returncode
