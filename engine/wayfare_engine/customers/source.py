"""What every kind of file gives: columns, their types, and rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

from wayfare_engine.customers.problems import MAX_COLUMNS, MAX_NAME, BadRow, ImportRefused
from wayfare_engine.plan import AttributeType

#: Told how many bytes of the file were read so far.
Progress = Callable[[int], None]


class Row(NamedTuple):
    """A row that fits; `values` in the order of the columns, each as JSON can hold it."""

    line: int
    values: list[Any]


class Source(Protocol):
    """A file of customers."""

    columns: list[str]

    def infer(self, progress: Progress) -> list[AttributeType]:
        """The types of the columns, from the whole file."""

    def rows(self, types: Sequence[AttributeType], progress: Progress) -> Iterator[Row | BadRow]:
        """The rows, in the file's order."""


def check_columns(names: list[str]) -> list[str]:
    """The names themselves; raises ImportRefused for what a table cannot have."""
    if len(names) > MAX_COLUMNS:
        raise ImportRefused(f"{len(names)} columns, at most {MAX_COLUMNS} are possible")
    seen: set[str] = set()
    for position, name in enumerate(names, 1):
        if not name:
            raise ImportRefused(f"column {position} has no name", "name it in the first line")
        if len(name) > MAX_NAME or "\0" in name:
            raise ImportRefused(
                f"the name of column {position} is longer than {MAX_NAME} characters"
            )
        if name in seen:
            raise ImportRefused(f"two columns are named {name!r}", "rename one of them")
        seen.add(name)
    return names
