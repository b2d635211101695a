"""Which candidates of a slot a row and a context admit: table look-ups instead of a loop.

Each candidate's formula is brought into disjunctive form: terms of bits that must be set and bits
that must be clear. For each byte of the row that a slot depends on, a table of 256 entries holds,
for every value of the byte, the terms that it violates, as the bits of an int. OR over the bytes
gives the terms that are out: 50 to 60 ns a byte, whatever the number of candidates. Then, for each
context field that conditions compare with texts, one look-up by its value takes out the terms of
the candidates that want another one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from wayfare_engine.plan.expression import Expression
from wayfare_engine.plan.formula import Formula

MAX_TERMS = 8
"""Audiences with more terms are let through by the tables, and tested one by one."""

Term = tuple[int, int]
"""Bits that must be set, bits that must be clear, as masks over the row."""


def terms_of(formula: Formula) -> tuple[list[Term], bool]:
    """Terms of which one holds whenever the formula does, and whether the reverse is true as well.

    Parts that need the request's context count as true, so with them it is not.
    """
    kind = formula[0]
    if kind == "bit":
        return [(1 << formula[1], 0)], True
    if kind == "nobit":
        return [(0, 1 << formula[1])], True
    if kind == "when":
        return [(0, 0)], False
    parts = [terms_of(part) for part in formula[1:]]
    exact = all(part[1] for part in parts)
    if kind == "any":
        found = list(dict.fromkeys(term for part in parts for term in part[0]))
        return (found, exact) if len(found) <= MAX_TERMS else ([(0, 0)], False)
    terms: list[Term] = [(0, 0)]
    for more, _ in sorted(parts, key=lambda part: len(part[0])):
        together = both(terms, more)
        if len(together) > MAX_TERMS:
            exact = False  # what was gathered so far is still necessary
            continue
        terms = together
    return terms, exact


def both(left: Sequence[Term], right: Sequence[Term]) -> list[Term]:
    """Terms that hold when a term of each side does."""
    pairs = ((a[0] | b[0], a[1] | b[1]) for a in left for b in right)
    return list(dict.fromkeys(pair for pair in pairs if not pair[0] & pair[1]))


class Eligibility:
    """Look-up tables of one slot. Terms are numbered through, in the candidates' order."""

    def __init__(
        self,
        terms: Sequence[Sequence[Term]],
        width: int,
        wanted: Sequence[Mapping[str, frozenset[str]]] = (),
    ) -> None:
        """terms: for each candidate; none at all means never. width: bytes of a row.

        wanted: for each candidate, the texts of which a context field must be one.
        """
        self._width = width
        flat = [term for own in terms for term in own]
        self.owners = [position for position, own in enumerate(terms) for _ in own]
        self.siblings: list[int] = []
        """For each candidate, all of its terms as bits."""
        first = 0
        for own in terms:
            self.siblings.append(((1 << len(own)) - 1) << first)
            first += len(own)
        self._all = (1 << len(flat)) - 1
        self._tables = _tables(flat, width)
        self._fields = _fields(wanted, self.siblings)

    def admitted(self, row: int, context: Mapping[str, Any]) -> int:
        """The terms that row and context satisfy, as bits."""
        data = row.to_bytes(self._width, "little")
        out = 0
        for byte, table in self._tables:
            out |= table[data[byte]]
        found = self._all & ~out
        if found:
            for field, concerned, matching in self._fields:
                # An absent field is left to the condition itself, which tells the error.
                if field in context:
                    value = context[field]
                    agreeing = matching.get(value, 0) if type(value) is str else 0
                    found &= ~concerned | agreeing
        return found


def _tables(terms: Sequence[Term], width: int) -> list[tuple[int, list[int]]]:
    if_clear = [0] * (width * 8)
    if_set = [0] * (width * 8)
    for number, term in enumerate(terms):
        for violated, mask in ((if_clear, term[0]), (if_set, term[1])):
            while mask:
                low = mask & -mask
                violated[low.bit_length() - 1] |= 1 << number
                mask ^= low
    tables = []
    for byte in range(width):
        bits = range(byte * 8, byte * 8 + 8)
        if any(if_clear[bit] or if_set[bit] for bit in bits):
            table = [0]
            for bit in bits:
                table = [v | if_clear[bit] for v in table] + [v | if_set[bit] for v in table]
            tables.append((byte, table))
    return tables


def _fields(
    wanted: Sequence[Mapping[str, frozenset[str]]], siblings: Sequence[int]
) -> list[tuple[str, int, dict[str, int]]]:
    """(field, terms that want something of it, terms by the text that they want)."""
    found: dict[str, tuple[int, dict[str, int]]] = {}
    for own, bits in zip(wanted, siblings, strict=False):
        for field, texts in own.items():
            concerned, matching = found.get(field, (0, {}))
            for text in texts:
                matching[text] = matching.get(text, 0) | bits
            found[field] = (concerned | bits, matching)
    return [(field, *rest) for field, rest in sorted(found.items())]


def wanted_texts(condition: Formula) -> dict[str, frozenset[str]]:
    """Context fields that must be one of some texts for the formula to hold."""
    found: dict[str, frozenset[str]] = {}
    for part in condition[1:] if condition[0] == "all" else (condition,):
        if part[0] == "when" and part[1] is True:
            expression = part[2]
            for each in expression[1:] if expression[0] == "and" else (expression,):
                field, texts = _wanted(each)
                if field is not None:
                    found[field] = found[field] & texts if field in found else texts
    return found


def _wanted(expression: Expression) -> tuple[str | None, frozenset[str]]:
    if expression[0] in ("eq", "in"):
        _, left, right = expression
        if left[0] == "get" and left[1] == ("context",):
            if expression[0] == "eq" and right[0] == "string":
                return left[2], frozenset({right[1]})
            if (
                expression[0] == "in"
                and right[0] == "list"
                and all(item[0] == "string" for item in right[1:])
            ):
                return left[2], frozenset(item[1] for item in right[1:])
    return None, frozenset()
