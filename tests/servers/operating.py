"""An operator that starts at once, forked from a process that has loaded it, and dies where told.

For tests that kill it at many places. It is the same program: its command, its settings, its
rights; only the start of Python is spared.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import anyio._backends._asyncio  # noqa: F401 - loaded once, as all below
import httpcore  # noqa: F401
import kubernetes.aio.client  # noqa: F401

from tests.servers.apiserver import ApiServer
from tests.servers.command import clean_environment
from tests.servers.forking import context
from tests.servers.operator import ACCOUNT, NAMESPACE, USER
from tests.servers.wait import until
from wayfare_operator import cli, operate  # noqa: F401 - loaded once, where runs are forked from


class Operating:
    """One operator process after the other, of one site. Each is given the Lease at once."""

    def __init__(
        self, server: ApiServer, folder: Path, *, namespace: str, user: str = USER, **settings: str
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        token = folder / "token"
        token.touch(mode=0o600)
        token.write_text("test")
        self.server, self.folder = server, folder
        self._process: Any = None
        self._started = 0
        self.log = folder / "operator-0.log"
        kubeconfig = server.user_kubeconfig(user, groups=("system:authenticated",))
        self._environment = {
            "KUBECONFIG": str(kubeconfig),
            "WAYFARE_OPERATOR_NAMESPACE": NAMESPACE,
            "WAYFARE_OPERATOR_SERVICE_ACCOUNT": ACCOUNT,
            "WAYFARE_CONTROL_TOKEN_FILE": str(token),
            "WAYFARE_METRICS_HOST": "127.0.0.1",
            "WAYFARE_METRICS_PORT": "0",
            "WAYFARE_IMAGE": "localhost/wayfare:test",
            "WAYFARE_NAMESPACES": namespace,
            **settings,
        }

    def start(self, crash: str | None = None, **more: str) -> None:
        """Start one; `crash` as in WAYFARE_CRASH."""
        self._free_lease()
        self._started += 1
        crashes = {} if crash is None else {"WAYFARE_CRASH": crash}
        environment = self._environment | {"WAYFARE_POD_NAME": f"operator-{self._started}"}
        self.log = self.folder / f"operator-{self._started}.log"
        self._process = context.Process(
            target=_operate,
            args=(clean_environment(environment | crashes | more), self.log),
        )
        self._process.start()

    @property
    def alive(self) -> bool:
        """Whether it runs. A process that ended in any other way than by a kill is an error."""
        code = self._process.exitcode
        assert code in (None, -signal.SIGKILL), f"the operator ended with {code}: {self.tail()}"
        return code is None

    def tail(self) -> str:
        """The end of its log."""
        return self.log.read_text()[-4000:] if self.log.exists() else ""

    def wait_killed(self, *, seconds: float = 60) -> None:
        """Until it died at its crash point."""
        until(lambda: not self.alive, seconds=seconds, what="the operator dies")
        self._process.join(10)

    def kill(self) -> None:
        """SIGKILL."""
        if self._process is not None and self._process.exitcode is None:
            self._process.kill()
        if self._process is not None:
            self._process.join(10)

    def _free_lease(self) -> None:
        """What a lapse does, without waiting for it."""
        self.server.send(
            "DELETE",
            f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/wayfare-operator",
        )


def _operate(environment: Mapping[str, str], log: Path) -> None:
    os.environ.clear()
    os.environ.update(environment)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for number in (1, 2):
        os.dup2(output, number)
    faulthandler.enable()
    if "LD_PRELOAD" in environment:
        # What is preloaded is loaded by a program that starts.
        program = "from wayfare_operator import cli; cli.run()"
        os.execv(sys.executable, [sys.executable, "-c", program])
    cli.run()


@contextlib.contextmanager
def operating(made: Operating) -> Iterator[Operating]:
    """Killed at the end; the end of its log is shown with a test that fails."""
    try:
        yield made
    finally:
        made.kill()
        print(made.tail())
