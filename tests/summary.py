"""Adds up several runs of the tests: `python -m tests.summary build/tests/*.xml`.

The last line is `N passed, N failed, N skipped`; an error counts as a failure.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from xml.etree import ElementTree


def add_up(reports: Iterable[Path]) -> Counter[str]:
    """How many tests of these JUnit reports passed, failed and were skipped. Raises OSError, and
    ElementTree.ParseError for a report that is not whole."""
    found: Counter[str] = Counter()
    for report in reports:
        for suite in ElementTree.parse(report).getroot().iter("testsuite"):
            tests, skipped = int(suite.get("tests", 0)), int(suite.get("skipped", 0))
            failed = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
            found.update(passed=tests - failed - skipped, failed=failed, skipped=skipped)
    return found


def main() -> None:
    """Print the sum."""
    found = add_up(Path(name) for name in sys.argv[1:])
    print(f"{found['passed']} passed, {found['failed']} failed, {found['skipped']} skipped")


if __name__ == "__main__":
    main()
