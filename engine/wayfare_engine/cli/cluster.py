"""Running our own command inside an engine's worker pod.

The right to exec into that pod is the authority; there is no second credential to keep.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from wayfare_engine.errors import MISSING, SaidToPeople

_ANSWER_SECONDS = 10
_ANSWERS = ("Error from server", "You must be logged in to the server")
"""What kubectl says when a server did answer, though not with what was asked for."""

_SERVER = "jsonpath={.clusters[0].cluster.server}"


@dataclass(eq=False)
class NotFound(SaidToPeople):
    """A program that is needed and not there."""

    exit_code = MISSING

    program: str
    hint: str

    def __str__(self) -> str:
        return f"{self.program} was not found. {self.hint}"


@dataclass(eq=False)
class NoCluster(SaidToPeople):
    """No Kubernetes API server answers. `server` is its address, None when none is configured."""

    exit_code = MISSING

    engine: str
    server: str | None
    reason: str

    def __str__(self) -> str:
        named = os.environ.get("KUBECONFIG")
        source = f"KUBECONFIG={named}" if named else "KUBECONFIG is not set"
        where = f"at {self.server}" if self.server else "that is to run it"
        return (
            f"engine {self.engine} could not be asked, because the Kubernetes cluster {where} "
            f"could not be reached ({source}; {self.reason}): set KUBECONFIG to the file of a "
            "running cluster, or give --dsn instead of --engine to reach PostgreSQL directly."
        )


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
    stdout: BinaryIO | None = None,
) -> int:
    """`kubectl exec deploy/ENGINE-worker -- wayfare ARGUMENTS`; returns its exit code.

    Raises NotFound without kubectl, and NoCluster when no API server answers it.
    """
    given, _, name = engine.rpartition("/")
    namespace = given or namespace
    program = kubectl()
    _check_cluster(program, engine)
    command = [program, "exec", "--quiet"]
    if stdin is not None:
        command.append("-i")
    if namespace:
        command += ["-n", namespace]
    command += [f"deploy/{name}-worker", "-c", "worker", "--", "wayfare", *arguments]
    return subprocess.run(command, stdin=stdin, stdout=stdout, check=False).returncode


def _check_cluster(program: str, engine: str) -> None:
    """Ask the API server for its version, which everybody may: `kubectl exec` would tell its own
    troubles among the lines of the command that it runs."""
    asked = _ask(program, "get", "--raw", "/version", f"--request-timeout={_ANSWER_SECONDS}s")
    if asked.returncode == 0 or any(word in asked.stderr for word in _ANSWERS):
        return
    raise NoCluster(engine, server_of(program), reason(asked.stderr))


def server_of(program: str, *options: str) -> str | None:
    """The address of the API server that kubectl would ask; None when none is configured."""
    view = _ask(program, *options, "config", "view", "--minify", "-o", _SERVER)
    return (view.stdout.strip() if view.returncode == 0 else "") or None


def _ask(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )


def reason(said: str) -> str:
    """Why, in kubectl's words: its last line, without what it says of itself."""
    lines = said.strip().splitlines() or ["kubectl said nothing"]
    why = re.sub(r"^(error|Unable to connect to the server): ", "", lines[-1].strip())
    if re.match(r"The connection to the server \S+ was refused", why):
        return "connection refused"
    return why.rstrip(".")
