"""How pages and JSON are built, kind by kind, kept as files: headings and tables, names of fields.

    python -m tests.report.golden

writes them anew; a review then shows what an auditor finds otherwise.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from tests.report import stories
from tests.report.outline import outline
from wayfare_engine.objectstore import ObjectStore, open_store
from wayfare_engine.recovery.report import make_report, page

FOLDER = Path(__file__).parent / "golden"
STORIES: dict[str, Callable[[ObjectStore], stories.Teller]] = {
    name: getattr(stories, name)
    for name in ("drill", "failover", "switchover", "failback", "waiting", "failed")
}


def built(store: ObjectStore, name: str) -> str:
    """The page's headings and the JSON's fields of one story."""
    told = STORIES[name](store)
    made = make_report(store, stories.PLAN, told.run.number, now=told.at + timedelta(minutes=1))
    lines = [*outline(page(made)), "", *sorted(set(_fields(made.facts(), "")))]
    return "\n".join(lines) + "\n"


def _fields(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, dict):
        for name, part in value.items():
            yield from _fields(part, f"{path}.{name}".lstrip("."))
    elif isinstance(value, list) and value:
        for part in value:
            yield from _fields(part, f"{path}[]")
    else:
        yield path


def main() -> None:
    """Write all files."""
    FOLDER.mkdir(exist_ok=True)
    for name in STORIES:
        with tempfile.TemporaryDirectory() as folder:
            text = built(open_store(f"file://{folder}/store"), name)
        (FOLDER / f"{name}.txt").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
