"""What every error that a person meets at the command line has in common; and who is not let in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

FAILED, USAGE, MISSING = 1, 2, 3


class SaidToPeople(Exception):
    """An error whose text is a sentence for a person; `exit_code` is the command's."""

    exit_code: ClassVar[int] = FAILED


@dataclass(eq=False)
class Denied(Exception):
    """Why a request was not let in: 401 when it is not known who asks, 403 when they may not."""

    status: int
    detail: str
