"""Errors as RFC 9457 problem details."""

from __future__ import annotations

from dataclasses import dataclass, field
from http import HTTPStatus

import msgspec
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from wayfare_engine.errors import Denied

log = structlog.get_logger(__name__)

MEDIA_TYPE = "application/problem+json"
_TYPE = "urn:wayfare:problem:"


@dataclass(frozen=True)
class FieldError:
    """One place in the request that is wrong; `path` as in `$.context.page`."""

    path: str
    message: str


@dataclass(eq=False)
class Problem(Exception):
    """An answer that is not the one asked for. `kind` is a word in kebab case."""

    status: int
    kind: str
    detail: str
    errors: tuple[FieldError, ...] = ()
    headers: tuple[tuple[bytes, bytes], ...] = field(default=())

    def body(self) -> bytes:
        """The problem as JSON."""
        content: dict[str, object] = {
            "type": _TYPE + self.kind,
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
        }
        if self.errors:
            content["errors"] = list(self.errors)
        return msgspec.json.encode(content)

    def response(self) -> Response:
        """The problem as a Starlette response."""
        return Response(
            self.body(),
            status_code=self.status,
            media_type=MEDIA_TYPE,
            headers={k.decode(): v.decode() for k, v in self.headers},
        )


def denied(error: Denied) -> Problem:
    """The problem of a request without a right."""
    if error.status == 401:
        challenge = ((b"www-authenticate", b'Bearer realm="wayfare"'),)
        return Problem(401, "not-authenticated", error.detail, headers=challenge)
    return Problem(error.status, "not-permitted", error.detail)


def install(app: FastAPI) -> None:
    """Make every error of the application a problem."""

    async def on_problem(_: Request, error: Exception) -> Response:
        assert isinstance(error, Problem)
        return error.response()

    async def on_denied(_: Request, error: Exception) -> Response:
        assert isinstance(error, Denied)
        return denied(error).response()

    async def on_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        details = {
            404: f"there is nothing at {request.url.path}",
            405: f"{request.method} is not possible at {request.url.path}",
        }
        kind = {404: "no-such-path", 405: "method-not-allowed"}.get(error.status_code, "refused")
        allowed = (error.headers or {}).items()
        return Problem(
            error.status_code,
            kind,
            details.get(error.status_code, str(error.detail)),
            headers=tuple((k.encode(), v.encode()) for k, v in allowed),
        ).response()

    async def on_validation(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        places = tuple(
            FieldError("$." + ".".join(str(p) for p in e["loc"][1:]), str(e["msg"]))
            for e in error.errors()
        )
        return Problem(
            422, "wrong-types", "the request has fields that are wrong", places
        ).response()

    async def on_anything(request: Request, error: Exception) -> Response:
        log.error("request.failed", path=request.url.path, exc_info=error)
        return Problem(500, "internal", "the request failed inside; it was logged").response()

    app.add_exception_handler(Problem, on_problem)
    app.add_exception_handler(Denied, on_denied)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(RequestValidationError, on_validation)
    app.add_exception_handler(Exception, on_anything)
