"""What a template says, and what is refused with its place."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from wayfare_engine.content import (
    RenderProblem,
    Template,
    TemplateProblem,
    TemplateProblems,
    Variables,
    compile_template,
)
from wayfare_engine.content.sandbox import MOST_CHARACTERS, TooMuch
from wayfare_engine.content.template import MOST_SOURCE
from wayfare_engine.resources import Reason

ANNA: dict[str, Any] = {
    "first_name": "Anna",
    "balance": 1234567.5,
    "vip": True,
    "since": datetime(2024, 3, 1, 23, 30, tzinfo=UTC),
    "phone": None,
}
VARIABLES = Variables(ANNA.keys())


def compiled(text: str, **options: Any) -> Template:
    return compile_template(text, VARIABLES, **options)


def rendered(text: str, content: dict[str, Any] | None = None, **options: Any) -> str:
    return compiled(text, **options).render(ANNA, content or {})


def refused(text: str, variables: Variables = VARIABLES) -> TemplateProblem:
    with pytest.raises(TemplateProblems) as raised:
        compile_template(text, variables)
    return raised.value.problems[0]


@pytest.mark.parametrize(
    ("text", "content", "said"),
    [
        ("Hello {{ customer.first_name }}!\n", {}, "Hello Anna!\n"),
        ("{{ customer['first_name']|upper }}", {}, "ANNA"),
        ("{{ content.order.id }}", {"order": {"id": 7}}, "7"),
        ("{{ content.items }}", {"items": "an object's method is no value"}, "an object's"),
        ("{% if customer.vip %}a{% elif content.x %}b{% else %}c{% endif %}", {}, "a"),
        (
            "{% for line in content.lines if line.n > 1 %}{{ loop.index }}:{{ line.n }} "
            "{% else %}none{% endfor %}",
            {"lines": [{"n": 1}, {"n": 2}, {"n": 3}]},
            "1:2 2:3 ",
        ),
        ("{{ customer.balance|amount(2, '.', ',') }} EUR", {}, "1.234.567,50 EUR"),
        ("{{ customer.since|date('%d.%m.%Y %H:%M', 'Europe/Berlin') }}", {}, "02.03.2024 00:30"),
        ("{{ content.at|date('%H:%M') }}", {"at": "2026-05-01T10:00:00Z"}, "10:00"),
        ("{{ customer.phone|default('none') }}", {}, "none"),
        ("{{ content.gone|d('') }}{{ content.gone is defined }}", {}, "false"),
        ("{{ customer.first_name ~ ' & ' ~ content.n }}", {"n": 1}, "Anna & 1"),
        ("{{ (content.n + 2) * 3 % 5 // 1 - 1 }}", {"n": 1}, "3"),
        ("{{ [1, 2]|join(', ') }}{{ content.a[1:3] }}", {"a": "abcd"}, "1, 2bc"),
        ("{{ content.t|replace('a', 'b')|truncate(6) }}", {"t": "aaaa aaaa"}, "bbbb…"),
        ("{{ content.q|urlencode }}", {"q": "ü&/"}, "%C3%BC%26/"),
    ],
)
def test_what_it_says(text: str, content: dict[str, Any], said: str) -> None:
    assert rendered(text, content).startswith(said)


def test_values_are_escaped_in_html_and_only_there() -> None:
    text = "<b>{{ content.x }}</b>{{ content.x ~ '<i>' }}{{ [content.x]|join('<') }}"
    given = {"x": "<script>"}
    assert "<script>" in rendered(text, given)
    html = rendered(text, given, html=True)
    assert html == "<b>&lt;script&gt;</b>&lt;script&gt;&lt;i&gt;&lt;script&gt;"
    assert rendered("{{ content.x|replace('s', '<') }}", given, html=True).count("<") == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{{ customer.phone }}", "customer.phone has no value"),
        ("{{ content.order.id }}", "content.order has no value"),
        ("{% if customer.phone %}x{% endif %}", "customer.phone has no value"),
        ("{{ customer.phone ~ 'x' }}", "customer.phone has no value"),
        ("{{ customer.phone|upper }}", "customer.phone has no value"),
        ("{{ customer.phone + 1 }}", "customer.phone has no value"),
        ("{% for x in content.list %}{% endfor %}", "content.list has no value"),
        ("\n{{ 1 / 0 }}", "line 2: / by zero"),
        ("{{ customer.first_name * 3 }}", "texts are joined with ~"),
        ("{{ customer.first_name > 1 }}", "a value does not fit what is done with it (TypeError)"),
        ("{% for x in customer.first_name %}{% endfor %}", "a loop goes through a list"),
        ("{{ customer.since|date('%Y', 'Mars') }}", "'Mars' is no time zone"),
        ("{{ [1] }}", "a list or an object is printed"),
    ],
)
def test_what_cannot_be_rendered_says_why_and_tells_no_value(text: str, said: str) -> None:
    with pytest.raises(RenderProblem) as raised:
        rendered(text)
    assert said in str(raised.value)
    assert "Anna" not in str(raised.value)


def test_an_object_is_not_printed() -> None:
    with pytest.raises(RenderProblem, match=r"content\.order is an object"):
        rendered("{{ content.order }}", {"order": {"id": 7}})


@pytest.mark.parametrize(
    ("text", "line", "column", "reason", "said"),
    [
        ("a\n  {{ customer.frist_name }}", 2, 6, Reason.UNKNOWN_ATTRIBUTE, "customer.frist_name"),
        ("{{ customer['x'] }}", 1, 4, Reason.UNKNOWN_ATTRIBUTE, "customer.x is no attribute"),
        ("{% if 1 %}", 1, 1, Reason.TEMPLATE_INVALID, "endif"),
        ("ok\n{{ 1 ! 2 }}", 2, 1, Reason.TEMPLATE_INVALID, "not Jinja"),
        ("{{ name }}", 1, 4, Reason.TEMPLATE_INVALID, "there is no 'name'"),
        ("{{ customer }}", 1, 4, Reason.TEMPLATE_INVALID, "customer.NAME"),
        ("{{ customer[content.x] }}", 1, 4, Reason.TEMPLATE_INVALID, "customer.NAME"),
        ("{{ content.x|safe }}", 1, 14, Reason.TEMPLATE_INVALID, "no filter 'safe'"),
        ("{{ 1 is iterable }}", 1, 9, Reason.TEMPLATE_INVALID, "no test 'iterable'"),
        ("{{ range(3) }}", 1, 1, Reason.TEMPLATE_INVALID, "no functions"),
        ("{{ content.x.upper() }}", 1, 1, Reason.TEMPLATE_INVALID, "no functions"),
        ("{% set x = 1 %}", 1, 1, Reason.TEMPLATE_INVALID, "set"),
        ("{% include 'x' %}", 1, 1, Reason.TEMPLATE_INVALID, "stands alone"),
        ("{% macro m() %}{% endmacro %}", 1, 1, Reason.TEMPLATE_INVALID, "macro"),
        ("{{ 2 ** 9 }}", 1, 1, Reason.TEMPLATE_INVALID, "**"),
        ("{% for a, b in content.x %}{% endfor %}", 1, 4, Reason.TEMPLATE_INVALID, "one name"),
        ("{% for customer in content.x %}{% endfor %}", 1, 8, Reason.TEMPLATE_INVALID, "customer"),
        ("{{ loop.index }}", 1, 4, Reason.TEMPLATE_INVALID, "there is no 'loop'"),
        (
            "{% for a in content.x recursive %}{% endfor %}",
            *(1, 23, Reason.TEMPLATE_INVALID, "recursive"),
        ),
        (
            "{% for a in content.x %}{{ loop.cycle }}{% endfor %}",
            *(1, 28, Reason.TEMPLATE_INVALID, "loop has these fields"),
        ),
        ("{{ content.x|default(*content.y) }}", 1, 22, Reason.TEMPLATE_INVALID, "one by one"),
        ("{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}", 1, 1, Reason.TEMPLATE_INVALID, "deeply"),
        ("{{ 1" + "+1" * 3000 + " }}", 1, 1, Reason.TEMPLATE_INVALID, "deeply"),
        ("{{ 1 }}" * 6000, 1, 1, Reason.TEMPLATE_INVALID, "elements"),
        ("{{ 1" + "1" * 5000 + " }}", 1, 1, Reason.TEMPLATE_INVALID, "too long"),
        ("x" * (MOST_SOURCE + 1), 1, 1, Reason.TEMPLATE_INVALID, "characters"),
        ("{{ ''" + "~''" * 99 + " }}", 1, 6, Reason.TEMPLATE_INVALID, "are joined"),
    ],
)
def test_what_is_refused_is_told_with_its_place(
    text: str, line: int, column: int, reason: Reason, said: str
) -> None:
    problem = refused(text)
    assert (problem.line, problem.column, problem.reason) == (line, column, reason)
    assert said in problem.message


def test_unknown_keys_of_a_content_that_is_known() -> None:
    problem = refused("{{ content.titel }}", Variables((), frozenset({"title"})))
    assert "content.titel is nothing that is given: there are title" in problem.message


def test_every_problem_is_told_in_their_order() -> None:
    with pytest.raises(TemplateProblems) as raised:
        compile_template("{{ customer.a }}\n{{ b }}\n{{ customer.c }}", VARIABLES)
    assert [problem.line for problem in raised.value.problems] == [1, 2, 3]


def test_what_it_uses() -> None:
    made = compiled("{{ customer.vip }}{% for x in content.list %}{{ x.a }}{% endfor %}")
    assert (set(made.customer), set(made.content)) == ({"vip"}, {"list"})


LONG = {"list": list(range(8000)), "text": "a" * 16_000}


@pytest.mark.parametrize(
    "text",
    [
        "{% for a in content.list %}{% for b in content.list %}{% endfor %}{% endfor %}",
        "{% for a in content.list %}{{ content.text }}{% endfor %}",
        "{{ content.text" + "|replace('a', 'aaaaaaaa')" * 9 + " }}",
        "{{ content.text|replace('', content.text) }}",
        "{{ content.list|join(content.text) }}",
        "{% for a in content.list %}{% if content.text|upper == 'A' %}{% endif %}{% endfor %}",
        "{{ " + "~".join(["content.text"] * 32) + " }}",
        "{{ content.text" + "|replace('a', '%')" + "|urlencode" * 30 + " }}",
    ],
)
def test_what_would_take_too_much_is_not_done(text: str) -> None:
    with pytest.raises(TooMuch):
        compiled(text).render(ANNA, LONG)


def test_a_long_message_fits() -> None:
    text = "{% for a in content.list %}{{ a }} {{ customer.first_name }}\n{% endfor %}"
    assert len(compiled(text).render(ANNA, LONG)) < MOST_CHARACTERS
