"""The page on the rule language: its examples compile, its reasons exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.oracle.building import BANK
from wayfare_engine.plan.cel import Scope, compile_expression
from wayfare_engine.plan.functions import FUNCTIONS
from wayfare_engine.plan.problems import ExpressionError
from wayfare_engine.resources import Reason

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "rules.md").read_text()
EXAMPLES = re.findall(r"```cel (rule|when)\n(.*?)\n```", PAGE, re.DOTALL)


@pytest.mark.parametrize(("place", "source"), EXAMPLES)
def test_every_example_compiles(place: str, source: str) -> None:
    assert compile_expression(source, BANK, Scope.REQUEST if place == "when" else Scope.CUSTOMER)


def test_the_page_has_examples_of_both_kinds() -> None:
    assert {place for place, _ in EXAMPLES} == {"rule", "when"}


def test_every_function_is_on_the_page() -> None:
    assert [name for name in FUNCTIONS if f"{name}`" not in PAGE and f"{name}(" not in PAGE] == []


def test_every_reason_on_the_page_exists() -> None:
    table = PAGE.partition("| Reason |")[2]
    named = re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)
    assert len(named) == 8
    assert set(named) <= {reason.value for reason in Reason}


def test_the_message_shown_is_the_message_given() -> None:
    with pytest.raises(ExpressionError) as caught:
        compile_expression("customer.balance > 2000", BANK, Scope.CUSTOMER)
    assert caught.value.message in PAGE
