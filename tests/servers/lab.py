"""The lab, shared by all tests of a session: brought up when first asked for.

`lab_site` is site east, brought up once. `lab.site(NAME)` brings up any site, also after
a test took the lab down, and is quick when it runs. What the session brought up it takes
down at its end.
"""

from __future__ import annotations

import json
import os
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from tests.servers.require import need
from tests.servers.wait import until


@dataclass(frozen=True)
class LabSite:
    """One site of the lab, as tests use it."""

    name: str
    address: str
    """By which this host reaches the site: API server and node ports, also in a partition."""
    kubeconfig: Path
    tools: Path
    """Folder of kubectl, helm and the lab's other programs."""

    def kubectl(self, *arguments: str, stdin: str | None = None, timeout: float = 60) -> str:
        """Run kubectl as the administrator; its standard output.

        Raises subprocess.CalledProcessError, whose `stderr` says why.
        """
        return subprocess.run(
            [str(self.tools / "kubectl"), f"--kubeconfig={self.kubeconfig}", *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            check=True,
            timeout=timeout,
        ).stdout

    def get(self, *arguments: str) -> Any:
        """`kubectl get … -o json`, parsed."""
        return json.loads(self.kubectl("get", *arguments, "-o", "json"))

    def apply(self, *objects: dict[str, Any]) -> None:
        """Server-side apply of some objects."""
        content = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
        self.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=content)

    def exec(self, *argv: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run a program inside the site (not in a pod)."""
        from wayfare_lab.lab import Lab

        return subprocess.run(
            Lab().command(self.name, list(argv)),
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
        )

    def namespace(self, prefix: str = "test") -> str:
        """A new namespace that can run pods at once; its name."""
        name = f"{prefix}-{uuid.uuid4().hex[:8]}"
        self.kubectl("create", "namespace", name)
        until(
            lambda: self.kubectl("get", "serviceaccount", "default", "-n", name),
            what="the namespace's service account",
            ignoring=(subprocess.CalledProcessError,),
        )
        return name


class LabSession:
    """The session's lab."""

    def __init__(self) -> None:
        self._brought_up = False
        self.found_up = _up()
        """Whether a lab of this clone was up before the session."""

    @cached_property
    def tools(self) -> Path:
        """The folder of the lab's binaries, built when need be (minutes, once)."""
        from wayfare_lab import binaries

        def silent(_program: str, _done: int, _total: int) -> None:
            return

        return binaries.ensure(silent)

    def site(self, name: str) -> LabSite:
        """A site that is up and ready, brought up when it is not."""
        from wayfare_lab.lab import Lab

        if not _up():
            self._brought_up = True
        site = Lab().up([name], self.tools)[0]
        return LabSite(name, str(site.management.ip), site.kubeconfig, self.tools)

    def close(self) -> None:
        """Take down what the session brought up."""
        from wayfare_lab.lab import Lab

        if self._brought_up:
            Lab().down()


def _up() -> bool:
    from wayfare_lab import state

    owner = state.read_owner()
    return owner is not None and state.alive(owner)


@pytest.fixture(scope="session")
def _lab_session() -> Iterator[LabSession]:
    session = LabSession()
    yield session
    session.close()


@pytest.fixture(scope="session")
def lab(_lab_session: LabSession) -> LabSession:
    """The session's lab, with no site brought up yet."""
    from wayfare_lab import requirements

    need(os.uname().sysname == "Linux", "the lab needs Linux")
    lacking = requirements.lacking()
    need(not lacking, f"the lab cannot run here: {'; '.join(lacking)}")
    return _lab_session


@pytest.fixture(scope="session")
def lab_site(lab: LabSession) -> LabSite:
    """Site east, up and ready when first asked for."""
    return lab.site("east")
