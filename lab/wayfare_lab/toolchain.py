"""Finding a Go toolchain, and saying what is short before a build begins."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from wayfare_lab.errors import MissingRequirement

_DISK = 6 * 2**30
_MEMORY = 3 * 2**30
_DIRECTIVE = re.compile(r"^go (\d+)\.(\d+)", re.MULTILINE)
_VERSION = re.compile(r"go(\d+)\.(\d+)")


@dataclass(frozen=True)
class Toolchain:
    """A Go command and what it calls itself (such as ``go1.26.8``)."""

    go: Path
    version: str

    def environment(self, *, memory: int) -> dict[str, str]:
        """The environment of a build: static, reproducible, and no other toolchain fetched.

        :param memory: bytes at hand; with plenty, the compiler collects less garbage.
        """
        variables = {
            "CGO_ENABLED": "0",
            "GOTOOLCHAIN": "local",
            "GOFLAGS": "-buildvcs=false",
            "GOWORK": "off",
            "GOROOT": "",
        }
        if memory >= 6 * 2**30:
            variables["GOGC"] = "400"
        kept = {k: v for k, v in os.environ.items() if k != "GOROOT"}
        return kept | {k: v for k, v in variables.items() if v}


def find(modules: list[Path]) -> Toolchain:
    """A toolchain that is new enough for the modules: the machine's, or the wheel's.

    :raises MissingRequirement: when there is none.
    """
    needed = max(_needed(module) for module in modules)
    # The wheel puts a `go` beside our Python; the machine's own comes first wherever that stands.
    elsewhere = [
        folder
        for folder in os.environ.get("PATH", "").split(os.pathsep)
        if not Path(folder).is_relative_to(sys.prefix)
    ]
    on_path = shutil.which("go", path=os.pathsep.join(elsewhere))
    wheel = Path(sysconfig.get_path("purelib")) / "go/bin/go"
    beside = Path(sys.executable).parent / "go"
    seen = []
    for candidate in [Path(on_path) if on_path else None, wheel, beside]:
        if candidate is None or not candidate.exists():
            continue
        version = _version(candidate)
        numbers = _VERSION.search(version)
        if numbers and (int(numbers[1]), int(numbers[2])) >= needed:
            return Toolchain(candidate, version)
        seen.append(f"{candidate} is {version or 'broken'}")
    wanted = f"Go {needed[0]}.{needed[1]} or newer" + (f" ({'; '.join(seen)})" if seen else "")
    raise MissingRequirement([wanted], "`make setup` installs it into the virtual environment.")


def check_room(folder: Path) -> int:
    """Look at disk and memory before a build.

    :param folder: where the binaries go; Go's own caches are looked at as well.
    :returns: bytes of memory at hand.
    :raises MissingRequirement: when a build would run out of either.
    """
    short = []
    cache = Path(os.environ.get("GOCACHE") or Path.home() / ".cache")
    for place in {_existing(folder), _existing(cache)}:
        free = shutil.disk_usage(place).free
        if free < _DISK:
            short.append(f"{free / 2**30:.1f} GiB free at {place}, the build needs 6")
    memory = available_memory()
    if memory < _MEMORY:
        short.append(f"{memory / 2**30:.1f} GiB of memory at hand, the build needs 3")
    if short:
        raise MissingRequirement(short)
    return memory


def available_memory() -> int:
    """Bytes of memory that programs can still get."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 0


def _needed(module: Path) -> tuple[int, int]:
    found = _DIRECTIVE.search((module / "go.mod").read_text())
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _version(go: Path) -> str:
    done = subprocess.run(
        [str(go), "env", "GOVERSION"],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        env={k: v for k, v in os.environ.items() if k != "GOROOT"} | {"GOTOOLCHAIN": "local"},
    )
    return done.stdout.strip()


def _existing(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path
