"""Child processes that do not outlive us, run as an unprivileged user when we are root."""

from __future__ import annotations

import contextlib
import ctypes
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from wayfare_engine.errors import MISSING, SaidToPeople


@dataclass(eq=False)
class StoreError(SaidToPeople):
    """An embedded store that did not start; `detail` is what it said itself."""

    exit_code = MISSING

    store: str
    problem: str
    detail: str = ""

    def __str__(self) -> str:
        tail = f"\n{self.detail.strip()}" if self.detail.strip() else ""
        return f"{self.store}: {self.problem}{tail}"


@dataclass(frozen=True)
class Account:
    """Who a store runs as."""

    uid: int
    gid: int


def unprivileged() -> Account | None:
    """The account to run stores as when this process is root (PostgreSQL refuses root)."""
    if os.geteuid() != 0:
        return None
    for name in ("nobody", "daemon"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return Account(entry.pw_uid, entry.pw_gid)
    raise StoreError("stores", "running as root and there is no account 'nobody' to run them as")


def reachable(path: Path, account: Account | None) -> bool:
    """Whether `account` may enter every folder on the way to `path`."""
    if account is None:
        return True
    for folder in [path, *path.parents]:
        with contextlib.suppress(FileNotFoundError):
            mode = folder.stat()
            if mode.st_uid == account.uid and mode.st_mode & stat.S_IXUSR:
                continue
            if not mode.st_mode & stat.S_IXOTH:
                return False
    return True


def reachable_copy(root: Path, parts: Sequence[Path], name: str, account: Account | None) -> Path:
    """`root`, or a folder with copies of `parts` of it that `account` can reach.

    A clone below /root, or in a folder of mode 0700, cannot be. Programs find their libraries by
    relative paths, so the copies stand to each other as in `root`. `name` names the version too.
    """
    if all(reachable(part, account) for part in parts):
        return root
    target = Path(tempfile.gettempdir()) / f"wayfare-{name}-{os.geteuid()}"
    with contextlib.suppress(FileNotFoundError):
        # A folder that somebody else put there must not be run from.
        found = target.lstat()
        if stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid():
            return target
        raise StoreError("stores", f"{target} belongs to somebody else; remove it")
    staging = Path(tempfile.mkdtemp(prefix=f"wayfare-{name}-"))
    for part in parts:
        copy = staging / part.relative_to(root)
        copy.parent.mkdir(parents=True, exist_ok=True)
        if part.is_dir():
            shutil.copytree(part, copy, symlinks=True)
        else:
            shutil.copy2(part, copy)
    staging.chmod(0o755)
    try:
        staging.rename(target)
    except OSError:  # another process was quicker
        shutil.rmtree(staging)
    return target


def own_folder(path: Path, account: Account | None) -> None:
    """Make `path` a folder that only `account` can read."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    if account is not None:
        os.chown(path, account.uid, account.gid)
    with contextlib.suppress(PermissionError):  # a mounted volume may belong to the group only
        path.chmod(0o700)


def run(
    argv: Sequence[str | Path], *, account: Account | None, cwd: Path, stdin: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a store's tool to its end, as `account`."""
    done: subprocess.CompletedProcess[str] = subprocess.run(
        [str(a) for a in argv],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env=_environment(),
        **_credentials(account),  # type: ignore[call-overload]
    )
    return done


class StoreProcess:
    """One running server. Start it from the main thread: it ends when that thread does."""

    def __init__(
        self,
        store: str,
        argv: Sequence[str | Path],
        *,
        account: Account | None,
        cwd: Path,
        log: Path | None,
        stop_signal: signal.Signals,
    ) -> None:
        self.store = store
        self.log = log
        self._stop_signal = stop_signal
        output = log.open("ab") if log is not None else None
        try:
            self.process = subprocess.Popen(
                [str(a) for a in argv],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT if output is not None else None,
                cwd=cwd,
                env=_environment(),
                start_new_session=True,  # Ctrl-C is for us; we stop our stores in order
                preexec_fn=_end_with_parent(stop_signal),
                **_credentials(account),  # type: ignore[call-overload]
            )
        finally:
            if output is not None:
                output.close()

    @property
    def pid(self) -> int:
        """Process id of the server."""
        return int(self.process.pid)

    def wait_until(self, ready: Callable[[], bool], *, seconds: float = 30.0) -> None:
        """Poll `ready`; raises StoreError when the server ends or the time is over."""
        deadline = time.monotonic() + seconds
        while not ready():
            if self.process.poll() is not None:
                raise StoreError(
                    self.store, f"ended with code {self.process.returncode}", self.tail()
                )
            if time.monotonic() > deadline:
                self.kill()
                raise StoreError(self.store, f"not ready within {seconds:g} s", self.tail())
            time.sleep(0.02)

    def tail(self, size: int = 2000) -> str:
        """The end of what the server wrote."""
        if self.log is None or not self.log.exists():
            return ""
        return self.log.read_bytes()[-size:].decode("utf-8", "replace")

    def stop(self, *, seconds: float = 20.0) -> int:
        """Ask the server to end, wait, and return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(self._stop_signal)
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.kill()
        return int(self.process.returncode)

    def kill(self) -> None:
        """End the server at once, as a crash would."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def accepts(port: int, host: str = "127.0.0.1") -> bool:
    """Whether something listens at the port."""
    try:
        with socket.create_connection((host, port), timeout=0.5):
            return True
    except OSError:
        return False


def free_port() -> int:
    """A TCP port on loopback that nothing listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _environment() -> dict[str, str]:
    kept = ("PATH", "HOME", "TMPDIR", "TZ", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
    return {**{k: os.environ[k] for k in kept if k in os.environ}, "LC_ALL": "C"}


def _credentials(account: Account | None) -> dict[str, object]:
    if account is None:
        return {}
    return {"user": account.uid, "group": account.gid, "extra_groups": []}


def _end_with_parent(signal_number: signal.Signals) -> Callable[[], None] | None:
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None).prctl
    pr_set_pdeathsig = 1

    def ask() -> None:
        prctl(pr_set_pdeathsig, int(signal_number))

    return ask
