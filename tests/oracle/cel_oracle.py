"""Rules evaluated by Google's CEL runtime (cel-cpp): the definition's own implementation.

It shares its parser with our front end and nothing else: attributes are an untyped map here, and
unknown ones are absent from it. (celpy, tried first, departs from the definition in generated
rules: `1 == "a"` on untyped values is an error there, and so are some `!` of a `?:`. It is asked
about the plain rules in test_celpy.py.)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from cel_expr_python import cel
from cel_expr_python.ext import ext_strings


class Oracle:
    """One expression."""

    def __init__(self, source: str) -> None:
        self._member: Callable[[str], bool] = lambda name: False
        anything = cel.Type.Map(cel.Type.STRING, cel.Type.DYN)
        segment = cel.Overload(
            "segment_string",
            return_type=cel.Type.BOOL,
            parameters=[cel.Type.STRING],
            is_member=False,
            impl=lambda name: self._member(name),
        )
        environment = cel.NewEnv(
            variables={"customer": anything, "context": anything},
            functions=[cel.FunctionDecl("segment", [segment])],
            extensions=[ext_strings.ExtStrings()],
        )
        # JSON has no timestamps, and so has this map none: they are texts there.
        self._program = environment.compile(
            source.replace("customer.since", "timestamp(customer.since)").replace(
                "has(timestamp(customer.since))", "has(customer.since)"
            )
        )

    def truth(
        self,
        customer: Mapping[str, Any],
        context: Mapping[str, Any] | None = None,
        member: Callable[[str], bool] = lambda name: False,
    ) -> bool | None:
        """True, False, or None for an error."""
        self._member = member
        known = {name: value for name, value in customer.items() if value is not None}
        value = self._program.eval(data={"customer": known, "context": dict(context or {})})
        return value.value() if value.type().name() == "BOOL" else None


@lru_cache(maxsize=256)
def oracle(source: str) -> Oracle:
    """The oracle of an expression; compiled once."""
    return Oracle(source)
