"""The page's table of rules is what the code says."""

from __future__ import annotations

from pathlib import Path

from wayfare_engine.reconcile.rules import ATTENTION, RULES

PAGE = Path(__file__).parents[2] / "docs" / "reconcile.md"


def test_the_page_has_every_rule_as_it_is() -> None:
    text = PAGE.read_text()
    told = [line for line in text.splitlines() if line.startswith("| `")]
    wanted = [f"| `{name}` | {result} | {says} |" for name, (result, says) in RULES.items()]
    assert told == wanted, "docs/reconcile.md: the table should be\n" + "\n".join(wanted)
    named = text.split("that a person should look at:")[1].split("## ")[0]
    assert all(f"`{rule}`" in named for rule in ATTENTION)
