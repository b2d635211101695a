"""The routes of channels that are pulled: fetching sends, and acknowledging them."""

from __future__ import annotations

from typing import Annotated

from fastapi import FastAPI, Path, Query, Request
from starlette.responses import Response

from wayfare_engine.api.openapi import many, responses
from wayfare_engine.api.outbox import (
    MOST,
    PATH,
    AcknowledgementRequest,
    AcknowledgementsResponse,
    OutboxResponse,
    acknowledge,
    fetch,
    lease_seconds,
)
from wayfare_engine.api.state import ServeState
from wayfare_engine.identity import Scope
from wayfare_engine.web.body import credential, read_body


def install(app: FastAPI, state: ServeState) -> None:
    """Add them."""

    @app.get(
        PATH,
        summary="Fetch sends",
        description="Sends of a channel that is pulled, those that are due first, each under a "
        "lease of its own. Throw the answer away when it came later than its `within` seconds "
        "after you asked. Scope: outbox:pull.",
        responses=responses(OutboxResponse, 401, 403, 404, 422, 503),
    )
    async def pull(
        request: Request,
        channel: Annotated[str, Path(max_length=127)],
        limit: Annotated[int, Query(ge=1, le=MOST, description="At most so many.")] = 100,
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
            renderer=state.outgoing.renderer,
            metrics=state.metrics.pull,
        )
        return Response(body, media_type="application/json")

    @app.post(
        PATH,
        summary="Acknowledge sends",
        description=f"What became of at most {MOST} sends that were fetched, each under its "
        "lease. 200 once every outcome is committed; send the call again after anything else. "
        "Scope: outbox:pull.",
        openapi_extra={"requestBody": many(AcknowledgementRequest, MOST)},
        responses=responses(AcknowledgementsResponse, 400, 401, 403, 408, 413, 422, 503),
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
