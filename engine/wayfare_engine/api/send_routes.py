"""The routes of messages: asking for them, where they stand, and what they would say."""

from __future__ import annotations

from typing import Annotated

import msgspec
from fastapi import FastAPI, Path, Request
from starlette.responses import Response

from wayfare_engine.api.openapi import content, one_or_many, responses
from wayfare_engine.api.preview import PATH as PREVIEW
from wayfare_engine.api.preview import PreviewRequest, PreviewResponse, preview
from wayfare_engine.api.sends import MOST as MOST_SENDS
from wayfare_engine.api.sends import PATH as SENDS
from wayfare_engine.api.sends import SendRequest, SendsResponse, write_sends
from wayfare_engine.api.standing import PATH as STANDING
from wayfare_engine.api.standing import SendStanding, read_standing
from wayfare_engine.api.state import ServeState
from wayfare_engine.identity import Scope
from wayfare_engine.web.body import credential, read_body


def install(app: FastAPI, state: ServeState) -> None:
    """Add them."""

    @app.post(
        SENDS,
        summary="Send messages",
        description=f"One send, or an array of at most {MOST_SENDS}. 200 once all are planned; "
        "each leaves when its turn comes. The same journey, customer and key are the same send, "
        "which is planned once. 503: send the same again after `Retry-After`. Scope: sends:write.",
        openapi_extra={"requestBody": one_or_many(SendRequest, MOST_SENDS)},
        responses=responses(SendsResponse, 400, 401, 403, 408, 413, 422, 503),
    )
    async def sends(request: Request) -> Response:
        key = credential(list(request.scope["headers"]))
        state.authenticator.require(key, Scope.SENDS_WRITE)
        limit = state.settings.sends_body_limit
        raw = await read_body(request.scope, request.receive, limit)
        body = await write_sends(
            raw,
            postgresql=state.postgresql,
            channels=state.outgoing.channels(),
            site=state.settings.site,
            ids=state.ids,
            clock=state.clock,
        )
        return Response(body, media_type="application/json")

    @app.get(
        STANDING,
        summary="Where a send stands",
        description="And why it was not sent, if it was not. Scope: sends:read.",
        responses=responses(SendStanding, 401, 403, 404, 503),
    )
    async def one_send(request: Request, send_key: Annotated[str, Path(max_length=64)]) -> Response:
        key = credential(list(request.scope["headers"]))
        state.authenticator.require(key, Scope.SENDS_READ)
        found = await read_standing(
            state.postgresql, send_key, state.outgoing.channels(), state.clock()
        )
        return Response(msgspec.json.encode(found), media_type="application/json")

    @app.post(
        PREVIEW,
        summary="Preview a message",
        description="The parts of a message for one customer. Nothing leaves. It shows what is "
        "known of the customer, as far as the template does. Scope: sends:preview.",
        openapi_extra={"requestBody": content(PreviewRequest, required=True)},
        responses=responses(PreviewResponse, 400, 401, 403, 408, 413, 422, 503),
    )
    async def one_preview(request: Request) -> Response:
        key = credential(list(request.scope["headers"]))
        state.authenticator.require(key, Scope.SENDS_PREVIEW)
        raw = await read_body(request.scope, request.receive, state.settings.body_limit)
        return Response(await preview(raw, state.outgoing), media_type="application/json")
