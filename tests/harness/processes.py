"""Real processes that start in a hundredth of a second: forked from one that has loaded all."""

from __future__ import annotations

import os
import signal
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from tests.harness.site import Role, Settings, main
from tests.servers.forking import context


class SiteProcess:
    """One process of a site, until it is killed or ended."""

    def __init__(self, role: Role, settings: Settings, *, crash: str | None, log: Path) -> None:
        self.role, self.log, self.crash = role, log, crash
        self.settings = settings
        self._process: ForkServerProcess = context.Process(
            target=main, args=(role, settings, crash, log), daemon=True
        )
        self._process.start()
        self._killed = False

    @property
    def alive(self) -> bool:
        """Whether it is there, stopped or not."""
        return self._process.is_alive()

    @property
    def exit_code(self) -> int | None:
        """Negative: the signal that ended it. None while it is there."""
        return self._process.exitcode

    @property
    def crashed(self) -> bool:
        """Whether it died at its crash point, and not of what was done to it here."""
        return not self.alive and not self._killed and self.exit_code == -signal.SIGKILL

    @property
    def stopped(self) -> bool:
        """Whether SIGSTOP has stopped it."""
        try:
            stat = Path(f"/proc/{self._process.pid}/stat").read_text()
        except FileNotFoundError:
            return False
        return stat.rpartition(")")[2].split()[0] == "T"

    def suspend(self) -> None:
        """SIGSTOP."""
        if self.alive:
            self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        if self.alive:
            self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        if self.alive:
            self._killed = True
            self._signal(signal.SIGKILL)
        self._process.join(20)

    def end(self, seconds: float = 20.0) -> int | None:
        """SIGTERM, and wait; SIGKILL when it takes too long. Returns the exit code."""
        self.resume()
        if self.alive:
            self._signal(signal.SIGTERM)
        self._process.join(seconds)
        if self.alive:
            self.kill()
        return self._process.exitcode

    def join(self, seconds: float) -> bool:
        """Wait until it ends by itself; whether it did."""
        self._process.join(seconds)
        return not self.alive

    def _signal(self, number: int) -> None:
        pid = self._process.pid
        assert pid is not None
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return
