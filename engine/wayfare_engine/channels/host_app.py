"""The contract over HTTP, for one plugin: FastAPI's routes, and the clock on every answer.

Bodies that cannot be read are 400 with the place, never 422: that is a provider's definite refusal
here. Every answer without one of the four results is an RFC 9457 problem.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec
from fastapi import FastAPI, Request
from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from wayfare_engine.channels import openapi
from wayfare_engine.channels.contract import (
    CLOCK_HEADER,
    MOST_BYTES,
    MOST_IN_KEY,
    STATUS,
    VERSION,
    Answer,
    Callback,
    Check,
    Description,
    HandOver,
    Receipt,
    Rendered,
)
from wayfare_engine.channels.failures import Failed, NotOffered
from wayfare_engine.channels.host import Host
from wayfare_engine.web import problems
from wayfare_engine.web.body import read_body
from wayfare_engine.web.decoding import MALFORMED, malformed, wrong_types
from wayfare_engine.web.problems import Problem

T = TypeVar("T")
_HAND_OVER = msgspec.json.Decoder(HandOver)
_HAND_OVERS = msgspec.json.Decoder(list[HandOver])
_CALLBACK = msgspec.json.Decoder(Callback)


def make_app(host: Host) -> ASGIApp:
    """The application over `host`."""
    app = make_routes(host)

    async def with_clock(scope: Scope, receive: Receive, send: Send) -> None:
        async def stamped(message: Message) -> None:
            if message["type"] == "http.response.start":
                # Read as the answer leaves: the later, the more time a caller has.
                MutableHeaders(scope=message)[CLOCK_HEADER] = host.clock.reading()
            await send(message)

        await app(scope, receive, stamped)

    return with_clock


def make_routes(host: Host) -> FastAPI:
    """The routes alone, whose OpenAPI document is the contract's."""
    app = FastAPI(
        title="Wayfare channel host",
        version=VERSION,
        description=openapi.DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        openapi_url=f"/{VERSION}/openapi.json",
    )
    problems.install(app)
    _install(app)

    @app.get(
        f"/{VERSION}/describe",
        summary="What this host is",
        responses=openapi.answers({200: ("the host", Description)}),
    )
    async def describe() -> Response:
        return _json(host.plugin.description())

    @app.get(
        f"/{VERSION}/clock",
        summary="Its clock, in the header",
        responses=openapi.answers({200: ("nothing", None)}),
    )
    async def clock() -> Response:
        return _json({})

    @app.post(
        f"/{VERSION}/send",
        summary="Hand one send over",
        openapi_extra=openapi.body(HandOver),
        responses=openapi.answers(openapi.SEND, 400, 413, 500, 504),
    )
    async def send(request: Request) -> Response:
        what = await _read(request, _HAND_OVER)
        answer = await host.send(what)
        return _json(answer, STATUS[answer.result])

    @app.post(
        f"/{VERSION}/send-batch",
        summary="Hand several over",
        description="Answers stand in the order of the sends; null: that send is in doubt. At most "
        "`batch_size` of the description.",
        openapi_extra=openapi.body(list[HandOver]),
        responses=openapi.answers({200: ("an answer a send", list[Answer | None])}, 400, 404, 413),
    )
    async def send_batch(request: Request) -> Response:
        sends = await _read(request, _HAND_OVERS)
        if host.plugin.batch_size < len(sends):
            most = host.plugin.batch_size
            raise Problem(400, "batch-too-long", f"{len(sends)} sends; at most {most} at once")
        return _json(await host.send_batch(sends))

    @app.get(
        f"/{VERSION}/query/{{send_key:path}}",
        summary="Whether a key took effect",
        description="Of hosts whose dedupe is Query.",
        responses=openapi.answers(
            {200: ("whether it did", openapi.Accepted)}, 400, 404, 500, 503, 504
        ),
    )
    async def query(send_key: str) -> Response:
        if len(send_key) > MOST_IN_KEY:
            raise Problem(400, "wrong-types", f"a send key has at most {MOST_IN_KEY} characters")
        return _json(openapi.Accepted(accepted=await host.query(send_key)))

    @app.post(
        f"/{VERSION}/receipt",
        summary="Read what the provider called with",
        description="400 for a call that the provider did not make.",
        openapi_extra=openapi.body(Callback),
        responses=openapi.answers(
            {200: ("what it says", list[Receipt])}, 400, 404, 413, 500, 503, 504
        ),
    )
    async def receipt(request: Request) -> Response:
        return _json(await host.receipts(await _read(request, _CALLBACK)))

    @app.post(
        f"/{VERSION}/preview",
        summary="What the customer would see",
        description="Nothing leaves; `clock` and `remaining` are not looked at.",
        openapi_extra=openapi.body(HandOver),
        responses=openapi.answers({200: ("its parts", Rendered)}, 400, 413, 500, 503, 504),
    )
    async def preview(request: Request) -> Response:
        return _json(await host.preview(await _read(request, _HAND_OVER)))

    @app.post(
        f"/{VERSION}/check",
        summary="Whether the provider is there and knows us",
        responses=openapi.answers({200: ("whether it is", Check)}, 500, 503),
    )
    async def check() -> Response:
        return _json(await host.check())

    @app.get("/livez", include_in_schema=False)
    async def livez() -> Response:
        return _json({"alive": True})

    @app.get("/readyz", include_in_schema=False)
    async def readyz() -> Response:
        return _json({"ready": not host.ending}, 503 if host.ending else 200)

    app.openapi = openapi.with_schemas(app)  # type: ignore[method-assign]
    return app


def _install(app: FastAPI) -> None:
    def as_problem(
        make: Callable[[Any], Problem],
    ) -> Callable[[Request, Exception], Awaitable[Response]]:
        async def handler(_: Request, error: Exception) -> Response:
            return make(error).response()

        return handler

    kinds = {400: "not-the-provider", 500: "plugin-failed", 503: "full", 504: "out-of-time"}
    app.add_exception_handler(
        Failed, as_problem(lambda e: Problem(e.status, kinds[e.status], e.detail))
    )
    app.add_exception_handler(
        NotOffered, as_problem(lambda e: Problem(404, "not-offered", e.detail))
    )


async def _read(request: Request, decoder: msgspec.json.Decoder[T]) -> T:
    """The body; raises Problem 400 with the place, 408, 413."""
    raw = await read_body(request.scope, request.receive, MOST_BYTES)
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as error:
        wrong = wrong_types(error)
        raise Problem(400, wrong.kind, wrong.detail, wrong.errors) from None
    except MALFORMED as error:
        raise malformed(error) from None


def _json(body: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(body), status_code=status, media_type="application/json")
