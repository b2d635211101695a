"""The contract as an OpenAPI document: what the routes of `host_app` say of themselves.

`python -m wayfare_engine.channels.openapi FILE` writes it, or with --check fails when it is stale.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
from fastapi import FastAPI

from wayfare_engine.channels.contract import (
    CLOCK_HEADER,
    Answer,
    Callback,
    Check,
    Description,
    HandOver,
    Model,
    Receipt,
    Rendered,
)
from wayfare_engine.web.problems import MEDIA_TYPE

DESCRIPTION: Final = (
    "What a worker and a channel host say to each other. A hand-over starts no later than "
    "`remaining` seconds after the host's own `clock`, or is `Late`; nothing takes effect after "
    "that. Every answer without one of the four results leaves a send in doubt, apart from 400 and "
    "413, where nothing started. Unknown fields are ignored."
)


class Accepted(Model, frozen=True):
    """Whether a key took effect."""

    accepted: bool


SEND: Final[dict[int, tuple[str, Any]]] = {
    200: ("Accepted", Answer),
    408: ("Late: it was not started", Answer),
    422: ("Rejected: refused for good", Answer),
    503: ("NotAccepted: nothing took effect, and it may be tried again", Answer),
}
_PROBLEMS: Final = {
    400: "the body cannot be read; errors name the place. Nothing started",
    404: "this host has no such thing",
    413: "the body is too large. Nothing started",
    500: "the plugin failed; a send is in doubt",
    503: "the host is full",
    504: "the time was over before the plugin had ended; a send is in doubt",
}
_HEADERS: Final = {
    CLOCK_HEADER: {
        "description": "the host's own clock; opaque, and for a hand-over's `clock`",
        "required": True,
        "schema": {"type": "string", "maxLength": 1024},
    }
}
_REF: Final = "#/components/schemas/{name}"
_MODELS: Final = (Description, HandOver, Answer, Accepted, Callback, Receipt, Rendered, Check)


def body(kind: Any) -> dict[str, Any]:
    """A route's `openapi_extra`: a body of this type."""
    return {"requestBody": {"required": True, "content": _content(kind)}}


def answers(good: Mapping[int, tuple[str, Any]], *wrong: int) -> dict[int | str, dict[str, Any]]:
    """A route's `responses`: (description, type) by status, and statuses that are problems."""
    problem = {MEDIA_TYPE: {"schema": {"$ref": _REF.format(name="Problem")}}}
    found: dict[int | str, dict[str, Any]] = {}
    for status in sorted({*good, *wrong}):
        text, kind = good.get(status, (_PROBLEMS.get(status, ""), None))
        content = _content(kind) if status in good else problem
        found[status] = {"description": text, "headers": _HEADERS, "content": content}
    return found


def with_schemas(app: FastAPI) -> Callable[[], dict[str, Any]]:
    """What replaces `app.openapi`: the same, with the contract's types."""
    original = app.openapi

    def made() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = original()
            _, models = msgspec.json.schema_components(_MODELS, ref_template=_REF)
            text = {"type": "string"}
            place = {"type": "object", "properties": {"path": text, "message": text}}
            models["Problem"] = {
                "type": "object",
                "required": ["type", "title", "status", "detail"],
                "properties": {
                    "type": text,
                    "title": text,
                    "status": {"type": "integer"},
                    "detail": text,
                    "errors": {"type": "array", "items": place},
                },
            }
            # FastAPI's own validation of paths answers 422 elsewhere; a host's 422 is Rejected.
            for path in document["paths"].values():
                for operation in path.values():
                    _without_validation(operation["responses"])
            document["components"] = {"schemas": dict(sorted(models.items()))}
            app.openapi_schema = document
        return app.openapi_schema

    return made


def _without_validation(responses: dict[str, Any]) -> None:
    if "HTTPValidationError" in json.dumps(responses.get("422", {})):
        del responses["422"]


def _content(kind: Any) -> dict[str, Any]:
    if kind is None:
        return {"application/json": {"schema": {"type": "object"}}}
    (schema,), _ = msgspec.json.schema_components([kind], ref_template=_REF)
    return {"application/json": {"schema": schema}}


def document() -> str:
    """The file's text."""
    from wayfare_engine.channels.clock import HostClock
    from wayfare_engine.channels.host import Host
    from wayfare_engine.channels.host_app import make_routes
    from wayfare_engine.channels.plugin import Settings
    from wayfare_engine.channels.plugins.sink import Sink

    plugin = Sink.open(Settings({}, {}))
    host = Host(plugin, clock=HostClock("document", longest=5.0), concurrency=1)
    return json.dumps(make_routes(host).openapi(), indent=1, ensure_ascii=False) + "\n"


def main(arguments: list[str]) -> int:
    """Write the file, or with --check only compare it. Returns the exit code."""
    check = "--check" in arguments
    (name,) = [word for word in arguments if word != "--check"]
    file, made = Path(name), document()
    if not file.exists() or file.read_text(encoding="utf-8") != made:
        if check:
            print(f"stale: {name}: run `make generate`", file=sys.stderr)
            return 1
        file.write_text(made, encoding="utf-8")
        print(f"wrote {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
