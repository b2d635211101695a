"""Write the table of checks: `python -m wayfare_engine.recovery.checks.page docs/checks.md`.

It goes between `<!-- checks -->` and `<!-- end -->`. `--check` writes nothing and fails when the
page is stale.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import Final

from wayfare_engine.recovery.checks.catalogue import CATALOGUE

_TABLE: Final = re.compile(r"<!-- checks -->\n.*?<!-- end -->", re.DOTALL)
_HEAD: Final = (
    "| Check | Level | Gate | Cost | What it guards | Evidence | Unknown when |\n"
    "|---|---|---|---|---|---|---|\n"
)


def filled(text: str) -> str:
    """The page with its table as it should be now."""
    rows = "".join(
        f"| `{check.name}` | {check.level} | {'yes' if check.gate else 'no'} "
        f"| {check.cost.lower()} | {check.guards} | {check.seen} | {check.unclear} |\n"
        for check in CATALOGUE.values()
    )
    return _TABLE.sub(lambda _: f"<!-- checks -->\n{_HEAD}{rows}<!-- end -->", text)


def main(arguments: list[str] | None = None) -> int:
    """Write the page, or with --check only say that it is stale. Returns the exit code."""
    parser = argparse.ArgumentParser(description="Write the table of checks.")
    parser.add_argument("page", type=Path)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when stale")
    options = parser.parse_args(arguments)
    text = options.page.read_text(encoding="utf-8")
    wanted = filled(text)
    if text == wanted:
        return 0
    if options.check:
        print(f"stale: {options.page}: run `make generate`", file=sys.stderr)
        return 1
    options.page.write_text(wanted, encoding="utf-8")
    print(f"wrote {options.page}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
