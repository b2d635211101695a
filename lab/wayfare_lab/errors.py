"""What can go wrong in the lab, as classes with the fields that a person needs.

The command line turns them into one sentence and the exit code of the class.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar


class LabError(Exception):
    """The lab cannot do what was asked."""

    exit_code: ClassVar[int] = 1


@dataclass
class MissingRequirement(LabError):
    """The machine lacks something that the lab needs."""

    missing: Sequence[str]
    remedy: str = ""
    exit_code: ClassVar[int] = 3

    def __str__(self) -> str:
        text = "The lab cannot run here: " + "; ".join(self.missing) + "."
        return f"{text} {self.remedy}".rstrip()


@dataclass
class OtherLabUp(LabError):
    """A lab of another clone is up on this machine."""

    clone: Path
    exit_code: ClassVar[int] = 4

    def __str__(self) -> str:
        return (
            f"The lab of {self.clone} is up on this machine, and there is one lab a machine. "
            f"Run `wayfare lab down` in {self.clone} first."
        )


@dataclass
class UnknownSite(LabError):
    """No site of that name is in the lab."""

    site: str
    known: Sequence[str]
    exit_code: ClassVar[int] = 2

    def __str__(self) -> str:
        if not self.known:
            return f"There is no site {self.site!r}: the lab is down. Run `wayfare lab up`."
        return f"There is no site {self.site!r}; the lab has: {', '.join(self.known)}."


@dataclass
class SiteNotRunning(LabError):
    """The site is in the lab, but not running."""

    site: str

    def __str__(self) -> str:
        return f"Site {self.site!r} is not running. Run `wayfare lab restore {self.site}`."


@dataclass
class InvalidSites(LabError):
    """The names of the wanted sites cannot be used."""

    reason: str
    exit_code: ClassVar[int] = 2

    def __str__(self) -> str:
        return self.reason


@dataclass
class CommandFailed(LabError):
    """A system program that the lab runs ended with an error."""

    argv: Sequence[str]
    code: int
    output: str

    def __str__(self) -> str:
        tail = "\n".join(self.output.strip().splitlines()[-8:])
        return f"`{' '.join(self.argv)}` ended with exit code {self.code}:\n{tail}"


@dataclass
class BuildFailed(LabError):
    """A binary could not be built."""

    program: str
    output: str

    def __str__(self) -> str:
        tail = "\n".join(self.output.strip().splitlines()[-20:])
        return f"Building {self.program} failed:\n{tail}"


@dataclass
class NotReady(LabError):
    """Something of a site did not get ready in time."""

    site: str
    waited_for: str
    seconds: float
    logs: Path
    last: str = ""

    def __str__(self) -> str:
        seen = f" Last seen: {self.last}." if self.last else ""
        return (
            f"Site {self.site!r}: no {self.waited_for} within {self.seconds:.0f} s.{seen} "
            f"The programs' logs are in {self.logs}."
        )


@dataclass
class ApiError(LabError):
    """The site's API server answered with an error."""

    method: str
    path: str
    status: int
    message: str

    def __str__(self) -> str:
        return f"{self.method} {self.path}: {self.status} {self.message}"


@dataclass
class ImageNotFound(LabError):
    """There is no archive for an image to load."""

    reference: str
    looked_at: Sequence[Path]
    exit_code: ClassVar[int] = 2

    def __str__(self) -> str:
        places = ", ".join(map(str, self.looked_at))
        return f"There is no image archive for {self.reference!r} (looked at {places})."


@dataclass
class InvalidArchive(LabError):
    """A file is no docker-archive and no OCI archive."""

    archive: Path
    reason: str
    exit_code: ClassVar[int] = 2

    def __str__(self) -> str:
        return f"{self.archive} is no image archive: {self.reason}."


@dataclass
class LeftBehind(LabError):
    """Something of the lab could not be removed."""

    things: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return "Could not remove: " + "; ".join(self.things) + ". Run `wayfare lab down` again."
