"""The routes of tasks: listing and reading them, and what people do with one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import FastAPI, Path, Query, Request
from starlette.responses import Response

from wayfare_engine.api.openapi import content, responses
from wayfare_engine.api.state import ServeState
from wayfare_engine.api.tasks import (
    MOST,
    PATH,
    Change,
    CloseRequest,
    ReturnRequest,
    State,
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
from wayfare_engine.identity import Scope
from wayfare_engine.tasks.storage import Wanted
from wayfare_engine.web.body import credential, read_body

_ACTIONS = (
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


def install(app: FastAPI, state: ServeState) -> None:
    """Add them."""

    @app.get(
        PATH,
        summary="List tasks",
        description="Work items for people, those that are due first. Scope: tasks.",
        responses=responses(TasksResponse, 401, 403, 422, 503),
    )
    async def tasks(
        request: Request,
        assignee: Annotated[str | None, Query(max_length=128)] = None,
        state_: Annotated[State | None, Query(alias="state")] = None,
        customer: Annotated[str | None, Query(max_length=128)] = None,
        after: Annotated[
            str | None, Query(max_length=64, description="The `next` of the answer before.")
        ] = None,
        limit: Annotated[int, Query(ge=1, le=MOST, description="At most so many.")] = 100,
    ) -> Response:
        state.authenticator.require(credential(list(request.scope["headers"])), Scope.TASKS)
        body = await listed(state.postgresql, Wanted(assignee, state_, customer, after, limit))
        return Response(body, media_type="application/json")

    @app.get(
        PATH + "/{task_id}",
        summary="Read a task",
        description="As it stands. Scope: tasks.",
        responses=responses(TaskAnswer, 401, 403, 404, 503),
    )
    async def task(request: Request, task_id: Annotated[str, Path(max_length=64)]) -> Response:
        state.authenticator.require(credential(list(request.scope["headers"])), Scope.TASKS)
        return Response(await read(state.postgresql, task_id), media_type="application/json")

    for action, decode, model, summary, description in _ACTIONS:
        _add_action(app, state, action, decode, model, summary, description)


def _add_action(
    app: FastAPI,
    state: ServeState,
    action: str,
    decode: Callable[[bytes], Change],
    model: type,
    summary: str,
    description: str,
) -> None:
    @app.post(
        f"{PATH}/{{task_id}}/{action}",
        name=f"{action}_task",
        summary=summary,
        description=f"{description} The same call again is answered with the task as it stands. "
        "Scope: tasks.",
        openapi_extra={"requestBody": content(model, required=True)},
        responses=responses(TaskAnswer, 400, 401, 403, 404, 408, 409, 413, 422, 503),
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
