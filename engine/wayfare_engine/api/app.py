"""The serving pod's HTTP application."""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Annotated, Any

import msgspec
from fastapi import FastAPI, Path, Query, Request
from starlette.responses import HTMLResponse, Response

from wayfare_engine.api.decisions import (
    PATH,
    DecisionRequest,
    DecisionResponse,
    DecisionRoute,
)
from wayfare_engine.api.events import MOST, EventRequest, EventsResponse, write_events
from wayfare_engine.api.events import PATH as EVENTS
from wayfare_engine.api.explain import DecisionRecord, Explainer
from wayfare_engine.api.outbox import (
    MOST as MOST_PULLED,
)
from wayfare_engine.api.outbox import PATH as OUTBOX
from wayfare_engine.api.outbox import (
    AcknowledgementRequest,
    AcknowledgementsResponse,
    OutboxResponse,
    acknowledge,
    fetch,
    lease_seconds,
)
from wayfare_engine.api.page import PAGE
from wayfare_engine.api.receipts import MOST as MOST_RECEIPTS
from wayfare_engine.api.receipts import PATH as RECEIPTS
from wayfare_engine.api.receipts import (
    ReceiptRequest,
    ReceiptsResponse,
    require_signed,
    write_receipts,
)
from wayfare_engine.api.state import ServeState
from wayfare_engine.api.tasks import (
    MOST as MOST_TASKS,
)
from wayfare_engine.api.tasks import PATH as TASKS
from wayfare_engine.api.tasks import (
    Change,
    CloseRequest,
    ReturnRequest,
    TakeRequest,
    TaskAnswer,
    TasksResponse,
    change,
    closing,
    listed,
    read,
    returning,
    taking,
)
from wayfare_engine.api.tasks import State as TaskState
from wayfare_engine.facts import Ack
from wayfare_engine.identity import Scope
from wayfare_engine.metrics import CONTENT_TYPE, exposition
from wayfare_engine.tasks.storage import Wanted
from wayfare_engine.web import problems
from wayfare_engine.web.body import credential, read_body

_TASK_ACTIONS = (
    ("take", taking, TakeRequest, "Take a task", "Nobody else can take it until it is returned."),
    (
        "return",
        returning,
        ReturnRequest,
        "Return a task",
        "It is open again. Only who took it can return it.",
    ),
    (
        "close",
        closing,
        CloseRequest,
        "Close a task",
        "It ended with one of its `outcomes`. Only who took it can close it, and once.",
    ),
)
_PROBLEMS = {
    400: "the body is not JSON",
    401: "no API key, or one that is unknown, expired or revoked",
    403: "the API key lacks the scope",
    404: "unknown customer, slot, decision, channel or task",
    409: "the task stands otherwise; `detail` says who has it, or how it ended",
    408: "the body did not arrive in time",
    413: "the body is too large",
    422: "wrong types; errors name the field's path",
    503: "no plan is loaded yet, or the store that is needed is away",
}


def make_app(state: ServeState) -> DecisionRoute:
    """The application over a pod's state; the hot route in front of FastAPI."""
    app = FastAPI(
        title="Wayfare engine",
        version=version("wayfare"),
        description="Asks: what do I show this customer in this slot, now?",
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
    )
    problems.install(app)

    hot = DecisionRoute(
        app,
        snapshot=lambda: state.loader.present,
        degraded=state.degraded,
        draining=lambda: state.draining,
        authenticator=state.authenticator,
        ledger=state.ledger,
        metrics=state.metrics,
        clock=state.clock,
        ids=state.ids,
        site=state.settings.site,
        epoch=state.settings.epoch,
        body_limit=state.settings.body_limit,
        committed=state.settings.decision_ack == "committed",
    )
    explainer = Explainer(state.postgresql, state.ledger)

    @app.post(
        PATH,
        summary="Decide",
        description="One decision for one customer and slot. 200 with journey null when nothing "
        "qualifies. Scope: decide.",
        openapi_extra={"requestBody": _content(DecisionRequest, required=True)},
        responses=_responses(DecisionResponse, 400, 401, 403, 404, 413, 422, 503),
    )
    async def decide() -> None:
        raise AssertionError("DecisionRoute answers before FastAPI is asked")

    @app.get(
        PATH + "/{decision_id}",
        summary="Read a decision back",
        description="The whole record, each loser with its reason. Scope: decisions:read.",
        responses=_responses(DecisionRecord, 401, 403, 404, 503),
    )
    async def decision(
        request: Request, decision_id: Annotated[str, Path(max_length=64)]
    ) -> Response:
        key = credential(list(request.scope["headers"]))
        state.authenticator.require(key, Scope.DECISIONS_READ)
        record = await explainer.record(decision_id, state.loader.present)
        return Response(msgspec.json.encode(record), media_type="application/json")

    @app.post(
        EVENTS,
        summary="Write events",
        description=f"One event, or an array of at most {MOST}. 200 once they are committed or, "
        "with `ack=journaled`, in the object store; 202 when they are committed and the store did "
        "not have them within `wait` seconds. A repeat of a `client_id` is answered with the first "
        "row, and writes nothing. 503: nothing is acknowledged; send the same again after "
        "`Retry-After`. Scope: events:write.",
        openapi_extra={"requestBody": _one_or_many(EventRequest, MOST)},
        responses=_responses(EventsResponse, 400, 401, 403, 408, 413, 422, 503)
        | {202: {"description": "committed, and not yet journaled", **_content(EventsResponse)}},
    )
    async def events(
        request: Request,
        ack: Ack = Ack.COMMITTED,
        wait: Annotated[float, Query(ge=0, le=30, description="Seconds; for journaled.")] = 5.0,
    ) -> Response:
        key = credential(list(request.scope["headers"]))
        state.authenticator.require(key, Scope.EVENTS_WRITE)
        limit = state.settings.events_body_limit
        raw = await read_body(request.scope, request.receive, limit)
        status, body = await write_events(
            raw, state.facts, ack=ack, wait_seconds=wait, clock=state.clock
        )
        return Response(body, status_code=status, media_type="application/json")

    @app.post(
        RECEIPTS,
        summary="Receipts of a channel",
        description=f"One receipt, or an array of at most {MOST_RECEIPTS}, from the channel's "
        "provider. 200 once all are committed, those that match no send yet as well. A call is "
        "signed with a secret of the channel, as Standard Webhooks say: headers `webhook-id`, "
        "`webhook-timestamp`, `webhook-signature`. It needs no API key.",
        openapi_extra={
            "requestBody": _one_or_many(ReceiptRequest, MOST_RECEIPTS),
            "security": [],
        },
        responses=_responses(ReceiptsResponse, 400, 401, 408, 413, 422, 503),
    )
    async def receipts(request: Request, channel: Annotated[str, Path(max_length=127)]) -> Response:
        limit = state.settings.receipts_body_limit
        raw = await read_body(request.scope, request.receive, limit)
        folder = state.settings.receipt_secrets_dir
        try:
            require_signed(folder, channel, request.headers, raw, state.clock())
        except problems.Problem:
            state.metrics.receipts.refused.inc()
            raise
        body = await write_receipts(
            raw,
            channel,
            postgresql=state.postgresql,
            writer=state.facts,
            metrics=state.metrics.receipts,
            clock=state.clock,
        )
        return Response(body, media_type="application/json")

    @app.get(
        OUTBOX,
        summary="Fetch sends",
        description="Sends of a channel that is pulled, those that are due first, each under a "
        "lease of its own. Throw the answer away when it came later than its `within` seconds "
        "after you asked. Scope: outbox:pull.",
        responses=_responses(OutboxResponse, 401, 403, 404, 422, 503),
    )
    async def pull(
        request: Request,
        channel: Annotated[str, Path(max_length=127)],
        limit: Annotated[int, Query(ge=1, le=MOST_PULLED, description="At most so many.")] = 100,
        lease: Annotated[
            str, Query(max_length=32, description="How long they are yours: 1s to 12h.")
        ] = "30s",
    ) -> Response:
        state.authenticator.require(credential(list(request.scope["headers"])), Scope.OUTBOX_PULL)
        body = await fetch(
            channel,
            limit=limit,
            seconds=lease_seconds(lease),
            within=state.acting.within,
            postgresql=state.postgresql,
            right=state.acting,
            metrics=state.metrics.pull,
        )
        return Response(body, media_type="application/json")

    @app.post(
        OUTBOX,
        summary="Acknowledge sends",
        description=f"What became of at most {MOST_PULLED} sends that were fetched, each under its "
        "lease. 200 once every outcome is committed; send the call again after anything else. "
        "Scope: outbox:pull.",
        openapi_extra={"requestBody": _many(AcknowledgementRequest, MOST_PULLED)},
        responses=_responses(AcknowledgementsResponse, 400, 401, 403, 408, 413, 422, 503),
    )
    async def acknowledged(
        request: Request, channel: Annotated[str, Path(max_length=127)]
    ) -> Response:
        state.authenticator.require(credential(list(request.scope["headers"])), Scope.OUTBOX_PULL)
        limit = state.settings.receipts_body_limit
        raw = await read_body(request.scope, request.receive, limit)
        body = await acknowledge(
            raw,
            channel,
            postgresql=state.postgresql,
            writer=state.facts,
            metrics=state.metrics.pull,
            clock=state.clock,
        )
        return Response(body, media_type="application/json")

    @app.get(
        TASKS,
        summary="List tasks",
        description="Work items for people, those that are due first. Scope: tasks.",
        responses=_responses(TasksResponse, 401, 403, 422, 503),
    )
    async def tasks(
        request: Request,
        assignee: Annotated[str | None, Query(max_length=128)] = None,
        state_: Annotated[TaskState | None, Query(alias="state")] = None,
        customer: Annotated[str | None, Query(max_length=128)] = None,
        after: Annotated[
            str | None, Query(max_length=64, description="The `next` of the answer before.")
        ] = None,
        limit: Annotated[int, Query(ge=1, le=MOST_TASKS, description="At most so many.")] = 100,
    ) -> Response:
        state.authenticator.require(credential(list(request.scope["headers"])), Scope.TASKS)
        body = await listed(state.postgresql, Wanted(assignee, state_, customer, after, limit))
        return Response(body, media_type="application/json")

    @app.get(
        TASKS + "/{task_id}",
        summary="Read a task",
        description="As it stands. Scope: tasks.",
        responses=_responses(TaskAnswer, 401, 403, 404, 503),
    )
    async def task(request: Request, task_id: Annotated[str, Path(max_length=64)]) -> Response:
        state.authenticator.require(credential(list(request.scope["headers"])), Scope.TASKS)
        return Response(await read(state.postgresql, task_id), media_type="application/json")

    for action, decode, model, summary, description in _TASK_ACTIONS:
        _add_task_action(app, state, action, decode, model, summary, description)

    @app.get("/livez", summary="Whether the process answers")
    async def livez() -> dict[str, bool]:
        return {"alive": True}

    @app.get(
        "/readyz",
        summary="Whether to send requests here",
        description="503 until a plan is loaded, and while ending. A store that is away later is "
        "told in `degraded`, and is a 503 with `?stores=required`.",
    )
    async def readyz(stores: str | None = None) -> Response:
        ready, body = state.readiness(stores_required=stores == "required")
        return _json(body, 200 if ready else 503)

    @app.get("/activez", summary="Whether this site may act")
    async def activez() -> dict[str, object]:
        return {"active": True, "site": state.settings.site, "epoch": state.settings.epoch}

    @app.get("/metrics", summary="Metrics for Prometheus")
    async def metrics() -> Response:
        return Response(exposition(state.metrics.registry), media_type=CONTENT_TYPE)

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return HTMLResponse(PAGE)

    _count_requests(app, state)
    app.openapi = _with_schemas(app)  # type: ignore[method-assign]
    return hot


def _add_task_action(
    app: FastAPI,
    state: ServeState,
    action: str,
    decode: Callable[[bytes], Change],
    model: type,
    summary: str,
    description: str,
) -> None:
    @app.post(
        f"{TASKS}/{{task_id}}/{action}",
        name=f"{action}_task",
        summary=summary,
        description=f"{description} The same call again is answered with the task as it stands. "
        "Scope: tasks.",
        openapi_extra={"requestBody": _content(model, required=True)},
        responses=_responses(TaskAnswer, 400, 401, 403, 404, 408, 409, 413, 422, 503),
    )
    async def act(request: Request, task_id: Annotated[str, Path(max_length=64)]) -> Response:
        state.authenticator.require(credential(list(request.scope["headers"])), Scope.TASKS)
        raw = await read_body(request.scope, request.receive, state.settings.body_limit)
        body = await change(
            state.postgresql,
            task_id,
            decode(raw),
            action=action,
            site=state.settings.site,
            ids=state.ids,
            clock=state.clock,
            metrics=state.metrics.tasks,
        )
        return Response(body, media_type="application/json")


def _count_requests(app: FastAPI, state: ServeState) -> None:
    @app.middleware("http")
    async def count(request: Request, call_next: Callable[[Request], Any]) -> Response:
        began = time.perf_counter()
        response: Response = await call_next(request)
        route = getattr(request.scope.get("route"), "path", "unknown")
        state.metrics.requests.labels(route, str(response.status_code)).inc()
        if state.draining:
            response.headers["connection"] = "close"
        response.headers["server-timing"] = f"app;dur={(time.perf_counter() - began) * 1000:.2f}"
        return response


def _json(body: object, status: int) -> Response:
    return Response(msgspec.json.encode(body), status_code=status, media_type="application/json")


def _content(model: type, *, required: bool = False) -> dict[str, Any]:
    reference = {"$ref": f"#/components/schemas/{model.__name__}"}
    content: dict[str, Any] = {"content": {"application/json": {"schema": reference}}}
    if required:
        content["required"] = True
    return content


def _one_or_many(model: type, most: int) -> dict[str, Any]:
    reference = {"$ref": f"#/components/schemas/{model.__name__}"}
    many = {"type": "array", "items": reference, "minItems": 1, "maxItems": most}
    schema = {"oneOf": [reference, many]}
    return {"required": True, "content": {"application/json": {"schema": schema}}}


def _many(model: type, most: int) -> dict[str, Any]:
    reference = {"$ref": f"#/components/schemas/{model.__name__}"}
    schema = {"type": "array", "items": reference, "minItems": 1, "maxItems": most}
    return {"required": True, "content": {"application/json": {"schema": schema}}}


def _responses(model: type, *statuses: int) -> dict[int | str, dict[str, Any]]:
    problem = {"schema": {"$ref": "#/components/schemas/Problem"}}
    return {
        200: {"description": "the answer", **_content(model)},
        **{
            status: {
                "description": _PROBLEMS[status],
                "content": {problems.MEDIA_TYPE: problem},
            }
            for status in statuses
        },
    }


def _with_schemas(app: FastAPI) -> Callable[[], dict[str, Any]]:
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
                    OutboxResponse,
                    AcknowledgementRequest,
                    AcknowledgementsResponse,
                    TasksResponse,
                    TakeRequest,
                    ReturnRequest,
                    CloseRequest,
                    ReceiptRequest,
                    ReceiptsResponse,
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
