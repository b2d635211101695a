"""The tables of a kind's page in docs/kinds: its fields and its conditions' reasons.

A page marks where a table goes by `<!-- fields -->` or `<!-- reasons -->`, up to `<!-- end -->`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from .crd import root_schema
from .kinds import Kind
from .reasons import Reason

_SECTION = re.compile(r"<!-- (fields|reasons) -->\n.*?<!-- end -->", re.DOTALL)


def fill_page(text: str, kind: Kind) -> str:
    """The page with its tables as they should be now."""
    tables = {"fields": lambda: fields_table(kind), "reasons": lambda: reasons_table(kind)}

    def filled(match: re.Match[str]) -> str:
        name = match.group(1)
        return f"<!-- {name} -->\n{tables[name]()}<!-- end -->"

    return _SECTION.sub(filled, text)


def reasons_table(kind: Kind) -> str:
    """Markdown: the reasons that conditions and events of the kind have."""
    rows = [
        f"| `{reason.value}` | {reason.meaning} |" for reason in Reason if kind.name in reason.kinds
    ]
    return "\n".join(["| Reason | Meaning |", "|---|---|", *rows]) + "\n"


def fields_table(kind: Kind) -> str:
    """Markdown: every field of the kind's spec."""
    schema = root_schema(kind)["properties"]["spec"]
    rows = [
        f"| `{path}` | {_type(field)} | {_cell(field)} |" for path, field in _fields(schema, "")
    ]
    return "\n".join(["| Field of `spec` | Type | Meaning |", "|---|---|---|", *rows]) + "\n"


def _fields(schema: dict[str, Any], prefix: str) -> Iterator[tuple[str, dict[str, Any]]]:
    required = set(schema.get("required", ()))
    for name, field in schema.get("properties", {}).items():
        path = f"{prefix}{name}"
        yield path, {**field, "isRequired": name in required}
        if field.get("type") == "array":
            yield from _fields(field["items"], f"{path}[].")
        else:
            yield from _fields(field, f"{path}.")


def _type(field: dict[str, Any]) -> str:
    if "enum" in field:
        return " \\| ".join(f"`{value}`" for value in field["enum"])
    if field.get("x-kubernetes-int-or-string"):
        return "quantity"
    if field.get("type") == "array":
        return f"list of {_type(field['items'])}"
    if "additionalProperties" in field:
        return f"map of {_type(field['additionalProperties'])}"
    return str(field.get("format", field.get("type", "")))


def _cell(field: dict[str, Any]) -> str:
    text = str(field.get("description", "")).replace("|", "\\|")
    if field["isRequired"]:
        text += " Required."
    default = field.get("default")
    if default is not None and default != {}:
        text += f" Default `{str(default).lower() if isinstance(default, bool) else default}`."
    return text.strip()
