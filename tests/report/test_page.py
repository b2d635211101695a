"""docs/recovery-report.md shows what the commands say: its example is run."""

from __future__ import annotations

import re
import shlex
from datetime import timedelta
from pathlib import Path

import pytest

from tests.report import stories
from tests.report.place import Place

TOP = Path(__file__).resolve().parents[2]
PAGE = (TOP / "docs" / "recovery-report.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```console\n\$ wayfare recovery (.*?)\n(.*?)```", PAGE, re.DOTALL)


def test_the_example_is_what_the_command_says(place: Place) -> None:
    stories.drill(place.store, stories.START - timedelta(days=1))
    stories.failover(place.store)
    [(command, shown)] = EXAMPLES
    done = place.recovery(*shlex.split(command))
    assert done.returncode == 4
    assert done.stdout == shown


def test_every_part_of_the_page_is_explained() -> None:
    template = TOP / "engine/wayfare_engine/recovery/report/templates/page.html.j2"
    parts = re.findall(r"<h2 [^>]*>([^<]*)</h2>", template.read_text(encoding="utf-8"))
    assert len(parts) > 8
    assert [part for part in parts if f"| {part} |" not in PAGE] == []


@pytest.mark.parametrize("path", re.findall(r"\]\(([^)#h][^)#]*)", PAGE))
def test_every_link_leads_somewhere(path: str) -> None:
    assert (TOP / "docs" / path).exists()
