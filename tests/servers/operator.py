"""The operator as a process, with the rights of its ClusterRole and no others."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from tests.servers import web
from tests.servers.apiserver import ApiServer
from tests.servers.ports import free_port
from tests.servers.wait import until
from wayfare_operator import rbac

NAMESPACE = "wayfare-system"
ACCOUNT = "wayfare-operator"
USER = f"system:serviceaccount:{NAMESPACE}:{ACCOUNT}"
_RUN = "import sys; from wayfare_operator.cli import app; app(['run'])"


def grant(server: ApiServer) -> None:
    """Bind the operator's user to exactly the rules that the chart is made from, cluster-wide."""
    server.make_namespace(NAMESPACE)
    cluster = [
        *rbac.RULES,
        *rbac.BUNDLE_RULES,
        *rbac.NAMESPACE_RULES,
        *rbac.CAPACITY_RULES,
        *rbac.DISCOVERY_RULES,
    ]
    _bind(server, USER, ACCOUNT, None, cluster)
    _bind(server, USER, ACCOUNT, NAMESPACE, rbac.LEASE_RULES)


def grant_in(server: ApiServer, namespace: str) -> str:
    """A user that may serve one namespace only, as an installation with `namespaces` has it."""
    account = f"operator-of-{namespace}"
    user = f"system:serviceaccount:{namespace}:{account}"
    _bind(server, user, account, None, rbac.DISCOVERY_RULES)
    rules = [*rbac.RULES, *rbac.NAMESPACED_RULES, *rbac.LEASE_RULES]
    _bind(server, user, account, namespace, rules)
    return user


def _bind(
    server: ApiServer, user: str, name: str, namespace: str | None, rules: list[rbac.Rule]
) -> None:
    base = "/apis/rbac.authorization.k8s.io/v1"
    base += f"/namespaces/{namespace}" if namespace is not None else ""
    role = "Role" if namespace is not None else "ClusterRole"
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": role, "name": name}
    subject = {"kind": "User", "name": user, "apiGroup": "rbac.authorization.k8s.io"}
    bodies: tuple[tuple[str, dict[str, Any]], ...] = (
        (role, {"rules": rules}),
        (f"{role}Binding", {"roleRef": reference, "subjects": [subject]}),
    )
    for kind, body in bodies:
        obj = {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": kind,
            "metadata": {"name": name},
            **body,
        }
        answer = server.apply(f"{base}/{kind.lower()}s/{name}", obj, manager="tests")
        assert answer.status in (200, 201), answer.message


class OperatorProcess:
    """One replica."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path, port: int) -> None:
        self.process = process
        self.log = log
        self.port = port

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    def kill(self) -> None:
        """SIGKILL, as a node that loses power."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(timeout=10)

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        self.process.terminate()
        return self.process.wait(timeout=20)

    def metrics(self) -> str:
        """The text of /metrics."""
        return web.get(f"http://127.0.0.1:{self.port}/metrics", timeout=5).text

    def leading(self) -> bool:
        """Whether this replica leads."""
        try:
            return "wayfare_operator_leading 1.0" in self.metrics()
        except httpx.HTTPError:
            return False

    def memory(self) -> int:
        """Resident bytes, now and at the peak: the larger."""
        text = Path(f"/proc/{self.pid}/status").read_text()
        found = re.search(r"VmHWM:\s+(\d+) kB", text)
        assert found is not None
        return int(found[1]) * 1024


@contextlib.contextmanager
def running_operator(
    server: ApiServer,
    folder: Path,
    *,
    control_url: str,
    token: str = "test",
    user: str = USER,
    **environment: str,
) -> Iterator[OperatorProcess]:
    """A replica that uses `server`; more settings as `WAYFARE_*` variables without the prefix."""
    folder.mkdir(parents=True, exist_ok=True)
    token_file = folder / "token"
    token_file.touch(mode=0o600)
    token_file.write_text(token)
    port = free_port()
    log = folder / f"operator-{port}.log"
    settings = {
        "OPERATOR_NAMESPACE": NAMESPACE,
        "OPERATOR_SERVICE_ACCOUNT": ACCOUNT,
        "CONTROL_TOKEN_FILE": str(token_file),
        "CONTROL_URL_TEMPLATE": control_url,
        "METRICS_HOST": "127.0.0.1",
        "METRICS_PORT": str(port),
        "IMAGE": "localhost/wayfare:test",
        "POD_NAME": f"operator-{port}",
        **environment,
    }
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("WAYFARE_", "KUBERNETES_"))
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", _RUN],
            stdout=output,
            stderr=output,
            env={
                **clean,
                "KUBECONFIG": str(server.user_kubeconfig(user, groups=("system:authenticated",))),
                **{f"WAYFARE_{name}": value for name, value in settings.items()},
            },
        )
    replica = OperatorProcess(process, log, port)
    try:
        yield replica
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(timeout=10)


def wait_leading(replica: OperatorProcess, *, seconds: float = 60) -> OperatorProcess:
    """Until the replica leads; its log in the error if it ended instead."""

    def leading() -> bool:
        assert replica.process.poll() is None, replica.log.read_text()[-4000:]
        return replica.leading()

    until(leading, seconds=seconds, what="the operator leads")
    return replica
