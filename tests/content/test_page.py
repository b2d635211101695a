"""docs/templates.md is true: its Channel compiles, its table says what comes out, and its lists are
those that there are."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from wayfare_engine.content import (
    RenderProblem,
    Variables,
    channel_problems,
    compile_template,
    message_template,
)
from wayfare_engine.content.filters import NAMES, TESTS
from wayfare_engine.plan import Attribute, AttributeType, Schema
from wayfare_engine.resources import Channel, Reason, parse

PAGE = (Path(__file__).parents[2] / "docs" / "templates.md").read_text()
SCHEMA = Schema(
    (
        Attribute("first_name", AttributeType.STRING),
        Attribute("email", AttributeType.STRING),
        Attribute("balance", AttributeType.DOUBLE),
        Attribute("balance_at", AttributeType.TIMESTAMP),
    )
)
ANNA = {"first_name": "Anna", "balance": 1234.5, "balance_at": "2026-05-01T23:30:00Z"}


def page_channel(**spec: Any) -> Channel:
    """The page's Channel, with changes."""
    [block] = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    found = yaml.safe_load(block)
    found["spec"] |= spec
    made = parse(found)
    assert isinstance(made, Channel)
    return made


def rows() -> list[tuple[str, dict[str, Any], str]]:
    found = []
    for line in PAGE.splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if len(cells) == 3 and cells[0].startswith("`"):
            template, customer, said = (cell.strip("`").replace("\\|", "|") for cell in cells)
            found.append((template, json.loads(customer), said))
    return found


def test_the_channel_compiles_and_says_what_it_looks_like() -> None:
    channel = page_channel()
    assert channel_problems(channel, SCHEMA) == ()
    template = message_template(channel.spec, SCHEMA)
    assert template is not None
    said = template.render(ANNA, {"title": "News", "offers": [{"name": "A & B"}]})
    assert said["subject"] == "News, Anna"
    assert "02.05.2026" in said["html"]
    assert "1.234,50 EUR" in said["html"]
    assert "1. A &amp; B" in said["html"]


@pytest.mark.parametrize(("template", "customer", "said"), rows())
def test_a_row_of_the_table(template: str, customer: dict[str, Any], said: str) -> None:
    made = compile_template(template, Variables({"first_name", "balance", "born"}))
    if not said.startswith("*not sent:*"):
        assert made.render(customer, {}) == said
        return
    with pytest.raises(RenderProblem) as raised:
        made.render(customer, {})
    assert str(raised.value) == said.removeprefix("*not sent:* ")


def test_the_table_is_read() -> None:
    assert len(rows()) > 7


def test_the_lists_of_filters_and_tests_are_those_that_there_are() -> None:
    filters = PAGE.partition("- Filters:")[2].partition("- Tests:")[0]
    tests = PAGE.partition("- Tests:")[2].partition("\n\n")[0]
    assert {word.partition("(")[0] for word in re.findall(r"`([^`]+)`", filters)} == set(NAMES)
    assert {w.removeprefix("is ") for w in re.findall(r"`([^`]+)`", tests)} == set(TESTS)


def test_a_channels_problems_have_their_places() -> None:
    parts = {"subject": "Hi\n{{ customer.frist_name }}", "html": "{% for %}", "text": "fine"}
    channel = page_channel(template={"parts": parts}, addressAttribute="mail")
    found = {(p.path, p.line, p.column, p.reason) for p in channel_problems(channel, SCHEMA)}
    assert found == {
        ("spec.addressAttribute", 0, 0, Reason.UNKNOWN_ATTRIBUTE),
        ("spec.template.parts.subject", 2, 4, Reason.UNKNOWN_ATTRIBUTE),
        ("spec.template.parts.html", 1, 1, Reason.TEMPLATE_INVALID),
    }


def test_what_is_wrong_with_tasks_has_its_place() -> None:
    config = {"outcomes": ["reached"], "dueWithin": "soon", "assignee": "desk"}
    plugin = {"name": "task", "config": config}
    channel = page_channel(template=None, addressAttribute=None, plugin=plugin)
    (found,) = channel_problems(channel, SCHEMA)
    assert (found.path, found.reason) == ("spec.plugin.config.dueWithin", Reason.INVALID_SPEC)
    plugin = {"name": "task", "config": config | {"dueWithin": "2d", "assigneeAttribute": "brnch"}}
    channel = page_channel(template=None, addressAttribute=None, plugin=plugin)
    (found,) = channel_problems(channel, SCHEMA)
    assert found.path == "spec.plugin.config.assigneeAttribute"
    assert found.reason is Reason.UNKNOWN_ATTRIBUTE


def test_a_channel_without_a_template_says_the_content_as_it_is() -> None:
    channel = page_channel(template=None, addressAttribute=None)
    assert channel_problems(channel, Schema()) == ()
    assert message_template(channel.spec, Schema()) is None
