"""What can be wrong with rows that are to be applied, said to people."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from wayfare_engine.errors import MISSING, SaidToPeople


@dataclass(eq=False)
class RowDamaged(SaidToPeople):
    """A row whose kind or body this version does not understand. Nothing of its batch is kept."""

    row: bytes
    kind: str
    site: str
    epoch: int
    cause: str

    def __str__(self) -> str:
        return (
            f"row {uuid.UUID(bytes=self.row)} of {self.site}, epoch {self.epoch}, kind "
            f"{self.kind!r} cannot be applied: {self.cause}; nothing was changed. A newer version "
            "of Wayfare may have written it: upgrade this site first"
        )


@dataclass(eq=False)
class NoApplier(SaidToPeople):
    """A row refers to a blob, and this process knows no way to apply it."""

    exit_code = MISSING

    kind: str

    def __str__(self) -> str:
        return (
            f"a row of kind {self.kind!r} refers to a blob, and nothing that applies it is loaded "
            "in this process; nothing was changed"
        )
