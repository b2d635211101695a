"""The serving pod's API as OpenAPI has it: bodies, answers, problems and models."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from fastapi import FastAPI

from wayfare_engine.api.decisions import DecisionRequest, DecisionResponse
from wayfare_engine.api.events import EventRequest, EventsResponse
from wayfare_engine.api.explain import DecisionRecord
from wayfare_engine.api.lists import MemberRequest, MembersResponse
from wayfare_engine.api.opt_outs import OptOutRequest, OptOutsResponse
from wayfare_engine.api.outbox import (
    AcknowledgementRequest,
    AcknowledgementsResponse,
    OutboxResponse,
)
from wayfare_engine.api.preview import PreviewRequest, PreviewResponse
from wayfare_engine.api.receipts import ReceiptRequest, ReceiptsResponse
from wayfare_engine.api.sends import SendRequest, SendsResponse
from wayfare_engine.api.standing import SendStanding
from wayfare_engine.api.tasks import (
    CloseRequest,
    ReturnRequest,
    TakeRequest,
    TaskAnswer,
    TasksResponse,
)
from wayfare_engine.web import problems

_PROBLEMS = {
    400: "the body is not JSON",
    401: "no API key, or one that is unknown, expired or revoked",
    403: "the API key lacks the scope",
    404: "unknown customer, slot, decision, send, channel or task",
    408: "the body did not arrive in time",
    409: "the task stands otherwise; `detail` says who has it, or how it ended",
    413: "the body is too large",
    422: "wrong types; errors name the field's path",
    503: "no plan is loaded yet, or the store that is needed is away",
}


def content(model: type, *, required: bool = False) -> dict[str, Any]:
    """A body of JSON."""
    reference = {"$ref": f"#/components/schemas/{model.__name__}"}
    found: dict[str, Any] = {"content": {"application/json": {"schema": reference}}}
    if required:
        found["required"] = True
    return found


def one_or_many(model: type, most: int) -> dict[str, Any]:
    """A body of one, or of an array."""
    reference = {"$ref": f"#/components/schemas/{model.__name__}"}
    many = {"type": "array", "items": reference, "minItems": 1, "maxItems": most}
    schema = {"oneOf": [reference, many]}
    return {"required": True, "content": {"application/json": {"schema": schema}}}


def many(model: type, most: int) -> dict[str, Any]:
    """A body of an array."""
    reference = {"$ref": f"#/components/schemas/{model.__name__}"}
    schema = {"type": "array", "items": reference, "minItems": 1, "maxItems": most}
    return {"required": True, "content": {"application/json": {"schema": schema}}}


def responses(model: type, *statuses: int) -> dict[int | str, dict[str, Any]]:
    """200 with the model, and problems."""
    problem = {"schema": {"$ref": "#/components/schemas/Problem"}}
    return {
        200: {"description": "the answer", **content(model)},
        **{
            status: {
                "description": _PROBLEMS[status],
                "content": {problems.MEDIA_TYPE: problem},
            }
            for status in statuses
        },
    }


def with_schemas(app: FastAPI) -> Callable[[], dict[str, Any]]:
    """What is to be `app.openapi`: the routes, with the models that FastAPI does not know."""
    original = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = original()
            _, models = msgspec.json.schema_components(
                [
                    DecisionRequest,
                    DecisionResponse,
                    DecisionRecord,
                    EventRequest,
                    EventsResponse,
                    MemberRequest,
                    MembersResponse,
                    OptOutRequest,
                    OptOutsResponse,
                    ReceiptRequest,
                    ReceiptsResponse,
                    SendRequest,
                    SendsResponse,
                    SendStanding,
                    PreviewRequest,
                    PreviewResponse,
                    OutboxResponse,
                    AcknowledgementRequest,
                    AcknowledgementsResponse,
                    TaskAnswer,
                    TasksResponse,
                    TakeRequest,
                    ReturnRequest,
                    CloseRequest,
                ],
                schema_hook=lambda _: {"type": "object"},
                ref_template="#/components/schemas/{name}",
            )
            text = {"type": "string"}
            error = {"type": "object", "properties": {"path": text, "message": text}}
            problem = {
                "type": "object",
                "required": ["type", "title", "status", "detail"],
                "properties": {
                    "type": text,
                    "title": text,
                    "status": {"type": "integer"},
                    "detail": text,
                    "errors": {"type": "array", "items": error},
                },
            }
            components = document.setdefault("components", {})
            components["schemas"] = {
                **components.get("schemas", {}),
                **models,
                "Problem": problem,
            }
            bearer = {"type": "http", "scheme": "bearer", "bearerFormat": "wf_<id>_<secret>"}
            components["securitySchemes"] = {"apiKey": bearer}
            document["security"] = [{"apiKey": []}]
            app.openapi_schema = document
        return app.openapi_schema

    return openapi
