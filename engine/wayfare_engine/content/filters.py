"""The filters and tests that templates have: those of Jinja that cannot leave the values, each paid
for from the rendering's budget, and two of our own for dates and amounts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from jinja2 import Environment, Undefined, filters, pass_context
from jinja2.runtime import Context
from markupsafe import Markup, escape, soft_str

from wayfare_engine.content.sandbox import RenderProblem, budget_of

#: Jinja's own, by what it calls them.
TESTS: Final = (
    *("defined", "undefined", "none", "number", "string", "boolean", "sequence", "mapping"),
    *("even", "odd", "in", "true", "false"),
)
#: The filter that a loop's list goes through, with the nodes of its body: no name to be written.
ROUNDS: Final = "~rounds"
JOINED: Final = "~joined"


def _size(value: Any) -> int:
    return len(value) if isinstance(value, str | list | tuple | dict) else 0


def _told(value: Any) -> None:
    """Raise for what has no value."""
    if isinstance(value, Undefined):
        str(value)


def _paid(function: Callable[..., Any], *, before: str = "") -> Callable[..., Any]:
    """The filter, paid for; `before` is what Jinja's own takes first."""

    @pass_context
    def run(context: Context, value: Any, *args: Any, **named: Any) -> Any:
        _told(value)
        for given in (*args, *named.values()):
            _told(given)
        budget = budget_of(context)
        budget.spend(1 + sum(map(_size, args)) // 16, _size(value))
        first = {"environment": context.environment, "eval_ctx": context.eval_ctx}.get(before)
        found = function(*(() if first is None else (first,)), value, *args, **named)
        budget.spend(0, _size(found))
        return found

    return run


@pass_context
def _default(context: Context, value: Any, other: Any = "", boolean: bool = False) -> Any:
    budget_of(context).spend(1)
    if isinstance(value, Undefined) or (boolean and not value):
        return other
    return value


@pass_context
def _replace(context: Context, value: Any, old: Any, new: Any) -> Any:
    for given in (value, old, new):
        _told(given)
    text, old, new = soft_str(value), str(old), soft_str(new)
    most = len(text) + text.count(old) * (len(new) * 6)  # escaped, a character may be six
    budget_of(context).spend(1, most)
    if context.eval_ctx.autoescape:
        text = escape(text)
    return text.replace(old, new)


@pass_context
def _join(context: Context, value: Any, between: Any = "") -> Any:
    _told(value)
    _told(between)
    if not isinstance(value, list | tuple):
        raise RenderProblem("join takes a list")
    html = context.eval_ctx.autoescape
    parts = [escape(one) if html else soft_str(one) for one in value]
    joint = escape(between) if html else soft_str(between)
    budget_of(context).spend(1 + len(parts), sum(map(len, parts)) + len(parts) * len(joint))
    return joint.join(parts)


@pass_context
def _rounds(context: Context, value: Any, body: int) -> Iterator[Any]:
    _told(value)
    if not isinstance(value, list | tuple):
        raise RenderProblem("a loop goes through a list")
    return _each(context, list(value), body)


def _each(context: Context, values: list[Any], body: int) -> Iterator[Any]:
    budget = budget_of(context)
    for one in values:
        budget.spend(1 + body)
        yield one


@pass_context
def _joined(context: Context, value: str) -> str:
    budget_of(context).spend(1, len(value))
    return value


def _date(value: Any, form: str = "%Y-%m-%d", zone: str = "UTC") -> str:
    """A time, or an RFC 3339 text, as `strftime` writes it in a zone."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise RenderProblem("date takes a time, such as 2026-05-01T10:00:00Z") from None
    if not isinstance(value, datetime):
        raise RenderProblem("date takes a time")
    if value.tzinfo is not None:
        try:
            value = value.astimezone(ZoneInfo(str(zone)))
        except (KeyError, ValueError, OSError, OverflowError):
            raise RenderProblem(f"date: {str(zone)[:60]!r} is no time zone") from None
    if len(form) > 100:
        raise RenderProblem("date: the form is longer than 100 characters")
    return str(value.strftime(form))


def _amount(value: Any, digits: int = 2, thousands: str = "", point: str = ".") -> str:
    """A number with so many digits behind the point."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RenderProblem("amount takes a number")
    if not isinstance(digits, int) or not 0 <= digits <= 9:
        raise RenderProblem("amount: 0 to 9 digits")
    whole, _, rest = f"{value:,.{digits}f}".partition(".")
    return whole.replace(",", str(thousands)[:3]) + (str(point)[:3] + rest if rest else "")


def _round(value: Any, digits: int = 0) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RenderProblem("round takes a number")
    if not isinstance(digits, int) or not 0 <= digits <= 9:
        raise RenderProblem("round: 0 to 9 digits")
    return round(value, digits) if digits else round(value)


def _int(value: Any, otherwise: int = 0) -> int:
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        return otherwise


def _length(value: Any) -> int:
    return len(value)


def _end(place: int, name: str) -> Callable[..., Any]:
    def run(environment: Environment, value: Any) -> Any:
        if not isinstance(value, list | tuple | str):
            raise RenderProblem(f"{name} takes a list or a text")
        if not value:
            return environment.undefined(hint=f"{name} of what is empty has no value")
        return value[place]

    return run


def _urlencode(value: Any) -> str:
    return filters.do_urlencode(soft_str(value))


def _truncate(environment: Environment, value: Any, length: int = 255, end: str = "…") -> str:
    return filters.do_truncate(environment, soft_str(value), length, False, end, 0)


def _trim(value: Any, characters: str | None = None) -> str:
    return soft_str(value).strip(characters)


def _escape(value: Any) -> Markup:
    return escape(value)


FILTERS: Final[dict[str, Callable[..., Any]]] = {
    "abs": _paid(abs),
    "amount": _paid(_amount),
    "capitalize": _paid(filters.do_capitalize),
    "d": _default,
    "date": _paid(_date),
    "default": _default,
    "e": _paid(_escape),
    "escape": _paid(_escape),
    "first": _paid(_end(0, "first"), before="environment"),
    "float": _paid(filters.do_float),
    "int": _paid(_int),
    "join": _join,
    "last": _paid(_end(-1, "last"), before="environment"),
    "length": _paid(_length),
    "lower": _paid(filters.do_lower),
    "replace": _replace,
    "round": _paid(_round),
    "title": _paid(filters.do_title),
    "trim": _paid(_trim),
    "truncate": _paid(_truncate, before="environment"),
    "upper": _paid(filters.do_upper),
    "urlencode": _paid(_urlencode),
    ROUNDS: _rounds,
    JOINED: _joined,
}
#: Those that people write.
NAMES: Final = tuple(sorted(name for name in FILTERS if not name.startswith("~")))
