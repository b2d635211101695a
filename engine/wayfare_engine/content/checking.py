"""What is looked at before a template is compiled: every node of it, against a list of what may
stand there. What is not on the list is refused, so that nothing new in Jinja gets in unseen."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from jinja2 import nodes

from wayfare_engine.content import filters
from wayfare_engine.content.sandbox import LOOP_FIELDS
from wayfare_engine.resources import Reason

#: Of one template.
MOST_NODES: Final = 5_000
DEEPEST: Final = 40
MOST_LOOPS_INSIDE: Final = 3
MOST_JOINED: Final = 32
ROOTS: Final = ("customer", "content")

_ALLOWED: Final = (
    *(nodes.Output, nodes.TemplateData, nodes.If, nodes.For, nodes.Name, nodes.Const),
    *(nodes.Getattr, nodes.Getitem, nodes.Slice, nodes.Filter, nodes.Test, nodes.Compare),
    *(nodes.Operand, nodes.And, nodes.Or, nodes.Not, nodes.CondExpr, nodes.Concat, nodes.Add),
    *(nodes.Sub, nodes.Mul, nodes.Div, nodes.FloorDiv, nodes.Mod, nodes.Neg, nodes.Pos),
    *(nodes.List, nodes.Keyword),
)
_IN_WORDS: Final[dict[type[nodes.Node], str]] = {
    nodes.Call: "a call: templates have no functions, use a filter",
    nodes.Assign: "set: write the expression where it is used",
    nodes.AssignBlock: "set: write the expression where it is used",
    nodes.Include: "include: a template stands alone",
    nodes.Import: "import: a template stands alone",
    nodes.FromImport: "import: a template stands alone",
    nodes.Extends: "extends: a template stands alone",
    nodes.Block: "block: a template stands alone",
    nodes.Macro: "macro: templates have no functions",
    nodes.CallBlock: "call: templates have no functions",
    nodes.Pow: "**: multiply instead",
    nodes.Dict: "an object",
    nodes.Tuple: "a tuple: write a list, in [ ]",
    nodes.With: "with: write the expression where it is used",
    nodes.FilterBlock: "filter: apply it to a value, with |",
}


@dataclass(frozen=True)
class Refusal:
    """One thing that may not stand where it does. `near` matches it in its line."""

    line: int
    near: str
    reason: Reason
    message: str


@dataclass
class Found:
    """What a walk found: refusals, and the names that the template uses."""

    refusals: list[Refusal] = field(default_factory=list)
    customer: dict[str, int] = field(default_factory=dict)
    content: dict[str, int] = field(default_factory=dict)
    nodes: int = 0


def check(tree: nodes.Template) -> Found:
    """Walk the tree, and make it what is compiled: loops and joined texts are paid for. Raises
    RecursionError for one that is nested too deeply to be walked."""
    return _Walk().over(tree)


class _Walk:
    def __init__(self) -> None:
        self._found = Found()

    def over(self, tree: nodes.Template) -> Found:
        tree.body = [self._statement(node, frozenset(), 0, 0) for node in tree.body]
        return self._found

    def _refuse(
        self, node: nodes.Node, near: str, message: str, reason: Reason = Reason.TEMPLATE_INVALID
    ) -> None:
        self._found.refusals.append(Refusal(node.lineno, near, reason, message))

    def _statement(
        self, node: nodes.Node, names: frozenset[str], depth: int, loops: int
    ) -> nodes.Node:
        self._count(node, depth)
        if isinstance(node, nodes.For):
            return self._loop(node, names, depth, loops)
        if isinstance(node, nodes.If):
            node.test = self._expression(node.test, names, depth + 1)
            node.body = [self._statement(n, names, depth + 1, loops) for n in node.body]
            # An elif is beside its if, and not inside of it.
            for one in node.elif_:
                self._statement(one, names, depth, loops)
            node.else_ = [self._statement(n, names, depth + 1, loops) for n in node.else_]
            return node
        if isinstance(node, nodes.Output):
            node.nodes = [self._expression(n, names, depth + 1) for n in node.nodes]
            return node
        if type(node) not in _ALLOWED:
            self._refuse_kind(node)
        return node

    def _loop(self, node: nodes.For, names: frozenset[str], depth: int, loops: int) -> nodes.Node:
        if node.recursive:
            self._refuse(node, r"recursive", "a loop cannot be recursive")
        if loops >= MOST_LOOPS_INSIDE:
            self._refuse(node, r"for\b", f"more than {MOST_LOOPS_INSIDE} loops inside each other")
        if not isinstance(node.target, nodes.Name):
            self._refuse(node, r"for\b", "a loop has one name: for NAME in LIST")
            return node
        target = node.target.name
        if target in (*ROOTS, "loop"):
            self._refuse(node, rf"\b{target}\b", f"a loop cannot call its values {target!r}")
        inside = names | {target, "loop"}
        over = self._expression(node.iter, names, depth + 1)
        before = self._found.nodes
        if node.test is not None:
            node.test = self._expression(node.test, inside - {"loop"}, depth + 1)
        node.body = [self._statement(n, inside, depth + 1, loops + 1) for n in node.body]
        body = self._found.nodes - before
        node.else_ = [self._statement(n, names, depth + 1, loops) for n in node.else_]
        node.iter = _filtered(over, filters.ROUNDS, nodes.Const(body))
        return node

    def _expression(self, node: nodes.Node, names: frozenset[str], depth: int) -> nodes.Expr:
        assert isinstance(node, nodes.Expr)
        self._count(node, depth)
        if isinstance(node, nodes.Name):
            self._name(node, names)
            return node
        if isinstance(node, nodes.Getattr | nodes.Getitem):
            return self._lookup(node, names, depth)
        if type(node) not in _ALLOWED:
            self._refuse_kind(node)
            return node
        if isinstance(node, nodes.Filter | nodes.Test):
            self._known(node)
        for name, value in list(node.iter_fields()):
            if isinstance(value, nodes.Expr):
                setattr(node, name, self._expression(value, names, depth + 1))
            elif isinstance(value, list):
                setattr(node, name, [self._part(one, names, depth + 1) for one in value])
        if isinstance(node, nodes.Concat):
            if len(node.nodes) > MOST_JOINED:
                self._refuse(node, r"~", f"more than {MOST_JOINED} values are joined with ~")
            return _filtered(node, filters.JOINED)
        return node

    def _part(self, node: nodes.Node, names: frozenset[str], depth: int) -> nodes.Node:
        if isinstance(node, nodes.Keyword):
            node.value = self._expression(node.value, names, depth)
        elif isinstance(node, nodes.Operand):
            node.expr = self._expression(node.expr, names, depth)
        elif isinstance(node, nodes.Expr):
            return self._expression(node, names, depth)
        else:
            self._refuse_kind(node)
        return node

    def _known(self, node: nodes.Filter | nodes.Test) -> None:
        what, known = (
            ("filter", filters.NAMES) if isinstance(node, nodes.Filter) else ("test", filters.TESTS)
        )
        if node.name not in known or node.node is None:
            message = f"there is no {what} {node.name!r}; there are: {', '.join(sorted(known))}"
            self._refuse(node, rf"\b{re.escape(node.name)}\b", message)
        if node.dyn_args is not None or node.dyn_kwargs is not None:
            self._refuse(node, r"\*", "arguments are written one by one")

    def _name(self, node: nodes.Name, names: frozenset[str]) -> None:
        if node.name == "loop" and "loop" in names:
            self._refuse(node, r"\bloop\b", "loop is used by its fields, such as loop.index")
        elif node.name in ROOTS:
            self._refuse(
                node,
                rf"\b{node.name}\b",
                f"{node.name} is used by its values, written {node.name}.NAME",
            )
        elif node.name not in names:
            self._refuse(
                node,
                rf"\b{re.escape(node.name)}\b",
                f"there is no {node.name!r}: write customer.NAME for an attribute of the customer, "
                "or content.NAME for what the journey gives",
            )

    def _lookup(
        self, node: nodes.Getattr | nodes.Getitem, names: frozenset[str], depth: int
    ) -> nodes.Expr:
        key = _key(node)
        if isinstance(node.node, nodes.Name) and node.node.name in ROOTS:
            root = node.node.name
            self._count(node.node, depth + 1)
            if not isinstance(key, str):
                self._refuse(node, rf"\b{root}\b", f"a value of {root} is named, as in {root}.NAME")
                return node
            used = self._found.customer if root == "customer" else self._found.content
            used.setdefault(key, node.lineno)
            return nodes.Getitem(node.node, nodes.Const(key), "load", lineno=node.lineno)
        if isinstance(node.node, nodes.Name) and node.node.name == "loop" and "loop" in names:
            if not isinstance(node, nodes.Getattr) or node.attr not in LOOP_FIELDS:
                fields = ", ".join(sorted(LOOP_FIELDS))
                self._refuse(node, r"\bloop\b", f"loop has these fields: {fields}")
            return node
        node.node = self._expression(node.node, names, depth + 1)
        if isinstance(node, nodes.Getitem):
            node.arg = self._expression(node.arg, names, depth + 1)
        return node

    def _refuse_kind(self, node: nodes.Node) -> None:
        word = _IN_WORDS.get(type(node), type(node).__name__.lower())
        self._refuse(node, r"\{[{%]", f"templates do not have {word}")

    def _count(self, node: nodes.Node, depth: int) -> None:
        self._found.nodes += 1
        if depth > DEEPEST:
            raise RecursionError
        if self._found.nodes == MOST_NODES + 1:
            self._refuse(node, "", f"the template has more than {MOST_NODES} elements")


def _key(node: nodes.Getattr | nodes.Getitem) -> object:
    if isinstance(node, nodes.Getattr):
        return node.attr
    return node.arg.value if isinstance(node.arg, nodes.Const) else None


def _filtered(node: nodes.Expr, name: str, *args: nodes.Expr) -> nodes.Filter:
    return nodes.Filter(node, name, list(args), [], None, None, lineno=node.lineno)


def lines_from(source: str, line: int) -> Iterator[tuple[int, str]]:
    """Numbered lines of the source from one on."""
    return ((i, text) for i, text in enumerate(source.split("\n"), 1) if i >= line)
