"""Our kinds at the API server, through kubectl: the person's own authentication, whatever it is."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

import typer

from wayfare_engine.cli import cluster
from wayfare_engine.errors import FAILED, MISSING, SaidToPeople

_ANSWER_SECONDS = 15

Namespace = Annotated[
    str | None,
    typer.Option("--namespace", "-n", help="Namespace; that of the context when not given."),
]
Context = Annotated[
    str | None,
    typer.Option(help="Context of the kubeconfig, of the site that is to act; the current one."),
]


@dataclass(eq=False)
class NoApiServer(SaidToPeople):
    """No Kubernetes API server answers."""

    exit_code = MISSING

    server: str | None
    reason: str

    def __str__(self) -> str:
        named = os.environ.get("KUBECONFIG")
        source = f"KUBECONFIG={named}" if named else "KUBECONFIG is not set"
        where = f" at {self.server}" if self.server else ""
        return (
            f"the Kubernetes cluster{where} could not be reached ({source}; {self.reason}): set "
            "KUBECONFIG to the file of a running cluster, or give --context"
        )


@dataclass(eq=False)
class NotThere(SaidToPeople):
    """There is no such object. `others` are of the same kind and namespace."""

    exit_code = FAILED

    kind: str
    name: str
    namespace: str
    others: tuple[str, ...]

    def __str__(self) -> str:
        known = ", ".join(self.others) if self.others else "none"
        return (
            f"there is no {self.kind} {self.name} in namespace {self.namespace} (there: {known}); "
            "give --namespace, and --context for another site"
        )


@dataclass(eq=False)
class NotAllowed(SaidToPeople):
    """The API server refused. `said` is its reason, in its words."""

    exit_code = FAILED

    what: str
    said: str

    def __str__(self) -> str:
        return f"{self.what} was refused: {self.said}"


@dataclass
class Kube:
    """One namespace of one cluster. Raises NotFound without kubectl, and NoApiServer."""

    namespace: str | None = None
    context: str | None = None
    program: str = field(default_factory=cluster.kubectl)

    def in_namespace(self) -> str:
        """The namespace that is meant."""
        if self.namespace is None:
            done = self._run("config", "view", "--minify", "-o", "jsonpath={..namespace}")
            self.namespace = done.stdout.strip() or "default"
        return self.namespace

    def get(self, kind: str, name: str) -> dict[str, Any]:
        """An object of one of our kinds. Raises NotThere and NotAllowed."""
        done = self._run("get", _plural(kind), "-o", "json", *self._place(), "--", name)
        if done.returncode == 0:
            found: dict[str, Any] = json.loads(done.stdout)
            return found
        if "(NotFound)" in done.stderr and f'"{name}"' in done.stderr:
            raise NotThere(kind, name, self.in_namespace(), tuple(self.names(kind)))
        raise self._refusal(f"reading {kind} {name}", done.stderr)

    def names(self, kind: str) -> list[str]:
        """Names of the namespace's objects of a kind; none where that cannot be told."""
        names = "jsonpath={range .items[*]}{.metadata.name}{'\\n'}{end}"
        return self._run("get", _plural(kind), "-o", names, *self._place()).stdout.split()

    def create(self, obj: dict[str, Any], *, dry_run: bool = False) -> dict[str, Any]:
        """The object as it was made. Raises NotAllowed."""
        dry = ["--dry-run=server"] if dry_run else []
        done = self._run(
            "create", "-f", "-", "-o", "json", *self._place(), *dry, stdin=json.dumps(obj)
        )
        if done.returncode == 0:
            made: dict[str, Any] = json.loads(done.stdout)
            return made
        raise self._refusal(f"making {_article(obj['kind'])}", done.stderr)

    def user(self) -> str:
        """Who the API server takes us for. Raises NotAllowed."""
        done = self._run("auth", "whoami", "-o", "json")
        if done.returncode == 0:
            return str(json.loads(done.stdout)["status"]["userInfo"]["username"])
        raise self._refusal("asking who you are", done.stderr)

    def _place(self) -> tuple[str, ...]:
        return ("--namespace", self.in_namespace())

    def _run(self, *words: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        options = [f"--request-timeout={_ANSWER_SECONDS}s"]
        if self.context is not None:
            options.append(f"--context={self.context}")
        return subprocess.run(
            [self.program, *options, *words],
            input=stdin if stdin is not None else "",
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )

    def _refusal(self, what: str, said: str) -> SaidToPeople:
        if any(word in said for word in ("Error from server", "forbidden", "is invalid")):
            return NotAllowed(what, _server_said(said))
        if "the server doesn't have a resource type" in said:
            return NotAllowed(what, "Wayfare's kinds are not installed in this cluster")
        options = () if self.context is None else (f"--context={self.context}",)
        return NoApiServer(cluster.server_of(self.program, *options), cluster.reason(said))


def _plural(kind: str) -> str:
    # Imported here: a help text should not wait for the models.
    from wayfare_engine.resources.kinds import GROUP, KINDS

    return f"{KINDS[kind].plural}.{GROUP}"


def _article(kind: str) -> str:
    return f"{'an' if kind[0] in 'AEIO' else 'a'} {kind}"


def _server_said(text: str) -> str:
    """The server's reason without kubectl's frame."""
    lines = [line.strip() for line in text.strip().splitlines()]
    said = " ".join(line for line in lines if line and not line.startswith("Warning:"))
    head, _, rest = said.partition(": ")
    if head.startswith("Error from server") and rest:
        said = rest
    # A policy's sentence stands behind its own name and its binding's.
    return said.rpartition(" denied request: ")[2].removeprefix('error when creating "STDIN": ')


def complete(kind: str) -> Any:
    """A function for shell completion: names of a kind, or nothing when it cannot be told."""

    def names(ctx: typer.Context, incomplete: str) -> Sequence[str]:
        try:
            found = Kube(ctx.params.get("namespace"), ctx.params.get("context")).names(kind)
        except SaidToPeople:
            return []
        return [name for name in found if name.startswith(incomplete)]

    return names
