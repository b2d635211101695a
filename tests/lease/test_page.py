"""docs/lease.md shows what the commands say: its examples are run, in their order."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.lease.place import Place, beat
from tests.servers.command import wayfare
from wayfare_engine.lease import Terms

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "lease.md").read_text()
EXAMPLES = re.findall(r"```console\n\$ wayfare (.*?)\n(.*?)```", PAGE, re.DOTALL)
SETTINGS = {
    "COLUMNS": "110",
    "WAYFARE_OBJECT_STORE_FAILURE_DOMAIN": "zone-c",
    "WAYFARE_SITE_FAILURE_DOMAINS": "east=zone-a west=zone-b",
}


def shape(text: str) -> str:
    """The text with every number as `N`: times, and seconds that a test has shorter."""
    return re.sub(r"\d[\d.,:-]*", "N", text).strip()


def test_the_examples_are_what_the_commands_say(west: Place) -> None:
    beat(west.store)
    environment = west.environment | SETTINGS
    assert [command.split()[1] for command, _ in EXAMPLES] == ["show", "take", "history"]
    for command, shown in EXAMPLES:
        done = wayfare(*shlex.split(command), **environment)
        assert done.returncode == 0, done.stderr
        url = environment["WAYFARE_OBJECT_STORE_URL"]
        said = (done.stderr + done.stdout).replace(url, "s3://recovery/retail")
        assert shape(said) == shape(shown.replace(" (first)", "").replace("first", "     "))


def test_the_arithmetic_is_that_of_the_code() -> None:
    assert f"{Terms().wait:.2f} s" in PAGE
    assert Terms().arithmetic() in PAGE


@pytest.mark.parametrize("path", re.findall(r"\]\(([^)#h][^)#]*)", PAGE))
def test_every_link_leads_somewhere(path: str) -> None:
    assert (Path(__file__).resolve().parents[2] / "docs" / path).exists()
