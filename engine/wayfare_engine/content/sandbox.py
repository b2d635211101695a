"""The Jinja environment of templates: no Python attribute, no call, and a bound on all work.

A template sees JSON values and numbers, and nothing else: `.` and `[]` look into objects and lists
only, never at a Python attribute. Each step that may repeat or grow (a round of a loop, a filter,
an operator) is paid for from a budget that belongs to one rendering.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from jinja2 import StrictUndefined, Undefined, pass_context
from jinja2.runtime import Context, LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment

from wayfare_engine.errors import SaidToPeople

#: Steps of one rendering: a step is a node of a loop's body, or 16 characters that a filter makes.
MOST_STEPS: Final = 200_000
#: Characters of a part, and of any text on the way to it.
MOST_CHARACTERS: Final = 256 * 1024
_CHARACTERS_IN_A_STEP: Final = 16
#: Numbers that a template calculates stay below.
_LARGEST: Final = 10**15
#: Where the budget stands among a rendering's variables: no name that a template can write.
BUDGET: Final = "~budget"
LOOP_FIELDS: Final = frozenset(
    {"index", "index0", "revindex", "revindex0", "first", "last", "length"}
)
OPERATORS: Final = frozenset({"+", "-", "*", "/", "//", "%"})


class RenderProblem(SaidToPeople):
    """A message that cannot be made for this customer; nothing was sent, for certain. The text
    names what is missing, and holds no value of the customer."""


class TooMuch(RenderProblem):
    """The template does more than a message may cost."""


class Budget:
    """The steps that one rendering has left."""

    def __init__(self, steps: int = MOST_STEPS) -> None:
        self.left = steps

    def spend(self, steps: int, characters: int = 0) -> None:
        """Pay, before the work where that is known; raises TooMuch."""
        if characters > MOST_CHARACTERS:
            raise TooMuch(f"a text in it is longer than {MOST_CHARACTERS} characters")
        self.left -= steps + characters // _CHARACTERS_IN_A_STEP
        if self.left < 0:
            raise TooMuch("it takes too many steps: loop over less")


def budget_of(context: Context) -> Budget:
    """The budget of the rendering."""
    found = context.parent[BUDGET]
    assert isinstance(found, Budget)
    return found


class Values(Mapping[str, Any]):
    """An object of the template's input, which knows the way to it. What is null has no value."""

    def __init__(self, path: str, values: Mapping[str, Any]) -> None:
        self.path = path
        self._values = values

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __str__(self) -> str:
        raise RenderProblem(f"{self.path} is an object: print one of its values")


class Environment(ImmutableSandboxedEnvironment):
    """See the module's text. Filters, tests and globals are set by `environment`."""

    intercepted_binops = OPERATORS

    def getattr(self, obj: Any, attribute: str) -> Any:
        """`.name`."""
        if isinstance(obj, LoopContext):
            if attribute not in LOOP_FIELDS:
                return self.undefined(hint=f"loop.{attribute} is nothing that a loop has")
            return getattr(obj, attribute)
        return self.getitem(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """`[name]` and `[number]`."""
        if isinstance(obj, Undefined):
            return obj[argument]  # which raises, and says what has no value
        found = None
        path = obj.path if isinstance(obj, Values) else ""
        if isinstance(obj, Mapping):
            found = obj.get(argument) if isinstance(argument, str) else None
        elif isinstance(obj, list | tuple | str) and type(argument) in (int, slice):
            try:
                found = obj[argument]
            except (IndexError, ValueError):
                found = None
        if found is None:
            named = f"{path}.{argument}" if path else f"[{argument!r:.40}]"
            return self.undefined(hint=f"{named} has no value")
        if isinstance(found, dict):
            return Values(f"{path}.{argument}" if path else str(argument), found)
        return found

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Numbers only: texts are joined with `~`, and never multiplied."""
        for side in (left, right):
            if isinstance(side, Undefined):
                str(side)  # which raises, and says what has no value
            if isinstance(side, bool) or not isinstance(side, int | float):
                raise RenderProblem(f"{operator} takes numbers; texts are joined with ~")
        budget_of(context).spend(1)
        if operator in ("/", "//", "%") and right == 0:
            raise RenderProblem(f"{operator} by zero")
        found = self.binop_table[operator](left, right)
        if not -_LARGEST < found < _LARGEST:
            raise RenderProblem(f"{operator} makes a number beyond {_LARGEST:.0e}")
        return found


@pass_context
def _printed(context: Context, value: Any) -> Any:
    """What `{{ }}` prints."""
    if isinstance(value, list | tuple | dict):
        raise RenderProblem("a list or an object is printed: print one of its values, or use join")
    if isinstance(value, bool):
        return "true" if value else "false"
    return value


def environment(*, html: bool) -> Environment:
    """One for parts that are HTML, where values are escaped, and one for those that are not."""
    from wayfare_engine.content.filters import FILTERS, TESTS

    made = Environment(
        autoescape=html,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        # Constant expressions would be worked out while compiling, before there is a budget.
        optimized=False,
        finalize=_printed,
        cache_size=0,
        extensions=(),
    )
    made.globals.clear()
    made.filters.clear()
    made.filters.update(FILTERS)
    made.tests = {name: made.tests[name] for name in TESTS}
    return made
