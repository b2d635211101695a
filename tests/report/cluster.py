"""A real API server with the chart, its policies at work, and people who have its roles."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.chart.test_install import install
from tests.chart.test_policies import at_work, bind, plan, run, set_status, try_
from tests.contract.examples import collection
from tests.servers.apiserver import ApiServer, cluster_binaries, running_apiserver
from tests.servers.command import wayfare
from tests.servers.wait import until

NAMESPACE = "bank"
PEOPLE = {
    "dora": ("wayfare-drill",),
    "rita": ("wayfare-recover",),
    "anna": ("wayfare-approve",),
    "vic": ("wayfare-view",),
    "pam": ("wayfare-admin",),
}


@dataclass
class Site:
    """The namespace `bank` of one site's API server."""

    server: ApiServer
    kubectl: Path

    def environment(self, user: str) -> dict[str, str]:
        """With what a person reaches it."""
        return {
            "KUBECONFIG": str(self.server.user_kubeconfig(user, ("system:authenticated",))),
            "WAYFARE_KUBECTL": str(self.kubectl),
            "KUBECACHEDIR": str(self.server.folder / "kubectl-cache"),
        }

    def recovery(self, user: str, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
        """`wayfare recovery WORDS -n bank`, as a person."""
        asked = ("recovery", *words, "--namespace", NAMESPACE)
        return wayfare(*asked, **(self.environment(user) | more))

    def get(self, kind: str, name: str) -> dict[str, Any]:
        """An object."""
        answer = self.server.send("GET", f"{collection(kind, NAMESPACE)}/{name}")
        assert answer.status == 200, answer.message
        return answer.body

    def items(self, kind: str) -> list[dict[str, Any]]:
        """All of a kind."""
        found: list[dict[str, Any]] = self.server.send("GET", collection(kind, NAMESPACE)).body[
            "items"
        ]
        return found

    def status(self, kind: str, name: str, status: dict[str, Any]) -> None:
        """Write its status, as the operator does."""
        set_status(self.server, f"{collection(kind, NAMESPACE)}/{name}", status)

    def clear(self) -> None:
        """No run and no Approval, and the policies have seen that."""
        ended = {"state": "Abandoned", "evidence": f"sha256:{'0' * 64}"}
        for each in self.items("RecoveryRun"):
            self.status("RecoveryRun", each["metadata"]["name"], ended)
        for kind in ("Approval", "RecoveryRun"):
            answer = self.server.send("DELETE", collection(kind, NAMESPACE))
            assert answer.status == 200, answer.message
            until(lambda kind=kind: not self.items(kind), what="they are gone")  # type: ignore[misc]
        asked = run("next", "admin")
        until(
            lambda: try_(self.server, None, asked, NAMESPACE).status == 201,
            what="another run may begin",
        )


@contextmanager
def running_site(folder: Path) -> Iterator[Site]:
    """A site with the plan `retail`, east acting, and people."""
    with running_apiserver(folder) as server:
        server.make_namespace(NAMESPACE)
        install(server)
        for user, roles in PEOPLE.items():
            for role in roles:
                bind(server, user, "ClusterRole", role)
        until(lambda: at_work(server), seconds=60, what="the policies are at work")
        made = plan("retail", lease={"ttl": "12s", "handOver": "5s", "clockErrorPercent": 0.1})
        answer = server.send("POST", collection("RecoveryPlan", NAMESPACE), made)
        assert answer.status == 201, answer.message
        site = Site(server, _kubectl(folder))
        site.status("RecoveryPlan", "retail", STATUS)
        yield site


STATUS = {
    "phase": "Production",
    "actingSite": "east",
    "epoch": 3,
    "lag": {"rows": 4711, "seconds": 60, "asOf": "2026-11-28T09:00:00Z"},
    "sites": [
        {"name": "east", "state": "Acting", "lastBeacon": "2026-11-28T09:00:00Z"},
        {"name": "west", "state": "Standby"},
    ],
}


def _kubectl(folder: Path) -> Path:
    """kubectl as one program, of that name."""
    programs = cluster_binaries()
    assert programs is not None
    program = folder / "bin" / "kubectl"
    program.parent.mkdir()
    call = " ".join(f"'{part}'" for part in programs["kubectl"])
    program.write_text(f'#!/bin/sh\nexec {call} "$@"\n')
    program.chmod(0o755)
    return program
