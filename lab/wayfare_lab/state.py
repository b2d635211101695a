"""What the lab notes about itself: whose it is, its sites, their first processes.

None of it is needed to take the lab down; see :mod:`wayfare_lab.remains`.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from wayfare_lab.errors import UnknownSite
from wayfare_lab.layout import DATA, RUN, Place, Site, vault
from wayfare_lab.system import Process, boot_id


@dataclass
class Owner:
    """Whose lab is up, and its sites by number."""

    clone: Path
    boot: str
    sites: dict[str, int] = field(default_factory=dict)

    def site(self, name: str) -> Site:
        """:raises UnknownSite: when the lab has none of that name."""
        if name not in self.sites:
            raise UnknownSite(name, sorted(self.sites))
        return Site(name, self.sites[name])

    def all(self) -> list[Site]:
        """The sites in the order of their numbers."""
        return [Site(name, i) for name, i in sorted(self.sites.items(), key=lambda e: e[1])]


def read_owner() -> Owner | None:
    """Whose lab is up; None when there is none, or when what was noted is of an earlier boot."""
    content = _read(RUN / "owner.json")
    if content is None or content.get("boot") != boot_id():
        return None
    return Owner(Path(content["clone"]), content["boot"], content["sites"])


def write_owner(owner: Owner) -> None:
    """Note whose lab is up."""
    _write(RUN / "owner.json", asdict(owner) | {"clone": str(owner.clone)})


def alive(owner: Owner) -> bool:
    """Whether any machine of that lab runs."""
    return any(running(place) for place in (*owner.all(), vault()))


def running(place: Place) -> Process | None:
    """Process 1 of a place; None when it does not run."""
    content = _read(place.run / "process.json")
    if content is None:
        return None
    process = Process(content["pid"], content["start"])
    return process if process.alive() else None


def note_running(place: Place, process: Process) -> None:
    """Note a place's process 1."""
    _write(place.run / "process.json", asdict(process))


def kept() -> dict[str, int]:
    """Numbers of the sites whose data an earlier `down --keep-data` left."""
    content = _read(DATA / "kept.json")
    return dict(content["sites"]) if content else {}


def note_kept(sites: dict[str, int]) -> None:
    """Note that the data of these sites is to be used again."""
    _write(DATA / "kept.json", {"sites": sites})


@contextmanager
def locked() -> Iterator[None]:
    """Hold the lab's lock: what changes the lab runs alone. A killed holder frees it."""
    lock = Path("/run/lock/wayfare-lab")
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _read(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def _write(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(content, indent=2))
    os.replace(fresh, path)
