"""Compiling one template, and rendering it: pure, bounded, and with a place for what is wrong."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cache
from types import TracebackType
from typing import Any, Final

import jinja2
from jinja2 import TemplateSyntaxError, UndefinedError

from wayfare_engine.content.checking import Refusal, check, lines_from
from wayfare_engine.content.sandbox import (
    BUDGET,
    MOST_CHARACTERS,
    MOST_STEPS,
    Budget,
    Environment,
    RenderProblem,
    TooMuch,
    Values,
    environment,
)
from wayfare_engine.plan.problems import with_caret
from wayfare_engine.resources import Reason

#: Characters of a template's source.
MOST_SOURCE: Final = 64 * 1024
_ANY_TAG = re.compile(r"\{[{%#]")
_GOT = re.compile(r"(?:got|unexpected|tag|name|test|filter) '([^']+)'")


@dataclass(frozen=True)
class Variables:
    """What a template may name: the customers' attributes, and the keys of the content (None: any,
    because journeys give them)."""

    customer: Collection[str]
    content: Collection[str] | None = None


@dataclass(frozen=True)
class TemplateProblem:
    """One thing wrong. `line` and `column` count from 1, in characters."""

    line: int
    column: int
    reason: Reason
    message: str


class TemplateProblems(Exception):
    """A template that is refused, with all that is wrong in it."""

    def __init__(self, problems: tuple[TemplateProblem, ...]) -> None:
        self.problems = problems
        super().__init__(problems)


@dataclass(frozen=True)
class Template:
    """A compiled template. `customer` and `content` are the names of the values that it uses."""

    customer: frozenset[str]
    content: frozenset[str]
    _compiled: jinja2.Template = field(repr=False, compare=False)

    def render(
        self,
        customer: Mapping[str, Any],
        content: Mapping[str, Any],
        *,
        steps: int = MOST_STEPS,
    ) -> str:
        """The text for one customer. A value that is missing or None is no value.

        Raises RenderProblem, whose text holds no value.
        """
        budget = Budget(steps)
        context = self._compiled.new_context(
            {
                "customer": Values("customer", customer),
                "content": Values("content", content),
                BUDGET: budget,
            }
        )
        pieces: list[str] = []
        size = 0
        try:
            for piece in self._compiled.root_render_func(context):
                size += len(piece)
                budget.spend(0, len(piece))
                if size > MOST_CHARACTERS:
                    raise TooMuch(f"it is longer than {MOST_CHARACTERS} characters")
                pieces.append(piece)
        except RenderProblem as problem:
            raise type(problem)(f"line {self._line(problem.__traceback__)}: {problem}") from None
        except UndefinedError as error:
            raise RenderProblem(str(error)) from None
        except Exception as error:  # a type that does not fit; its text may hold a value
            where = self._line(error.__traceback__)
            raise RenderProblem(
                f"line {where}: a value does not fit what is done with it ({type(error).__name__})"
            ) from None
        return "".join(pieces)

    def _line(self, traceback: TracebackType | None) -> int:
        line = 1
        while traceback is not None:
            if traceback.tb_frame.f_code.co_filename == "<template>":
                line = self._compiled.get_corresponding_lineno(traceback.tb_lineno)
            traceback = traceback.tb_next
        return line


@dataclass(frozen=True)
class MessageTemplate:
    """The templates of a message's parts, by name; parts are rendered in their order."""

    parts: Mapping[str, Template]

    @property
    def customer(self) -> frozenset[str]:
        """The attributes that the parts use."""
        return frozenset().union(*(part.customer for part in self.parts.values()))

    @property
    def content(self) -> frozenset[str]:
        """The keys of the content that the parts use."""
        return frozenset().union(*(part.content for part in self.parts.values()))

    def render(self, customer: Mapping[str, Any], content: Mapping[str, Any]) -> dict[str, str]:
        """Every part's text. Raises RenderProblem, which names the part."""
        made = {}
        for name, part in self.parts.items():
            try:
                made[name] = part.render(customer, content)
            except RenderProblem as problem:
                raise type(problem)(f"{name}: {problem}") from None
        if sum(map(len, made.values())) > MOST_CHARACTERS:
            raise TooMuch(f"its parts are longer than {MOST_CHARACTERS} characters together")
        return made


@cache
def _environment(html: bool) -> Environment:
    return environment(html=html)


def compile_template(text: str, variables: Variables, *, html: bool = False) -> Template:
    """Compile. `html`: values are escaped as HTML. Raises TemplateProblems."""
    if len(text) > MOST_SOURCE:
        message = f"the template has {len(text)} characters, and may have at most {MOST_SOURCE}"
        raise TemplateProblems((TemplateProblem(1, 1, Reason.TEMPLATE_INVALID, message),))
    made = _environment(html)
    try:
        tree = made.parse(text)
        found = check(tree)
        refusals = [*found.refusals, *_unknown(found.customer, found.content, variables)]
        if not refusals:
            code = made.compile(tree)
    except TemplateSyntaxError as error:
        raise TemplateProblems((_syntax(text, error),)) from None
    except (RecursionError, MemoryError, SyntaxError):
        refusals = [Refusal(1, "", Reason.TEMPLATE_INVALID, "the template is nested too deeply")]
    except (ValueError, OverflowError):
        refusals = [Refusal(1, "", Reason.TEMPLATE_INVALID, "a number in it is too long")]
    if refusals:
        raise TemplateProblems(tuple(sorted({_placed(text, one) for one in refusals}, key=_order)))
    compiled = jinja2.Template.from_code(made, code, {}, None)
    return Template(frozenset(found.customer), frozenset(found.content), compiled)


def _unknown(
    customer: Mapping[str, int], content: Mapping[str, int], variables: Variables
) -> list[Refusal]:
    refusals = []
    known = variables.customer
    for name, line in customer.items():
        if name not in known:
            refusals.append(
                Refusal(
                    line,
                    _written("customer", name),
                    Reason.UNKNOWN_ATTRIBUTE,
                    f"customer.{name} is no attribute: {_listed(known)}",
                )
            )
    for name, line in content.items():
        if variables.content is not None and name not in variables.content:
            refusals.append(
                Refusal(
                    line,
                    _written("content", name),
                    Reason.TEMPLATE_INVALID,
                    f"content.{name} is nothing that is given: {_listed(variables.content)}",
                )
            )
    return refusals


def _listed(names: Collection[str]) -> str:
    return "there are " + ", ".join(sorted(names)[:40]) if names else "there are none"


def _written(root: str, name: str) -> str:
    name = re.escape(name)
    return rf"\b{root}\s*(?:\.\s*{name}\b|\[\s*(?:'{name}'|\"{name}\")\s*\])"


def _placed(text: str, refusal: Refusal) -> TemplateProblem:
    """Jinja tells lines only: the column is where it is written in that line or a later one."""
    line, column = refusal.line, 1
    wanted = re.compile(refusal.near) if refusal.near else _ANY_TAG
    for number, content in lines_from(text, refusal.line):
        match = wanted.search(content)
        if match:
            line, column = number, match.start() + 1
            break
        if number - refusal.line > 50:
            break
    message = with_caret(refusal.message, text, line, column)
    return TemplateProblem(line, column, refusal.reason, message)


def _syntax(text: str, error: TemplateSyntaxError) -> TemplateProblem:
    got = _GOT.search(error.message or "")
    near = re.escape(got[1]) if got else ""
    message = f"the template is not Jinja: {error.message}"
    lines = text.split("\n")
    line = min(max(error.lineno, 1), len(lines))
    found = re.search(near, lines[line - 1]) if near else None
    found = found or _ANY_TAG.search(lines[line - 1])
    column = found.start() + 1 if found else 1
    shown = with_caret(message, text, line, column)
    return TemplateProblem(line, column, Reason.TEMPLATE_INVALID, shown)


def _order(problem: TemplateProblem) -> tuple[int, int, str]:
    return problem.line, problem.column, problem.message
