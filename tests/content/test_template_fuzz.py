"""Templates and values that nobody would write: a text, or one of two problems, and no escape."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from wayfare_engine.content import (
    RenderProblem,
    TemplateProblems,
    Variables,
    compile_template,
)
from wayfare_engine.content.sandbox import MOST_CHARACTERS

VARIABLES = Variables({"name", "n", "items", "__class__"})
WORDS = (
    *("{{", "}}", "{%", "%}", "{#", "#}", "-%}", "{%-", "\n", " ", "(", ")", "[", "]", "{", "}"),
    *("customer", ".name", ".n", ".items", "content", ".list", ".x", ".__class__", ".mro", "loop"),
    *("|", "join", "replace", "default", "upper", "attr", "format", "map", "amount", "date", "int"),
    *("('a')", "(9)", "(-1)", "(content.list)", "('%' , 99999999999)", "'%999999999d'", "first"),
    *("for x in ", "content.list", "endfor", "if ", "else", "elif ", "endif", "set x = ", "x"),
    *("not ", "is ", "defined", "in ", "recursive", "+", "-", "*", "/", "//", "%", "**", "~", "=="),
    *("1", "99999999999999999999", "1e308", "0", "'text'", '"\\u0000"', "true", "none", ",", ":"),
    *("range(9)", "lipsum()", "cycler", "self", "namespace()", "import 'x' as y", "raw", "endraw"),
)
texts = st.one_of(
    st.lists(st.sampled_from(WORDS), max_size=40).map("".join),
    st.lists(st.sampled_from(WORDS), max_size=12).map(lambda w: "{{ " + " ".join(w) + " }}"),
    st.lists(st.sampled_from(WORDS), max_size=12).map(
        lambda w: "{% for x in content.list %}{{ " + " ".join(w) + " }}{% endfor %}"
    ),
    st.text(max_size=200),
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=12,
)
objects = st.fixed_dictionaries({}, optional={"list": values, "x": values, "name": values})
FUZZ = settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@FUZZ
@given(text=texts, customer=objects, content=objects, html=st.booleans())
@example(text="{{ customer.__class__ }}", customer={}, content={}, html=False)
def test_it_is_a_text_or_a_problem(
    text: str, customer: dict[str, Any], content: dict[str, Any], html: bool
) -> None:
    try:
        template = compile_template(text, VARIABLES, html=html)
    except TemplateProblems as error:
        lines = text.split("\n")
        for problem in error.problems:
            assert 1 <= problem.line <= len(lines)
            assert 1 <= problem.column <= len(lines[problem.line - 1]) + 1
            assert problem.message
        return
    try:
        said = template.render(customer, content)
    except RenderProblem:
        return
    assert len(said) <= MOST_CHARACTERS
    assert "<built-in" not in said
    assert "object at 0x" not in said


@FUZZ
@given(text=st.text(alphabet=st.characters(exclude_characters="{}#%"), max_size=300))
def test_what_has_no_tag_is_said_as_it_is(text: str) -> None:
    # A line's end is \n in what is said, as it is in YAML.
    plain = text.replace("\r\n", "\n").replace("\r", "\n")
    assert compile_template(text, VARIABLES).render({}, {}) == plain


@FUZZ
@given(value=st.text(max_size=200))
def test_a_value_is_never_read_as_a_template_or_as_html(value: str) -> None:
    text = compile_template("{{ content.x }}", VARIABLES).render({}, {"x": value})
    assert text == value
    html = compile_template("{{ content.x }}", VARIABLES, html=True).render({}, {"x": value})
    assert not set("<>\"'") & set(html)


@pytest.mark.parametrize(
    "path",
    [
        "content.x.__class__.__mro__",
        "content.x['__class__']",
        "content.list.append",
        "content.x.format",
        "customer.name.__init__.__globals__",
        "(1).__class__",
        "''.__class__",
        "loop.__class__",
        "[].__class__.__base__",
    ],
)
def test_no_attribute_of_python_is_reached(path: str) -> None:
    text = "{% for y in content.list %}{{ " + path + " is defined }}{% endfor %}"
    content = {"list": [1], "x": "text"}
    try:
        said = compile_template(text, VARIABLES).render({"name": "Anna"}, content)
    except (TemplateProblems, RenderProblem):
        return
    assert said == "false"
