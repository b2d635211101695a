"""What can be wrong with a resource that is to be compiled, and how it is told."""

from __future__ import annotations

from dataclasses import dataclass

from wayfare_engine.resources import Reason


@dataclass(frozen=True, slots=True)
class CompileProblem:
    """One thing wrong, with its place: `path` in the resource, `line` and `column` from 1 in the
    expression there (0 when the place is no expression)."""

    path: str
    line: int
    column: int
    reason: Reason
    message: str


class ExpressionError(Exception):
    """An expression that is refused; `line` and `column` count from 1, in characters."""

    def __init__(self, reason: Reason, message: str, source: str, line: int, column: int) -> None:
        self.reason = reason
        self.line = line
        self.column = column
        self.message = with_caret(message, source, line, column)
        super().__init__(self.message)

    def at(self, path: str) -> CompileProblem:
        """The problem that this is at a place in a resource."""
        return CompileProblem(path, self.line, self.column, self.reason, self.message)


_WIDEST = 100


def with_caret(message: str, source: str, line: int, column: int) -> str:
    """The message, and below it the source's line with a caret under the column."""
    lines = source.split("\n")
    if not 1 <= line <= len(lines):
        return message
    shown = "".join(c if c.isprintable() else " " for c in lines[line - 1])
    start = max(0, column - 1 - _WIDEST // 2) if len(shown) > _WIDEST else 0
    return f"{message}\n  {shown[start : start + _WIDEST]}\n  {' ' * (column - 1 - start)}^"


def place(source: str, offset: int) -> tuple[int, int]:
    """Line and column, from 1, of a code-point offset."""
    before = source[:offset]
    return before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1
