"""Rules over columns, with CEL's three-valued logic.

Logic, comparisons and arithmetic of numbers run as array operations. Every other part of a rule is
evaluated by the same closures that decisions use, once for each distinct combination of the values
that it reads; so both ways agree by construction, and a function of a string column costs as many
calls as the column has distinct texts.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from wayfare_engine.plan import AttributeType, times
from wayfare_engine.plan.evaluate import closure, literal
from wayfare_engine.plan.expression import (
    LITERALS,
    Expression,
    attributes_of,
    contains,
    replace,
    segments_of,
)
from wayfare_engine.plan.values import INT_MAX, INT_MIN, EvaluationError
from wayfare_engine.segments.columns import Column, Columns, Mask


@dataclass(frozen=True, slots=True)
class Truth:
    """Where an expression is true and where it is false; elsewhere it is an error."""

    true: Mask
    false: Mask


@dataclass(frozen=True, slots=True)
class _Numbers:
    """Numbers of one type, an array or one value for all, and where they are no error."""

    type: AttributeType
    values: Any
    ok: Any


class _NotVectorised(Exception):
    """This part of a rule has no array operation; its distinct inputs are evaluated one by one."""


_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
}
_MIRRORED = {"eq": "eq", "ne": "ne", "lt": "gt", "le": "ge", "gt": "lt", "ge": "le"}


class Evaluator:
    """Evaluates rules over some columns.

    members: a mask for each segment that the rules refer to, by name; may grow later.
    """

    def __init__(self, columns: Columns, members: Mapping[str, Mask]) -> None:
        self._columns = columns
        self._members = members
        self._codes: dict[str, tuple[npt.NDArray[np.int64], list[Any]]] = {}

    def truth(self, expression: Expression) -> Truth:
        """Where the boolean expression is true, and where it is false."""
        kind = expression[0]
        if kind == "segment":
            mask = self._members[expression[1]]
            return Truth(mask, ~mask)
        if not contains(expression, "attr", "known", "segment"):
            return self._constant(expression)
        match kind:
            case "not":
                inner = self.truth(expression[1])
                return Truth(inner.false, inner.true)
            case "and" | "or":
                return self._joined(expression)
            case "if":
                return self._choice(expression)
            case "known":
                known = self._column(expression[1]).known
                return Truth(known, ~known)
        try:
            return self._atom(expression)
        except _NotVectorised:
            return self._distinct(expression)

    # -- logic ------------------------------------------------------------------------------------

    def _constant(self, expression: Expression) -> Truth:
        try:
            value = closure(expression)({}, 0)
        except EvaluationError:
            value = None
        count = len(self._columns)
        return Truth(np.full(count, value is True), np.full(count, value is False))

    def _joined(self, expression: Expression) -> Truth:
        parts = [self.truth(part) for part in expression[1:]]
        true, false = parts[0].true, parts[0].false
        for part in parts[1:]:
            if expression[0] == "and":
                true, false = true & part.true, false | part.false
            else:
                true, false = true | part.true, false & part.false
        return Truth(true, false)

    def _choice(self, expression: Expression) -> Truth:
        condition, then, other = (self.truth(part) for part in expression[1:])
        return Truth(
            (condition.true & then.true) | (condition.false & other.true),
            (condition.true & then.false) | (condition.false & other.false),
        )

    # -- atoms as array operations ----------------------------------------------------------------

    def _column(self, name: str) -> Column:
        found = self._columns.columns.get(name)
        if found is None:
            raise KeyError(f"no column {name!r} is loaded")
        return found

    def _atom(self, expression: Expression) -> Truth:
        kind = expression[0]
        if kind == "attr" and expression[2] == AttributeType.BOOL:
            column = self._column(expression[1])
            return Truth(column.values & column.known, ~column.values & column.known)
        if kind == "in":
            return self._membership(expression[1], expression[2])
        if kind not in _COMPARE:
            raise _NotVectorised
        left, right = expression[1], expression[2]
        for one, other, name in ((left, right, kind), (right, left, _MIRRORED[kind])):
            if _is_text_column(one) and other[0] == "string":
                return self._text_comparison(one[1], name, other[1])
        a, b = self._numbers(left), self._numbers(right)
        if a.type is not b.type:
            raise _NotVectorised
        with np.errstate(invalid="ignore"):
            result = _COMPARE[kind](a.values, b.values)
        ok = np.broadcast_to(np.asarray(a.ok) & np.asarray(b.ok), (len(self._columns),))
        return Truth(result & ok, ~result & ok)

    def _text_comparison(self, name: str, kind: str, text: str) -> Truth:
        """A string column against one text, by codes: they are in the texts' order."""
        column = self._column(name)
        verdict = np.fromiter(
            (_COMPARE[kind](one, text) for one in column.texts), np.bool_, len(column.texts)
        )
        return _gathered(verdict, column)

    def _membership(self, item: Expression, container: Expression) -> Truth:
        if item[0] != "attr" or container[0] != "list":
            raise _NotVectorised
        column = self._column(item[1])
        if any(part[0] not in LITERALS for part in container[1:]):
            raise _NotVectorised
        wanted = [literal(part) for part in container[1:]]
        if column.type is AttributeType.STRING:
            texts = {value for value in wanted if type(value) is str}
            verdict = np.fromiter(
                (one in texts for one in column.texts), np.bool_, len(column.texts)
            )
            return _gathered(verdict, column)
        if column.type is AttributeType.INT and all(type(value) is int for value in wanted):
            result = np.isin(column.values, np.array(wanted, dtype=np.int64))
            return Truth(result & column.known, ~result & column.known)
        raise _NotVectorised

    def _numbers(self, expression: Expression) -> _Numbers:
        kind = expression[0]
        match kind:
            case "int" | "double" | "bool":
                return _Numbers(AttributeType(kind), expression[1], True)
            case "attr":
                column = self._column(expression[1])
                if column.type is AttributeType.STRING:
                    raise _NotVectorised
                return _Numbers(column.type, column.values, column.known)
            case "add" | "sub" | "mul":
                return _arithmetic(kind, self._numbers(expression[1]), self._numbers(expression[2]))
            case "call" if expression[1] == "timestamp" and expression[2][0] == "string":
                moment = closure(expression)({}, 0)
                return _Numbers(AttributeType.TIMESTAMP, times.epoch_microseconds(moment), True)
            case "call" if expression[1] == "double":
                inner = self._numbers(expression[2])
                if inner.type is AttributeType.INT:
                    values = np.asarray(inner.values).astype(np.float64)
                    return _Numbers(AttributeType.DOUBLE, values, inner.ok)
        raise _NotVectorised

    # -- everything else, by distinct inputs ------------------------------------------------------

    def _distinct(self, expression: Expression) -> Truth:
        names = [*sorted(attributes_of(expression))]
        inputs = [self._coded(name) for name in names]
        for segment in sorted(segments_of(expression)):
            names.append(_segment_key(segment))
            inputs.append((self._members[segment].astype(np.int64), [False, True]))
        codes, cards = inputs[0][0], [len(inputs[0][1])]
        for more, values in inputs[1:]:
            codes = codes * len(values) + more
            cards.append(len(values))
            if np.prod([float(card) for card in cards]) > 2.0**62:
                return self._row_by_row(expression, names, inputs)
        present, inverse = np.unique(codes, return_inverse=True)
        evaluate = closure(_with_segments_as_attributes(expression))
        true = np.zeros(len(present), np.bool_)
        false = np.zeros(len(present), np.bool_)
        for position, code in enumerate(present.tolist()):
            subject: dict[str, Any] = {}
            for name, (_, values) in zip(reversed(names), reversed(inputs), strict=True):
                code, which = divmod(code, len(values))
                subject[name] = values[which]
            value = _outcome(evaluate, subject)
            true[position] = value is True
            false[position] = value is False
        return Truth(true[inverse], false[inverse])

    def _row_by_row(
        self,
        expression: Expression,
        names: list[str],
        inputs: list[tuple[npt.NDArray[np.int64], list[Any]]],
    ) -> Truth:
        evaluate = closure(_with_segments_as_attributes(expression))
        count = len(self._columns)
        true, false = np.zeros(count, np.bool_), np.zeros(count, np.bool_)
        rows = zip(*(codes.tolist() for codes, _ in inputs), strict=True)
        for position, row in enumerate(rows):
            subject = {
                name: values[code]
                for name, (_, values), code in zip(names, inputs, row, strict=True)
            }
            value = _outcome(evaluate, subject)
            true[position], false[position] = value is True, value is False
        return Truth(true, false)

    def _coded(self, name: str) -> tuple[npt.NDArray[np.int64], list[Any]]:
        """A column as codes into its distinct Python values; the last value, None, is unknown."""
        found = self._codes.get(name)
        if found is None:
            column = self._column(name)
            if column.type is AttributeType.STRING:
                values: list[Any] = list(column.texts)
                codes = column.values.astype(np.int64)
            else:
                distinct, codes = np.unique(column.values, return_inverse=True)
                values = distinct.tolist()
                if column.type is AttributeType.TIMESTAMP:
                    values = [times.from_epoch_microseconds(value) for value in values]
            codes = np.where(column.known, codes, len(values))
            values.append(None)
            found = self._codes[name] = (codes, values)
        return found


def _is_text_column(expression: Expression) -> bool:
    return bool(expression[0] == "attr" and expression[2] == AttributeType.STRING)


def _gathered(verdict: Mask, column: Column) -> Truth:
    """A verdict on each text, brought to the customers."""
    if not len(verdict):
        nobody = np.zeros(len(column.values), np.bool_)
        return Truth(nobody, nobody)
    result = verdict[column.values]
    return Truth(result & column.known, ~result & column.known)


def _arithmetic(kind: str, a: _Numbers, b: _Numbers) -> _Numbers:
    apply = {"add": operator.add, "sub": operator.sub, "mul": operator.mul}[kind]
    if a.type is not b.type or a.type not in (AttributeType.INT, AttributeType.DOUBLE):
        raise _NotVectorised
    if a.type is AttributeType.INT:
        reach = [apply(x, y) for x in _extremes(a) for y in _extremes(b)]
        if min(reach) < INT_MIN or max(reach) > INT_MAX:
            raise _NotVectorised  # some sum may overflow, and that is an error of its row only
    with np.errstate(over="ignore", invalid="ignore"):
        values = apply(np.asarray(a.values), np.asarray(b.values))
    return _Numbers(a.type, values, np.asarray(a.ok) & np.asarray(b.ok))


def _extremes(numbers: _Numbers) -> tuple[int, int]:
    values = np.asarray(numbers.values)
    return (int(values.min()), int(values.max())) if values.size else (0, 0)


def _segment_key(name: str) -> str:
    return f"segment {name}"  # a space: no attribute has such a name


def _with_segments_as_attributes(expression: Expression) -> Expression:
    if expression[0] == "segment":
        return ("attr", _segment_key(expression[1]), "bool")
    return replace(expression, _with_segments_as_attributes)


def _outcome(evaluate: Callable[[Mapping[str, Any], int], Any], subject: dict[str, Any]) -> Any:
    try:
        return evaluate(subject, 0)
    except EvaluationError:
        return None
