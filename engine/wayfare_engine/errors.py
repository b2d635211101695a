"""What every error that a person meets at the command line has in common."""

from __future__ import annotations

from typing import ClassVar

FAILED, USAGE, MISSING = 1, 2, 3


class SaidToPeople(Exception):
    """An error whose text is a sentence for a person; `exit_code` is the command's."""

    exit_code: ClassVar[int] = FAILED
