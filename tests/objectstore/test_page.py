"""docs/object-store.md: what it says that a fault looks like is what the code says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from wayfare_engine.objectstore import causes, marker, probe
from wayfare_engine.settings import Settings

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "object-store.md").read_text()
_TABLE = PAGE.partition("| It says | Do |")[2].partition("\n\n")[0]
SAID = [words for row in _TABLE.splitlines() for words in re.findall(r"`([^`]+)`", row[:150])]
SENTENCES = [words for words in SAID if " " in words]
SOURCES = " ".join(
    re.sub(r'"\s*f?"', "", Path(str(module.__file__)).read_text())
    for module in (causes, marker, probe)
)


@pytest.mark.parametrize("sentence", SENTENCES)
def test_what_a_fault_looks_like_is_what_is_said(sentence: str) -> None:
    for part in re.split(r"…|\(AccessDenied\)", sentence):
        assert part.strip() in SOURCES


def test_the_table_is_there() -> None:
    assert len(SENTENCES) > 12


def test_every_setting_on_the_page_exists() -> None:
    fields = {f"WAYFARE_{name.upper()}" for name in Settings.model_fields}
    named = set(re.findall(r"WAYFARE_[A-Z_]+", PAGE)) - {"WAYFARE_OBJECT_STORE_REPLICATION"}
    assert named <= fields
