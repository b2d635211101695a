"""Whatever a record says stays text: the page's elements are those of harmless words."""

from __future__ import annotations

import tempfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.report.hostile import PAYLOADS, hostile
from tests.report.outline import Parsed
from tests.report.stories import PLAN, START
from wayfare_engine.objectstore import open_store
from wayfare_engine.recovery.report import make_report, page
from wayfare_engine.recovery.report.shown import one_line, shown


def page_of(text: str) -> str:
    """The page of a run that says nothing but `text`."""
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(f"file://{folder}/store")
        hostile(store, text)
        made = make_report(store, PLAN, 1, now=START)
    return page(made)


HARMLESS = Parsed(page_of("harmless"))


def check(text: str) -> None:
    """The elements and attributes are the same, nothing leads out, and the text is there."""
    made = page_of(text)
    parsed = Parsed(made)
    assert parsed.shape == HARMLESS.shape
    assert parsed.unbalanced == 0
    assert {tag for tag, *_ in parsed.shape}.isdisjoint({"script", "img", "iframe", "base"})
    for tag, name, value in parsed.values:
        assert not name.startswith("on"), (tag, name)
        if name in ("href", "src"):
            assert value.startswith("#e-") or value == "data:,", (tag, name, value)
    assert "\x00" not in made
    assert "\x1b" not in made
    assert "\u202e" not in made
    visible = " ".join(shown(text).split())
    assert visible in " ".join(parsed.text.split())


@pytest.mark.parametrize("text", PAYLOADS)
def test_known_ways_out_of_a_text_stay_text(text: str) -> None:
    check(text)


_MARKUP = st.sampled_from(
    (
        *("<", ">", '"', "'", "&", "&#60;", "<!--", "-->", "</", "<script", "<svg ", " on", "="),
        *("/>", "</style>", "</title>", "</pre>", "{{", "}}", "{%", "%}", "`", "\\"),
        *("\r", "\x0b", "\u2028"),
    )
)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.one_of(_MARKUP, st.text(max_size=4)), min_size=1, max_size=12).map("".join))
def test_no_text_gets_out_of_its_place(text: str) -> None:
    check(text + "x")  # not empty: nothing at all is said to be unknown


@given(st.text())
def test_what_is_shown_in_a_terminal_is_one_line_that_obeys_nothing(text: str) -> None:
    line = one_line(text)
    assert "\n" not in line
    assert all(ord(c) >= 0x20 and not 0x7F <= ord(c) < 0xA0 for c in line)
    assert not set(line) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
    line.encode()


def test_a_page_asks_for_nothing_and_its_policy_forbids_it() -> None:
    made = page_of("harmless")
    assert "default-src 'none'" in made
    assert "script-src" not in made
    assert "http://" not in made
    assert "https://" not in made
