"""The serving pod's HTTP application."""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Annotated, Any

import msgspec
from fastapi import FastAPI, Path, Query, Request
from starlette.responses import HTMLResponse, Response

from wayfare_engine.api import outbox_routes, send_routes, task_routes
from wayfare_engine.api.callbacks import PATH as CALLBACKS
from wayfare_engine.api.callbacks import take_callback
from wayfare_engine.api.decisions import (
    PATH,
    DecisionRequest,
    DecisionResponse,
    DecisionRoute,
)
from wayfare_engine.api.events import MOST, EventRequest, EventsResponse, write_events
from wayfare_engine.api.events import PATH as EVENTS
from wayfare_engine.api.explain import DecisionRecord, Explainer
from wayfare_engine.api.lists import MOST as MOST_MEMBERS
from wayfare_engine.api.lists import PATH as LISTS
from wayfare_engine.api.lists import MemberRequest, MembersResponse, write_members
from wayfare_engine.api.openapi import content, one_or_many, responses, with_schemas
from wayfare_engine.api.opt_outs import MOST as MOST_OPT_OUTS
from wayfare_engine.api.opt_outs import PATH as OPT_OUTS
from wayfare_engine.api.opt_outs import OptOutRequest, OptOutsResponse, write_opt_outs
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
from wayfare_engine.facts import Ack
from wayfare_engine.identity import Scope
from wayfare_engine.metrics import CONTENT_TYPE, exposition
from wayfare_engine.web import problems
from wayfare_engine.web.body import credential, read_body


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
        open_channels=state.open_channels,
        draining=lambda: state.draining,
        authenticator=state.authenticator,
        ledger=state.ledger,
        metrics=state.metrics,
        clock=state.clock,
        ids=state.ids,
        site=state.settings.site,
        body_limit=state.settings.body_limit,
        committed=state.settings.decision_ack == "committed",
    )
    state.tell_epoch(hot.write_under)
    explainer = Explainer(state.postgresql, state.ledger)

    @app.post(
        PATH,
        summary="Decide",
        description="One decision for one customer and slot. 200 with journey null when nothing "
        "qualifies. Scope: decide.",
        openapi_extra={"requestBody": content(DecisionRequest, required=True)},
        responses=responses(DecisionResponse, 400, 401, 403, 404, 413, 422, 503),
    )
    async def decide() -> None:
        raise AssertionError("DecisionRoute answers before FastAPI is asked")

    @app.get(
        PATH + "/{decision_id}",
        summary="Read a decision back",
        description="The whole record, each loser with its reason. Scope: decisions:read.",
        responses=responses(DecisionRecord, 401, 403, 404, 503),
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
        openapi_extra={"requestBody": one_or_many(EventRequest, MOST)},
        responses=responses(EventsResponse, 400, 401, 403, 408, 413, 422, 503)
        | {202: {"description": "committed, and not yet journaled", **content(EventsResponse)}},
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
            "requestBody": one_or_many(ReceiptRequest, MOST_RECEIPTS),
            "security": [],
        },
        responses=responses(ReceiptsResponse, 400, 401, 408, 413, 422, 503),
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

    @app.get(CALLBACKS, include_in_schema=False)
    @app.post(
        CALLBACKS,
        summary="A provider's own call",
        description="The raw request goes to the channel's plugin, which proves it and reads the "
        "receipts in it; they are then as signed ones. Also as GET. It needs no API key. 503: make "
        "the call again after `Retry-After`.",
        openapi_extra={"security": []},
        responses=responses(ReceiptsResponse, 400, 401, 408, 413, 503),
    )
    async def callbacks(
        request: Request, channel: Annotated[str, Path(max_length=127)]
    ) -> Response:
        body = await take_callback(
            request,
            channel,
            limit=state.settings.callbacks_body_limit,
            callbacks=state.callbacks,
            postgresql=state.postgresql,
            writer=state.facts,
            metrics=state.metrics.receipts,
            clock=state.clock,
        )
        return Response(body, media_type="application/json")

    @app.post(
        OPT_OUTS,
        summary="Write opt-outs",
        description=f"One opt-out, or an array of at most {MOST_OPT_OUTS}. 200 once all are "
        "committed: no send's turn passes them from then on. 503: nothing is acknowledged; send "
        "the same again after `Retry-After`. Scope: opt-outs:write.",
        openapi_extra={"requestBody": one_or_many(OptOutRequest, MOST_OPT_OUTS)},
        responses=responses(OptOutsResponse, 400, 401, 403, 408, 413, 422, 503),
    )
    async def opt_outs(request: Request) -> Response:
        key = credential(list(request.scope["headers"]))
        state.authenticator.require(key, Scope.OPT_OUTS_WRITE)
        raw = await read_body(request.scope, request.receive, state.settings.events_body_limit)
        body = await write_opt_outs(raw, state.facts, state.clock)
        return Response(body, media_type="application/json")

    @app.post(
        LISTS,
        summary="Put customers on a list, or take them off",
        description=f"One customer, or an array of at most {MOST_MEMBERS}. 200 once all are "
        "committed. What a list means is in the Engine's governance. Scope: lists:write.",
        openapi_extra={"requestBody": one_or_many(MemberRequest, MOST_MEMBERS)},
        responses=responses(MembersResponse, 400, 401, 403, 404, 408, 413, 422, 503),
    )
    async def members(request: Request, name: Annotated[str, Path(max_length=63)]) -> Response:
        key = credential(list(request.scope["headers"]))
        state.authenticator.require(key, Scope.LISTS_WRITE)
        raw = await read_body(request.scope, request.receive, state.settings.events_body_limit)
        body = await write_members(raw, name, state.facts, state.clock)
        return Response(body, media_type="application/json")

    send_routes.install(app, state)
    outbox_routes.install(app, state)
    task_routes.install(app, state)

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

    @app.get(
        "/activez",
        summary="Whether this site acts",
        description="200 at the site that holds the highest epoch it knows of, also while the "
        "object store is away (`sends` is `held` then); 503 once there is a higher epoch, after "
        "this site stood down, and where the epoch was never taken. `why` and `holder` say more.",
    )
    async def activez() -> Response:
        active, body = state.activity()
        return _json(body, 200 if active else 503)

    @app.get("/metrics", summary="Metrics for Prometheus")
    async def metrics() -> Response:
        return Response(exposition(state.metrics.registry), media_type=CONTENT_TYPE)

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return HTMLResponse(PAGE)

    _count_requests(app, state)
    app.openapi = with_schemas(app)  # type: ignore[method-assign]
    return hot


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
