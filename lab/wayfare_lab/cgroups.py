"""The lab's cgroups: one below the root of each hierarchy and site."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from wayfare_lab.layout import PREFIX

_ROOT = Path("/sys/fs/cgroup")
_V2_CONTROLLERS = ("cpuset", "cpu", "io", "memory", "pids")
_SESSIONS = 4
"""A site's pods get as much of a busy processor as so many sessions of this machine. Left alone,
all of them together would get no more than one: a node of its own would serve them alone."""
_SHARES = (("cpu.shares", 1024 * _SESSIONS), ("cpu.weight", 100 * _SESSIONS))
"""What it is called under version 1 and 2."""


def unified() -> bool:
    """Whether the machine has cgroup v2 only."""
    return (_ROOT / "cgroup.controllers").exists()


def create(name: str) -> None:
    """Make a site's cgroup in every hierarchy; the kubelet expects to find it."""
    for hierarchy in _hierarchies():
        if unified():
            _delegate(hierarchy)
        (hierarchy / name).mkdir(exist_ok=True)
        if unified():
            _delegate(hierarchy / name)
        for file, share in _SHARES:
            if (hierarchy / name / file).exists():
                (hierarchy / name / file).write_text(str(share))


def pin(name: str, cpus: str) -> None:
    """Have all that a site runs, and will run, run on these processors only, such as ``0-1``.

    A child's are always within its parent's, so they are widened from the top first and then
    narrowed from below; what is made later takes its parent's.
    """
    whole = _root_cpus()
    for top in remaining():
        if top.name != name or not (top / "cpuset.cpus").exists():
            continue
        folders = [top, *sorted((p for p in top.rglob("*") if p.is_dir()), key=_depth)]
        for folder in folders:
            _write_cpus(folder, whole)
        for folder in reversed(folders):
            _write_cpus(folder, cpus)


def _depth(folder: Path) -> int:
    return len(folder.parts)


def _root_cpus() -> str:
    for hierarchy in _hierarchies():
        for file in ("cpuset.cpus", "cpuset.cpus.effective"):
            if (hierarchy / file).exists():
                return (hierarchy / file).read_text().strip()
    return f"0-{(os.cpu_count() or 1) - 1}"


def _write_cpus(folder: Path, cpus: str) -> None:
    # A pod's may be gone by now.
    with contextlib.suppress(FileNotFoundError):
        (folder / "cpuset.cpus").write_text(cpus)


def remaining() -> list[Path]:
    """The lab's cgroups that exist, one a hierarchy and site."""
    return sorted(
        entry
        for hierarchy in _hierarchies()
        for entry in hierarchy.iterdir()
        if entry.name.startswith(PREFIX) and entry.is_dir()
    )


def remove(name: str | None = None, *, deadline: float = 10.0) -> list[str]:
    """Remove one site's cgroups, or those of all; their processes must have ended.

    :param deadline: seconds for which busy ones are tried again.
    :returns: those that could not be removed.
    """
    end = time.monotonic() + deadline
    while True:
        left = [path for path in remaining() if name in (None, path.name)]
        for top in left:
            # Children first; what is still busy is tried again.
            for path in sorted(
                (p for p in (top, *top.rglob("*")) if p.is_dir()),
                key=lambda p: len(p.parts),
                reverse=True,
            ):
                try:
                    path.rmdir()
                except OSError:
                    continue
        left = [path for path in left if path.exists()]
        if not left or time.monotonic() > end:
            return [str(path) for path in left]
        time.sleep(0.02)


def _hierarchies() -> list[Path]:
    """The folders below which cgroups are made; several under version 1."""
    if unified():
        return [_ROOT]
    found = []
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, point, kind, *_ = line.split()
        if kind in ("cgroup", "cgroup2") and Path(point).is_relative_to(_ROOT):
            found.append(Path(point))
    return found


def _delegate(folder: Path) -> None:
    """Let children of a version 2 cgroup use its controllers. Not tried on a real machine."""
    available = (folder / "cgroup.controllers").read_text().split()
    for controller in _V2_CONTROLLERS:
        if controller in available:
            (folder / "cgroup.subtree_control").write_text(f"+{controller}")
