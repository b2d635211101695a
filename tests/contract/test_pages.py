"""The examples in docs/kinds and in examples/: they work as they are printed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.contract.examples import collection
from tests.servers.apiserver import ApiServer
from wayfare_engine.plan import Attribute, AttributeType, Schema, compile_plan
from wayfare_engine.resources import API_VERSION, KINDS, Engine, Journey, Reason, Segment, parse

pytestmark = pytest.mark.contract

TOP = Path(__file__).parents[2]
PAGES = sorted((TOP / "docs" / "kinds").glob("*.md"))
FILES = sorted((TOP / "examples").glob("*/*.yaml"))
_BLOCK = re.compile(r"```yaml\n(.*?)```", re.DOTALL)


def objects_of(path: Path) -> list[dict[str, Any]]:
    """Our objects in a page's YAML blocks, or in a manifest."""
    text = path.read_text(encoding="utf-8")
    blocks = _BLOCK.findall(text) if path.suffix == ".md" else [text]
    found = [obj for block in blocks for obj in yaml.safe_load_all(block) if obj]
    return [obj for obj in found if obj.get("apiVersion") == API_VERSION]


@pytest.mark.parametrize("path", [*PAGES, *FILES], ids=lambda path: str(path.relative_to(TOP)))
def test_an_example_is_accepted(apiserver: ApiServer, path: Path) -> None:
    for obj in objects_of(path):
        namespace = apiserver.make_namespace(obj["metadata"].get("namespace", "default"))
        answer = apiserver.send(
            "POST",
            collection(obj["kind"], namespace),
            obj,
            dryRun="All",
            fieldValidation="Strict",
        )
        assert answer.status == 201, answer.message
        parse(obj)


def test_every_kind_has_a_page_with_examples_of_it() -> None:
    assert {page.stem for page in PAGES} == {kind.singular for kind in KINDS.values()}
    for page in PAGES:
        assert page.stem in {obj["kind"].lower() for obj in objects_of(page)}


def test_the_pages_examples_compile_together() -> None:
    parsed = [parse(obj) for page in PAGES for obj in objects_of(page)]
    retail = next(each for each in parsed if isinstance(each, Engine))
    result = compile_plan(
        engine=retail.plan_name,
        schema=Schema(
            tuple(
                Attribute(each.name, AttributeType(each.type))
                for each in retail.spec.customers.attributes
            )
        ),
        segments=[each for each in parsed if isinstance(each, Segment)],
        journeys=[each for each in parsed if isinstance(each, Journey)],
        previous=None,
    )
    later = {
        name: {problem.reason for problem in problems} for name, problems in result.problems.items()
    }
    # The one that the page shows as what a later version will do.
    assert later == {("Journey", "bank/welcome"): {Reason.NOT_SUPPORTED_YET}}


def test_no_example_uses_what_is_known_only_after_the_call() -> None:
    for path in [*PAGES, *FILES]:
        assert "customer.duration" not in path.read_text(encoding="utf-8")
