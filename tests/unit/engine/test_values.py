"""What a text in a CSV file is taken for, and what it becomes."""

from __future__ import annotations

import pytest

from wayfare_engine.customers.values import Unfit, from_native, from_text, looks_like, widest
from wayfare_engine.plan import AttributeType as T


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("0", T.INT),
        ("-17", T.INT),
        ("9223372036854775807", T.INT),
        ("9223372036854775808", T.STRING),
        ("007", T.STRING),  # an account number, not seven
        ("1.5", T.DOUBLE),
        ("1e3", T.DOUBLE),
        ("1e999", T.STRING),
        ("nan", T.STRING),
        ("inf", T.STRING),
        ("true", T.BOOL),
        ("yes", T.STRING),
        ("2026-11-23", T.TIMESTAMP),
        ("2026-11-23T09:30:00Z", T.TIMESTAMP),
        ("2026-11-23 09:30:00.5+02:00", T.TIMESTAMP),
        ("2026-13-01", T.STRING),
        ("٣", T.STRING),
        ("", T.STRING),
    ],
)
def test_a_text_looks_like(text: str, kind: T) -> None:
    assert looks_like(text) == kind


def test_ints_and_doubles_are_doubles_and_anything_else_mixed_is_text() -> None:
    assert widest(T.INT, T.DOUBLE) == T.DOUBLE
    assert widest(T.INT, T.BOOL) == T.STRING
    assert widest(None, T.INT) == T.INT


@pytest.mark.parametrize("kind", list(T))
def test_an_empty_field_is_unknown(kind: T) -> None:
    assert from_text(kind)("") is None
    assert from_native(kind)(None) is None


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (T.INT, "007", 7),
        (T.DOUBLE, "3", 3.0),
        (T.BOOL, "TRUE", True),
        (T.TIMESTAMP, "2026-11-23T09:30:00+02:00", "2026-11-23T07:30:00Z"),
        (T.STRING, " x ", " x "),
    ],
)
def test_a_text_becomes(kind: T, text: str, value: object) -> None:
    assert from_text(kind)(text) == value


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (T.INT, "1.0"),
        (T.INT, "9223372036854775808"),
        (T.DOUBLE, "nan"),
        (T.BOOL, "yes"),
        (T.TIMESTAMP, "yesterday"),
        (T.STRING, "a\0b"),
    ],
)
def test_a_text_that_does_not_fit_says_what_would(kind: T, text: str) -> None:
    with pytest.raises(Unfit, match=r"a |true"):
        from_text(kind)(text)
