"""Taking everything of the lab away, found by what it is and not by what was noted.

Works on what is left of an `up` that was killed at any point, and on nothing at all.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from wayfare_lab import cgroups, network
from wayfare_lab.errors import LeftBehind
from wayfare_lab.layout import DATA, RUN
from wayfare_lab.system import kill_all, members, namespaces, succeeds


def found() -> list[str]:
    """What of a lab is on this machine, a phrase each."""
    things = [f"process {pid}" for pid in sorted(members())]
    things += [f"link {name}" for name in network.links()]
    things += [f"network namespace {name}" for name in namespaces()]
    things += [f"cgroup {path}" for path in cgroups.remaining()]
    things += [f"mount {path}" for path in mounts()]
    return things


def remove_all(*, keep_data: bool = False) -> None:
    """Stop every process of the lab, then remove all that it made.

    :raises LeftBehind: naming what could not be removed.
    """
    kill_all(members)
    for mount in reversed(mounts()):
        succeeds("umount", "--lazy", str(mount))
    network.remove_all()
    cgroups.remove()
    left = found()
    if left:
        raise LeftBehind(left)
    remove_folder(RUN)
    if not keep_data:
        remove_folder(DATA)


def mounts() -> list[Path]:
    """Mounts below the lab's folders in the host's view; a parent before its children."""
    points = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        point = Path(line.split()[4].encode().decode("unicode_escape"))
        if any(point.is_relative_to(folder) for folder in (RUN, DATA)):
            points.append(point)
    return points


def remove_folder(folder: Path) -> None:
    """Remove a folder of the lab, never through a mount below it."""
    below = [str(point) for point in mounts() if point.is_relative_to(folder)]
    if below:
        raise LeftBehind([f"mount {point}" for point in below])
    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        raise LeftBehind([f"folder {folder}"])
