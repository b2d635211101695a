"""What can be wrong with a digest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from wayfare_engine.errors import MISSING, SaidToPeople


@dataclass(eq=False)
class DigestDamaged(SaidToPeople):
    """A digest's bytes are not what its document says."""

    source: str
    what: str
    exit_code: ClassVar[int] = MISSING

    def __str__(self) -> str:
        return f"{self.source} is no whole digest: {self.what}; take it again"


@dataclass(eq=False)
class NewerDigest(SaidToPeople):
    """A digest of a format that this version does not know."""

    source: str
    found: int
    known: int
    exit_code: ClassVar[int] = MISSING

    def __str__(self) -> str:
        return (
            f"{self.source} has format {self.found}, and this version reads up to {self.known}: "
            "use the version that wrote it"
        )


@dataclass(eq=False)
class CannotCompare(SaidToPeople):
    """Two digests are not of the same tables."""

    a: str
    b: str
    why: str
    exit_code: ClassVar[int] = MISSING

    def __str__(self) -> str:
        return f"{self.a} and {self.b} cannot be compared: {self.why}"
