"""The page in a real browser: nothing runs, nothing is asked for, it fits, prints, and is dark."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from tests.report import stories
from tests.report.hostile import PAYLOADS, hostile
from tests.report.stories import PLAN, START
from tests.servers.browser import Browser, running_browser
from wayfare_engine.objectstore import ObjectStore, open_store
from wayfare_engine.recovery.report import make_report, page

SHAPE = (
    "[...document.querySelectorAll('*')].map(e => e.tagName + [...e.attributes].map(a => a.name))"
)
WIDER = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
PAPER = "getComputedStyle(document.body).backgroundColor"


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """One tab."""
    async with running_browser() as started:
        yield started


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    """An empty store of files."""
    return open_store(f"file://{tmp_path}/store")


def written(tmp_path: Path, name: str, text: str) -> str:
    """The address of a page that was written to a file."""
    file = tmp_path / f"{name}.html"
    file.write_text(text, encoding="utf-8")
    return file.as_uri()


async def test_a_person_sees_the_whole_page(
    browser: Browser, store: ObjectStore, tmp_path: Path
) -> None:
    for day in range(6):
        stories.drill(store, START + timedelta(days=day))
    told = stories.failover(store, START + timedelta(days=6))
    made = make_report(store, PLAN, told.run.number, now=told.at)
    url = written(tmp_path, "failover", page(made))
    await browser.open(url)
    assert browser.requests == [url]
    assert browser.problems == []
    text = await browser.evaluate("document.body.innerText")
    for words in ("Failover of bank.retail to west, run 7", stories.STATEMENT, "≈ 312", "90.0 s"):
        assert words in text
    drawn = ("Succeeded", "Failed", "ApprovedPast")
    bars = ", ".join(f"svg rect.{state}" for state in drawn)
    found = await browser.evaluate(f"document.querySelectorAll('{bars}').length")
    assert found == sum(len(s.attempts) for s in made.steps)
    assert await browser.evaluate("document.querySelectorAll('svg rect.column').length") == 14
    # Text of the charts is inside them, and the evidence's links lead to it.
    outside = """[...document.querySelectorAll('svg text')].filter(t => {
        const box = t.getBoundingClientRect(), svg = t.ownerSVGElement.getBoundingClientRect();
        return box.left < svg.left - 1 || box.right > svg.right + 1 || box.bottom > svg.bottom + 1;
    }).map(t => t.textContent)"""
    assert await browser.evaluate(outside) == []
    dead = """[...document.querySelectorAll('a')].filter(
        a => !document.getElementById(a.getAttribute('href').slice(1))).length"""
    assert await browser.evaluate(dead) == 0


@pytest.mark.parametrize("width", [360, 800, 1400])
async def test_it_fits_the_window(
    browser: Browser, store: ObjectStore, tmp_path: Path, width: int
) -> None:
    told = hostile(store, "a-long-word-without-any-place-to-break-it" * 20)
    made = make_report(store, PLAN, told.run.number, now=START)
    await browser.size(width)
    await browser.open(written(tmp_path, "wide", page(made)))
    assert await browser.evaluate(WIDER) == 0


async def test_it_is_dark_where_that_is_wanted_and_white_on_paper(
    browser: Browser, store: ObjectStore, tmp_path: Path
) -> None:
    stories.drill(store)
    url = written(tmp_path, "drill", page(make_report(store, PLAN, 1, now=START)))
    await browser.open(url)
    await browser.media(prefers_color_scheme="light")
    assert await browser.evaluate(PAPER) == "rgb(255, 255, 255)"
    await browser.media(prefers_color_scheme="dark")
    dark = await browser.evaluate(PAPER)
    assert max(map(int, re.findall(r"\d+", dark))) < 60, dark
    # Evidence scrolls on a screen; on paper all of it is there.
    await browser.media("print", prefers_color_scheme="dark")
    assert await browser.evaluate(PAPER) == "rgb(255, 255, 255)"
    cut = """[...document.querySelectorAll('pre')].filter(
        e => getComputedStyle(e).maxHeight != 'none').length"""
    assert await browser.evaluate(cut) == 0
    await browser.media()
    assert (await browser.pdf()).startswith(b"%PDF-")


@pytest.mark.parametrize("policy", [True, False], ids=["with its policy", "without its policy"])
async def test_hostile_records_run_nothing(browser: Browser, tmp_path: Path, policy: bool) -> None:
    """Without the page's content policy, too: what keeps text from running is that it is text."""
    shapes = []
    for number, text in enumerate(("harmless", *PAYLOADS)):
        store = open_store(f"file://{tmp_path}/store-{number}")
        hostile(store, text)
        made = page(make_report(store, PLAN, 1, now=START))
        if not policy:
            made, removed = re.subn(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", made)
            assert removed == 1
        url = written(tmp_path, str(number), made)
        await browser.open(url)
        assert browser.requests == [url]
        assert browser.problems == []
        assert await browser.evaluate("typeof window.owned") == "undefined"
        shape = await browser.evaluate(SHAPE)
        shapes.append([one for one in shape if policy or not one.startswith("META")])
    assert all(shape == shapes[0] for shape in shapes)


async def test_the_browser_would_have_told(browser: Browser, tmp_path: Path) -> None:
    """What the tests above look for is seen when it is there."""
    text = "<script>window.owned=1</script><img src='http://127.0.0.1:9/x.png'>"
    await browser.open(written(tmp_path, "bad", f"<!doctype html><body>{text}"))
    assert await browser.evaluate("window.owned") == 1
    assert "http://127.0.0.1:9/x.png" in browser.requests
