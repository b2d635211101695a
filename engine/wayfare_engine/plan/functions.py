"""CEL's named functions."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import re2

from wayfare_engine.plan import times
from wayfare_engine.plan.values import (
    EvaluationError,
    no_overload,
    to_bool,
    to_double,
    to_duration,
    to_int,
    to_string,
    to_timestamp,
)

MAX_TEXT = 1 << 20
"""Code points that replace() may make."""

_LOWER = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}
_UPPER = {code: code - 32 for code in range(ord("a"), ord("z") + 1)}
# Unicode's White_Space property, as the CEL strings extension trims it.
_SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009"
_SPACE += "\u200a\u2028\u2029\u202f\u205f\u3000"


@lru_cache(maxsize=4096)
def pattern(source: str) -> Any:
    """A compiled RE2 pattern; raises EvaluationError."""
    options = re2.Options()
    options.log_errors = False
    options.max_mem = 1 << 20
    try:
        return re2.compile(source, options)
    except re2.error as error:
        detail = error.args[0] if error.args else ""
        text = detail.decode(errors="replace") if isinstance(detail, bytes) else str(detail)
        raise EvaluationError(f"not an RE2 pattern: {text}") from None


def _strings(what: str, apply: Callable[..., Any]) -> Callable[..., Any]:
    def checked(*values: Any) -> Any:
        if all(type(value) is str for value in values):
            return apply(*values)
        raise no_overload(what, *values)

    return checked


def size(value: Any) -> int:
    """`size(x)`: code points of a string, items of a list, entries of a map."""
    if isinstance(value, (str, list, tuple, dict)):
        return len(value)
    raise no_overload("size()", value)


def substring(text: Any, start: Any, end: Any = None) -> str:
    """`x.substring(start, end?)`; positions outside of the text are errors."""
    if type(text) is not str or type(start) is not int or type(end) not in (int, type(None)):
        raise no_overload("substring()", text, start)
    stop = len(text) if end is None else end
    if not 0 <= start <= stop <= len(text):
        raise EvaluationError("substring() is out of range")
    return text[start:stop]


def char_at(text: Any, index: Any) -> str:
    """`x.charAt(i)`: empty just after the end, an error beyond."""
    if type(text) is not str or type(index) is not int:
        raise no_overload("charAt()", text, index)
    if not 0 <= index <= len(text):
        raise EvaluationError("charAt() is out of range")
    return text[index : index + 1]


def _replace(text: str, old: str, new: str) -> str:
    if len(text) + (text.count(old) if old else len(text) + 1) * len(new) > MAX_TEXT:
        raise EvaluationError("replace() would make too long a text")
    return text.replace(old, new)


def _matches(text: str, source: str) -> bool:
    return pattern(source).search(text) is not None


def _getter(name: str) -> Callable[..., int]:
    get = times.getter(name)

    def apply(*values: Any) -> int:
        try:
            return get(*values)
        except ValueError as error:
            raise EvaluationError(str(error)) from None
        except TypeError:
            raise no_overload(f"{name}()", *values) from None

    return apply


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "size": size,
    "startsWith": _strings("startsWith()", str.startswith),
    "endsWith": _strings("endsWith()", str.endswith),
    "contains": _strings("contains()", lambda text, part: part in text),
    "matches": _strings("matches()", _matches),
    "lowerAscii": _strings("lowerAscii()", lambda text: text.translate(_LOWER)),
    "upperAscii": _strings("upperAscii()", lambda text: text.translate(_UPPER)),
    "trim": _strings("trim()", lambda text: text.strip(_SPACE)),
    "indexOf": _strings("indexOf()", str.find),
    "lastIndexOf": _strings("lastIndexOf()", str.rfind),
    "replace": _strings("replace()", _replace),
    "substring": substring,
    "charAt": char_at,
    "int": to_int,
    "double": to_double,
    "string": to_string,
    "bool": to_bool,
    "timestamp": to_timestamp,
    "duration": to_duration,
    **{name: _getter(name) for name in times.GETTERS},
}
