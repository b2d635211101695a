"""What can be wrong with a file of customers."""

from __future__ import annotations

from dataclasses import dataclass, field

from wayfare_engine.errors import SaidToPeople

#: Limits of every import, in one place; docs/import.md names them.
MAX_COLUMNS = 500
MAX_NAME = 128
MAX_FIELD = 64 * 1024
MAX_ID = 128

#: How many bad rows a message names.
SHOWN_ROWS = 20


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be loaded. `line` is the file's line (CSV) or row number (Parquet)."""

    line: int
    message: str


@dataclass(eq=False)
class ImportRefused(SaidToPeople):
    """The file as a whole cannot be loaded, and nothing was; `hint` says what to do."""

    problem: str
    hint: str = ""
    bad_rows: tuple[BadRow, ...] = field(default=())

    def __str__(self) -> str:
        hint = f". {self.hint[0].upper()}{self.hint[1:]}" if self.hint else ""
        rows = "".join(f"\n  line {row.line}: {row.message}" for row in self.bad_rows[:SHOWN_ROWS])
        return f"{self.problem}{hint}{rows}"
