"""What the rule language takes, and how it refuses the rest."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.oracle.building import schema
from wayfare_engine.plan import Schema
from wayfare_engine.plan.cel import MAX_LENGTH, Scope, compile_expression
from wayfare_engine.plan.problems import ExpressionError
from wayfare_engine.resources import Reason

CUSTOMERS = schema(age="int", balance="double", housing="string", vip="bool", since="timestamp")


def refusal(source: str, scope: Scope = Scope.CUSTOMER, known: Schema = CUSTOMERS) -> str:
    with pytest.raises(ExpressionError) as caught:
        compile_expression(source, known, scope)
    error = caught.value
    first = error.message.splitlines()[0]
    return f"{error.line}:{error.column} {error.reason}: {first}"


@pytest.mark.parametrize(
    "rule",
    [
        'customer.age >= 55 && customer.balance >= 2000.0 && customer.housing == "no"',
        'segment("mature-savers") && !segment("other/in-default")',
        'customer.housing in ["yes", "no"]',
        "has(customer.since) && customer.since < timestamp('2020-01-01T00:00:00Z')",
        'customer.since.getFullYear("Europe/Lisbon") == 2020',
        "customer.vip ? customer.age > 3 : customer.age / 2 % 7 == 1",
        'customer.housing.lowerAscii().startsWith("y") || customer.housing.matches("^n.*")',
        "double(customer.age) * 1.5 < customer.balance",
        "size(customer.housing) == 2 && int(customer.balance) > 1",
        "timestamp('2020-01-01T00:00:00Z') - customer.since > duration('24h')",
        "customer.age > // a remark\n 3",
        "true",
    ],
)
def test_rules_over_customers_compile(rule: str) -> None:
    assert compile_expression(rule, CUSTOMERS, Scope.CUSTOMER)


@pytest.mark.parametrize(
    "condition",
    [
        'context.page == "accounts"',
        "has(context.amount) && context.amount > 100",
        "context.items[0].price >= 2.5",
        '"vip" in context.tags',
        'context["x-y"] == 1',
        "context.flag",
        'context.page == "a" && segment("b") && customer.age > 3',
        "context.note == null",
    ],
)
def test_conditions_over_the_request_compile(condition: str) -> None:
    assert compile_expression(condition, CUSTOMERS, Scope.REQUEST)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (
            "customer.balance > 2000",
            "1:18 TypeError: customer.balance is a double: write 2000.0",
        ),
        ("customer.age > 3.0", "1:14 TypeError: customer.age is an int: write 3"),
        (
            "customer.age > 3.5",
            "1:14 TypeError: customer.age is an int: write double(customer.age)",
        ),
        (
            "customer.age > customer.balance",
            "1:14 TypeError: customer.age is an int, customer.balance is a double: "
            "write double(customer.age)",
        ),
        (
            "customer.agee > 3",
            "1:9 UnknownAttribute: customers have no attribute 'agee'; did you mean customer.age?",
        ),
        (
            "true &&\n  has(customer.agge)",
            "2:6 UnknownAttribute: customers have no attribute 'agge'; did you mean customer.age?",
        ),
        ("age > 3", "1:1 UnknownAttribute: 'age' is not known; did you mean customer.age?"),
        (
            "customer.housing == true",
            '1:18 TypeError: customer.housing is a string: compare with a text, such as "yes"',
        ),
        (
            "customer.housing",
            "1:9 TypeError: the expression is a string, but it must be true or false",
        ),
        ("customer.age = 3", "1:14 SyntaxError: a comparison is written ==, not ="),
        ('customer.housing == "x', "1:21 SyntaxError: a text in quotes is not closed"),
        ("(true", "1:6 SyntaxError: the expression ends where ')' is missing"),
        ("", "1:1 SyntaxError: the expression is empty"),
        ("\n ", "1:1 SyntaxError: the expression is empty"),
        (
            'context.page == "x"',
            "1:1 TypeError: a rule or an audience knows the customer only: "
            "conditions on `context` belong in `when`",
        ),
        (
            "[1, 2].exists(x, x > 1)",
            "1:14 NotSupportedYet: all(), exists(), filter() and map() cannot be used in rules yet",
        ),
        (
            'segment("a" + "b")',
            '1:13 TypeError: segment() takes a name in quotes, as in segment("savers")',
        ),
        (
            'customer["age"] > 3',
            "1:9 TypeError: write the column after a dot, as in customer.age",
        ),
        (
            "customer == customer",
            "1:1 TypeError: `customer` alone is no value: name a column, as in customer.age",
        ),
        (
            'customer.housing.matches("(")',
            "1:26 InvalidSpec: not an RE2 pattern: missing ): (",
        ),
        (
            'customer.since < timestamp("2020-02-30T00:00:00Z")',
            "1:28 InvalidSpec: not a timestamp: day is out of range for month",
        ),
        (
            "string(customer.balance) == '1'",
            "1:7 NotSupportedYet: string() of a double (its digits differ between "
            "implementations) cannot be used in rules yet",
        ),
        ("99999999999999999999 > 1", "1:1 InvalidSpec: the number does not fit into 64 bits"),
    ],
)
def test_a_refusal_says_where_and_what_to_write(source: str, said: str) -> None:
    assert refusal(source) == said


def test_the_message_points_at_the_place() -> None:
    with pytest.raises(ExpressionError) as caught:
        compile_expression("true &&\n  customer.agee > 3", CUSTOMERS, Scope.CUSTOMER)
    assert caught.value.message.splitlines()[1:] == [
        "    customer.agee > 3",
        "            ^",
    ]


@pytest.mark.parametrize(
    "source",
    [
        "(" * 200 + "true" + ")" * 200,
        "1+" * 1500 + "1 > 1",
        "context" + ".a" * 1500 + " == 1",
        "true?true:" * 300 + "true",
        "a" * (MAX_LENGTH + 1),
        "[" * 1000 + "]" * 1000,
    ],
)
def test_what_is_too_deep_or_too_long_is_refused(source: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        compile_expression(source, CUSTOMERS, Scope.REQUEST)
    assert caught.value.reason in (Reason.TOO_COMPLEX, Reason.SYNTAX_ERROR)


def test_long_chains_of_and_are_no_problem() -> None:
    source = " && ".join(["customer.age > 3"] * 200)
    assert len(compile_expression(source, CUSTOMERS, Scope.CUSTOMER)) == 201


def test_a_schema_without_attributes_says_so() -> None:
    assert "the engine declares none" in refusal("customer.age > 3", known=Schema())


_FRAGMENTS = [
    *"()[]{}<>=!&|?:.,+-*/%'\"\\\n `$",
    *("customer.age", "customer", "context", "context.a", "segment", '"x"', "1", "1.5", "1u"),
    *("&&", "||", "==", "in", "has(", "true", "null", "timestamp(", ".matches(", "r'''", "b'"),
    *("x", "é", "😀", "\ud800", "\x00", "9" * 30, "1e999", "duration(", "[1].all(x,", "?."),
]


@settings(max_examples=600, deadline=None)
@given(st.one_of(st.text(max_size=60), st.lists(st.sampled_from(_FRAGMENTS)).map("".join)))
def test_any_source_compiles_or_is_refused(source: str) -> None:
    for scope in Scope:
        try:
            compile_expression(source, CUSTOMERS, scope)
        except ExpressionError as refused:
            place = refused.line, refused.column
            assert min(place) >= 1, place
