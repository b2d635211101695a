"""What every body looked like in each of its versions, kept as files.

    python -m tests.ledger.golden

writes the files that are missing: one for each new version of a kind. A file that is there is never
written again. (To change a version that no release has written yet, delete its file first.)
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin

import msgspec
from msgspec import Raw

from wayfare_engine.ledger.bodies import BODIES

FOLDER = Path(__file__).parent / "golden"


def path(kind: str, version: int) -> Path:
    """Where the golden file of one shape is."""
    return FOLDER / f"{kind}.{version}.json"


def shape(struct: type[Any]) -> dict[str, str]:
    """A body's fields, by name: the type of each, and its default if it has one."""
    return {f.name: _told(f) for f in msgspec.structs.fields(struct)}


def _told(field: msgspec.structs.FieldInfo) -> str:
    kind = field.type
    inner = [one for one in (kind, *get_args(kind)) if isinstance(one, type)]
    structs = [one for one in inner if issubclass(one, msgspec.Struct)]
    told = repr(kind) if get_args(kind) or kind is Any else kind.__qualname__
    told += "".join(f" {shape(one)}" for one in structs)
    default = field.default
    if default is msgspec.NODEFAULT and field.default_factory is not msgspec.NODEFAULT:
        default = field.default_factory()
    if default is msgspec.NODEFAULT:
        return told
    return f"{told} = {bytes(default)!r}" if isinstance(default, Raw) else f"{told} = {default!r}"


def filled(struct: type[Any], version: int) -> Any:
    """An instance with every field set, none to its default."""
    values = {f.name: _value(f.type, f.name) for f in msgspec.structs.fields(struct)}
    return struct(**values | ({"v": version} if "v" in values else {}))


def _value(kind: Any, name: str) -> Any:
    if get_origin(kind) is Literal:
        return get_args(kind)[-1]
    if get_origin(kind) is tuple:
        return (_value(get_args(kind)[0], name), _value(get_args(kind)[0], name))
    if get_origin(kind) is dict:
        return {f"{name}-key": _value(get_args(kind)[1], name)}
    given = [one for one in get_args(kind) if one is not NoneType]
    if given:
        return _value(given[0], name)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return filled(kind, 1)
    fixed: dict[Any, Any] = {
        str: f"some {name}",
        int: 4711,
        float: 0.25,
        bool: True,
        datetime: datetime(2026, 11, 23, 10, 11, 12, 345678, UTC),
        msgspec.Raw: msgspec.Raw(b'{"1e2":1e2,"nul":"\\u0000"}'),
        Any: {"some": [1, None]},
    }
    return fixed[kind]


def main() -> None:
    """Write what is missing."""
    FOLDER.mkdir(exist_ok=True)
    for kind, shapes in BODIES.shapes.items():
        for version, struct in enumerate(shapes, 1):
            file = path(kind, version)
            if not file.exists():
                example = msgspec.json.encode(filled(struct, version)).decode()
                told = {"shape": shape(struct), "example": example}
                file.write_text(json.dumps(told, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
