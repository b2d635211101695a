"""Does an object in the cluster still say what we applied?

The API server adds defaults and other managers add fields, so the question is whether everything
that we want is there, not whether both are equal. Named items of lists (containers, ports,
variables) are found by their name, as server-side apply merges them.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any

_SUFFIXES = {
    "": Decimal(1),
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    "k": Decimal(10) ** 3,
    "M": Decimal(10) ** 6,
    "G": Decimal(10) ** 9,
    "T": Decimal(10) ** 12,
    "P": Decimal(10) ** 15,
    "E": Decimal(10) ** 18,
    "Ki": Decimal(2) ** 10,
    "Mi": Decimal(2) ** 20,
    "Gi": Decimal(2) ** 30,
    "Ti": Decimal(2) ** 40,
    "Pi": Decimal(2) ** 50,
    "Ei": Decimal(2) ** 60,
}


def quantity(value: object) -> Decimal | None:
    """A Kubernetes quantity ("250m", "1Gi", 2) as a number; None when it is not one."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    text = str(value)
    digits = text.rstrip("EKMGTPinumk")
    factor = _SUFFIXES.get(text[len(digits) :])
    if factor is None:
        return None
    try:
        return Decimal(digits) * factor
    except InvalidOperation:
        return None


def holds(observed: Any, desired: Any) -> bool:
    """True when everything in `desired` is in `observed`. An absent field equals an empty one."""
    if isinstance(desired, dict):
        if observed is None:
            return all(holds(None, value) for value in desired.values()) if desired else True
        return isinstance(observed, dict) and all(
            holds(observed.get(key), value) for key, value in desired.items()
        )
    if isinstance(desired, list):
        return _list_holds(observed, desired)
    if observed == desired:
        return True
    if observed is None:
        return desired in ("", 0, False)
    left, right = quantity(observed), quantity(desired)
    return left is not None and left == right


def _list_holds(observed: Any, desired: list[Any]) -> bool:
    if not desired:
        return observed in (None, [])
    if not isinstance(observed, list):
        return False
    if all(isinstance(item, dict) and "name" in item for item in desired):
        by_name = {item.get("name"): item for item in observed if isinstance(item, dict)}
        return all(item["name"] in by_name for item in desired) and all(
            holds(by_name[item["name"]], item) for item in desired
        )
    return len(observed) == len(desired) and all(
        holds(left, right) for left, right in zip(observed, desired, strict=True)
    )
