"""The page shows the projections as they are declared."""

from __future__ import annotations

from pathlib import Path

from wayfare_engine.projections import PROJECTIONS

PAGE = Path(__file__).parents[2] / "docs/ledger.md"


def table() -> str:
    """What belongs into the page."""
    lines = ["| Projection | Key | From | What it holds |", "|---|---|---|---|"]
    for projection in PROJECTIONS:
        key = ", ".join(f"`{column.name}`" for column in projection.key)
        kinds = ", ".join(f"`{kind}`" for kind in projection.kinds)
        lines.append(f"| `{projection.name}` | {key} | {kinds} | {projection.in_words} |")
    return "\n".join(lines)


def test_the_pages_table_is_what_is_declared() -> None:
    assert table() in PAGE.read_text(), f"put this into docs/ledger.md:\n\n{table()}"
