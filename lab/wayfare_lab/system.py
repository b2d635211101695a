"""Running system programs and reading processes from /proc."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from wayfare_lab.errors import CommandFailed
from wayfare_lab.layout import MARKER, PREFIX

NETNS = Path("/run/netns")
_PROC = Path("/proc")


def run(*argv: str, stdin: str | None = None) -> str:
    """Run a program to its end.

    :returns: its standard output.
    :raises CommandFailed: when it ends with another exit code than 0.
    """
    done = subprocess.run(argv, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CommandFailed(argv, done.returncode, done.stderr + done.stdout)
    return done.stdout


def succeeds(*argv: str) -> bool:
    """Run a program whose failure is an answer."""
    return subprocess.run(argv, capture_output=True, check=False).returncode == 0


@dataclass(frozen=True)
class Process:
    """A process as the kernel knows it; ``start`` tells it from a later one of that id."""

    pid: int
    start: int

    def alive(self) -> bool:
        """Whether this very process still runs (a zombie does not)."""
        return start_time(self.pid) == self.start


def start_time(pid: int) -> int | None:
    """Clock ticks from boot to the process's start; None when there is none or it is a zombie."""
    try:
        text = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    fields = text[text.rindex(")") + 2 :].split()
    return None if fields[0] in "ZX" else int(fields[19])


def boot_id() -> str:
    """A value that changes with each boot of the machine."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def processes() -> Iterator[int]:
    """The ids of all processes that are not kernel threads."""
    for entry in _PROC.iterdir():
        if entry.name.isdigit() and _read(entry / "cmdline"):
            yield int(entry.name)


def namespaces(prefix: str = PREFIX) -> list[str]:
    """Names of the lab's network namespaces."""
    if not NETNS.is_dir():
        return []
    return sorted(entry.name for entry in NETNS.iterdir() if entry.name.startswith(prefix))


def members(site: str | None = None) -> set[int]:
    """Processes of one site or of the whole lab, found without any state file.

    One belongs to the lab when it carries the lab's marker, is in one of its cgroups, or
    is in one of its network namespaces. This process and its ancestors never do.
    """
    wanted = f"{MARKER}={site}".encode() if site else f"{MARKER}=".encode()
    cgroup = f":/{PREFIX}{site}" if site else f":/{PREFIX}"
    spaces = [f"{PREFIX}{site}"] if site else namespaces()
    inodes = {inode for name in spaces if (inode := _inode(NETNS / name)) is not None}
    found = set()
    for pid in processes():
        entry = _PROC / str(pid)
        variables = _read(entry / "environ").split(b"\0")
        marked = any(v == wanted if site else v.startswith(wanted) for v in variables)
        groups = _read(entry / "cgroup").decode(errors="replace").splitlines()
        grouped = any(
            line.endswith(cgroup) or f"{cgroup}/" in line if site else cgroup in line
            for line in groups
        )
        if marked or grouped or _inode(entry / "ns/net") in inodes:
            found.add(pid)
    return found - _lineage()


def kill_all(find: Callable[[], Iterable[int]], *, deadline: float = 20.0) -> datetime:
    """SIGKILL what ``find`` finds, again and again, until it finds nothing.

    :returns: when the first signal went, or when nothing was found.
    :raises CommandFailed: when something is left at the deadline (seconds).
    """
    end = time.monotonic() + deadline
    pids = set(find())
    at = datetime.now(UTC)
    while pids:
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        if time.monotonic() > end:
            raise CommandFailed(["kill", "-9", *map(str, sorted(pids))], 1, "still running")
        time.sleep(0.02)
        pids = set(find())
    return at


def memory(pids: Iterable[int]) -> int:
    """Bytes of memory of some processes, shared pages counted once (the sum of PSS)."""
    total = 0
    for pid in pids:
        for line in _read(_PROC / str(pid) / "smaps_rollup").splitlines():
            if line.startswith(b"Pss:"):
                total += int(line.split()[1]) * 1024
    return total


def enter(pid: int, argv: Sequence[str]) -> list[str]:
    """The command that runs ``argv`` inside the site whose process 1 is ``pid``."""
    return [
        "nsenter", f"--target={pid}", "--mount", "--uts", "--ipc", "--net", "--pid",
        "--wdns=/", "--", *argv,
    ]  # fmt: skip


def _lineage() -> set[int]:
    """This process and all its ancestors."""
    pids, pid = set(), os.getpid()
    while pid > 0:
        pids.add(pid)
        text = _read(_PROC / str(pid) / "stat").decode(errors="replace")
        if not text:
            break
        pid = int(text[text.rindex(")") + 2 :].split()[1])
    return pids


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except OSError:
        return None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
