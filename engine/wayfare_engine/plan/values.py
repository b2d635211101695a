"""CEL's operations on values: strict about types, exact about integers.

Values are Python's: bool, int (64-bit), float, str, None, list, dict, datetime (UTC) and timedelta.
Anything that CEL calls an error raises EvaluationError. Source: the CEL language definition,
"Standard Definitions"; integers are told from doubles as JSON writes them.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from wayfare_engine.plan import times

INT_MIN, INT_MAX = -(2**63), 2**63 - 1
_INT = re.compile(r"[+-]?[0-9]+\Z")
_DOUBLE = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?\Z")
_TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True"})
_FALSE = frozenset({"0", "f", "F", "false", "FALSE", "False"})


class EvaluationError(Exception):
    """What CEL calls an error; `&&` and `||` may absorb it."""


_NAMES: dict[type, str] = {
    bool: "bool",
    int: "int",
    float: "double",
    str: "string",
    type(None): "null",
    list: "list",
    tuple: "list",
    dict: "map",
    datetime: "timestamp",
    timedelta: "duration",
}


def name_of(value: Any) -> str:
    """The CEL name of a value's type."""
    return _NAMES.get(type(value), type(value).__name__)


def no_overload(what: str, *values: Any) -> EvaluationError:
    """The error for an operation that these types do not have."""
    return EvaluationError(f"{what} is not defined for {', '.join(map(name_of, values))}")


# -- equality and order ---------------------------------------------------------------------------


def equal(a: Any, b: Any) -> bool:
    """CEL's `==`: numbers compare as numbers, other types with themselves, else it is false."""
    kind, other = type(a), type(b)
    if kind is other and kind is not list and kind is not dict:
        return bool(a == b)
    if kind in (int, float) and other in (int, float):
        return bool(a == b)
    try:
        if kind in (list, tuple) and other in (list, tuple):
            return len(a) == len(b) and all(map(equal, a, b))
        if kind is dict and other is dict:
            return len(a) == len(b) and all(k in b and equal(v, b[k]) for k, v in a.items())
    except RecursionError:
        raise EvaluationError("the values are nested too deeply to compare") from None
    return False


def is_in(item: Any, container: Any) -> bool:
    """CEL's `in`, of a list's items or a map's keys."""
    if isinstance(container, (list, tuple)):
        return any(equal(item, one) for one in container)
    if isinstance(container, dict):
        return type(item) is str and item in container
    raise no_overload("in", item, container)


_ORDERED = (str, bool, datetime, timedelta)


def _comparable(a: Any, b: Any) -> bool:
    kind, other = type(a), type(b)
    if kind in (int, float):
        return other in (int, float)
    return kind is other and kind in _ORDERED


def comparison(symbol: str, compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    """An order relation that raises for types that have no order between them."""

    def apply(a: Any, b: Any) -> bool:
        if not _comparable(a, b):
            raise no_overload(symbol, a, b)
        return compare(a, b)

    return apply


# -- arithmetic -----------------------------------------------------------------------------------


def _checked(value: int) -> int:
    if INT_MIN <= value <= INT_MAX:
        return value
    raise EvaluationError("integer overflow")


def _moment(value: Any) -> Any:
    if isinstance(value, datetime) and not times.EARLIEST <= value <= times.LATEST:
        raise EvaluationError("timestamp out of range")
    return value


def add(a: Any, b: Any) -> Any:
    """CEL's `+`."""
    kinds = (type(a), type(b))
    if kinds == (int, int):
        return _checked(a + b)
    if kinds in ((float, float), (str, str)):
        return a + b
    if kinds in ((datetime, timedelta), (timedelta, datetime), (timedelta, timedelta)):
        try:
            return _moment(a + b)
        except OverflowError:
            raise EvaluationError("timestamp out of range") from None
    if type(a) in (list, tuple) and type(b) in (list, tuple):
        return [*a, *b]
    raise no_overload("+", a, b)


def subtract(a: Any, b: Any) -> Any:
    """CEL's binary `-`."""
    kinds = (type(a), type(b))
    if kinds == (int, int):
        return _checked(a - b)
    if kinds == (float, float):
        return a - b
    if kinds in ((datetime, datetime), (datetime, timedelta), (timedelta, timedelta)):
        try:
            return _moment(a - b)
        except OverflowError:
            raise EvaluationError("timestamp out of range") from None
    raise no_overload("-", a, b)


def multiply(a: Any, b: Any) -> Any:
    """CEL's `*`."""
    if type(a) is int and type(b) is int:
        return _checked(a * b)
    if type(a) is float and type(b) is float:
        return a * b
    raise no_overload("*", a, b)


def divide(a: Any, b: Any) -> Any:
    """CEL's `/`: integers truncate towards zero, doubles follow IEEE 754."""
    if type(a) is int and type(b) is int:
        if b == 0:
            raise EvaluationError("division by zero")
        quotient = abs(a) // abs(b)
        return _checked(quotient if (a < 0) == (b < 0) else -quotient)
    if type(a) is float and type(b) is float:
        if b == 0.0:
            if a == 0.0 or math.isnan(a):
                return math.nan
            return math.copysign(math.inf, a) * math.copysign(1.0, b)
        return a / b
    raise no_overload("/", a, b)


def modulo(a: Any, b: Any) -> int:
    """CEL's `%`: the sign of the dividend."""
    if type(a) is int and type(b) is int:
        if b == 0:
            raise EvaluationError("modulus by zero")
        if a == INT_MIN and b == -1:
            raise EvaluationError("integer overflow")
        rest = abs(a) % abs(b)
        return -rest if a < 0 else rest
    raise no_overload("%", a, b)


def negate(a: Any) -> Any:
    """CEL's unary `-`."""
    if type(a) is int:
        return _checked(-a)
    if type(a) is float:
        return -a
    raise no_overload("-", a)


# -- conversions ----------------------------------------------------------------------------------


def to_int(value: Any) -> int:
    """`int(x)`: doubles truncate, strings are decimal, timestamps are seconds since 1970."""
    kind = type(value)
    if kind is int:
        return _checked(value)
    if kind is float:
        if math.isfinite(value) and -(2.0**63) < value < 2.0**63:
            return int(value)
        raise EvaluationError("integer overflow")
    if kind is str and _INT.match(value):
        return _checked(int(value)) if len(value) < 64 else _checked(INT_MAX + 1)
    if kind is datetime:
        return times.epoch_microseconds(value) // 1_000_000
    raise no_overload("int()", value) if kind is not str else EvaluationError("not an integer")


def to_double(value: Any) -> float:
    """`double(x)`."""
    kind = type(value)
    if kind is float:
        return float(value)
    if kind is int:
        return float(_checked(value))
    if kind is str:
        if _DOUBLE.match(value):
            return float(value)
        raise EvaluationError("not a number")
    raise no_overload("double()", value)


def to_string(value: Any) -> str:
    """`string(x)` of a string, int, bool or timestamp."""
    kind = type(value)
    if kind is str:
        return str(value)
    if kind is bool:
        return "true" if value else "false"
    if kind is int:
        return str(_checked(value))
    if kind is datetime:
        return times.text(value)
    raise no_overload("string()", value)


def to_bool(value: Any) -> bool:
    """`bool(x)` of a bool or of the words that CEL takes."""
    if type(value) is bool:
        return value
    if type(value) is str:
        if value in _TRUE:
            return True
        if value in _FALSE:
            return False
        raise EvaluationError("not a bool")
    raise no_overload("bool()", value)


def to_timestamp(value: Any) -> datetime:
    """`timestamp(x)` of an RFC 3339 text, of seconds since 1970, or of a timestamp."""
    try:
        if type(value) is str:
            return times.parse(value)
        if type(value) is int:
            return times.from_epoch_microseconds(value * 1_000_000)
    except ValueError as error:
        raise EvaluationError(str(error)) from None
    if type(value) is datetime:
        return value
    raise no_overload("timestamp()", value)


def to_duration(value: Any) -> timedelta:
    """`duration(x)` of a text such as `1h30m`."""
    try:
        if type(value) is str:
            return times.parse_duration(value)
    except ValueError as error:
        raise EvaluationError(str(error)) from None
    if type(value) is timedelta:
        return value
    raise no_overload("duration()", value)


COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "lt": comparison("<", operator.lt),
    "le": comparison("<=", operator.le),
    "gt": comparison(">", operator.gt),
    "ge": comparison(">=", operator.ge),
}

BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "eq": equal,
    "ne": lambda a, b: not equal(a, b),
    "in": is_in,
    "add": add,
    "sub": subtract,
    "mul": multiply,
    "div": divide,
    "mod": modulo,
    **COMPARISONS,
}
