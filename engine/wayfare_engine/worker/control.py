"""The control API: the operator puts plans here and reads how things stand."""

from __future__ import annotations

import asyncio
import hashlib
import re
import secrets
import zlib
from datetime import timedelta
from importlib.metadata import version
from typing import Annotated, Any

import msgspec
import psycopg
from fastapi import FastAPI, Path, Request
from starlette.responses import Response

from wayfare_engine.identity import storage
from wayfare_engine.identity.keys import Scope, new_key
from wayfare_engine.metrics import CONTENT_TYPE, exposition
from wayfare_engine.plan import Plan, PlanFormatError
from wayfare_engine.store import channel_reports
from wayfare_engine.store import customers as customers_sql
from wayfare_engine.store import memberships as memberships_sql
from wayfare_engine.store import plans as plans_sql
from wayfare_engine.store.migrate import newest_revision
from wayfare_engine.store.postgresql import Away, probe
from wayfare_engine.web import problems
from wayfare_engine.web.body import read_body
from wayfare_engine.web.problems import FieldError, Problem
from wayfare_engine.worker.sending.told import told
from wayfare_engine.worker.state import WorkerState

PLAN_LIMIT = 64 * 1024 * 1024
PROBE = "recovery-probe"
"""Name of the keys by which the operator sees that a site serves."""
PROBE_LIFETIME = timedelta(minutes=10)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}\Z")


def make_app(state: WorkerState) -> FastAPI:
    """The worker's HTTP application."""
    app = FastAPI(
        title="Wayfare engine control",
        version=version("wayfare"),
        docs_url=None,
        redoc_url=None,
    )
    problems.install(app)

    async def store_away(_: Request, error: Exception) -> Response:
        text = str(error).strip().splitlines()
        return Problem(
            503, "store-away", "PostgreSQL is away" + (f": {text[0]}" if text else "")
        ).response()

    for kind in (*Away, psycopg.Error):
        app.add_exception_handler(kind, store_away)

    def authorise(request: Request) -> None:
        if state.tokens is not None:
            state.tokens.require(request.headers.get("authorization"))

    @app.put("/control/v1/plans/{digest}", status_code=204, summary="Publish a plan")
    async def put_plan(request: Request, digest: Annotated[str, Path(max_length=80)]) -> Response:
        authorise(request)
        body = await read_body(request.scope, request.receive, PLAN_LIMIT)
        if request.headers.get("content-encoding") == "gzip":
            body = await asyncio.to_thread(_gunzip, body)
        problem = await asyncio.to_thread(_wrong_plan, digest, body)
        state.metrics.plans.labels("accepted" if problem is None else "refused").inc()
        if problem is not None:
            raise problem
        async with state.postgresql.connection() as connection:
            await plans_sql.publish(connection, digest, body)
        state.wake()
        return Response(status_code=204)

    @app.get("/control/v1/plan", summary="The wanted plan's bytes")
    async def get_plan(request: Request) -> Response:
        authorise(request)
        async with state.postgresql.connection() as connection:
            digest = await plans_sql.wanted(connection)
            body = await plans_sql.body(connection, digest) if digest else None
        if body is None or digest is None:
            raise Problem(404, "no-plan", "no plan was published yet")
        return Response(body, media_type="application/octet-stream", headers={"etag": digest})

    @app.get("/control/v1/status", summary="How things stand")
    async def get_status(request: Request) -> Response:
        authorise(request)
        return _json(await status(state))

    @app.post("/control/v1/probe-keys", status_code=201, summary="A key to ask for decisions")
    async def make_probe_key(request: Request) -> Response:
        authorise(request)
        now = state.clock()
        made = new_key(
            name=PROBE,
            scopes=[Scope.DECIDE],
            now=now,
            expires_at=now + PROBE_LIFETIME,
            random_id=lambda: secrets.token_hex(8),
            random_secret=lambda: secrets.token_urlsafe(32),
        )
        async with state.postgresql.connection() as connection:
            await storage.forget_expired(connection, PROBE, now)
            await storage.add(connection, made.key)
        return _json({"key": made.text, "expiresAt": made.key.expires_at}, 201)

    @app.get("/livez", summary="Whether the process answers")
    async def livez() -> dict[str, bool]:
        return {"alive": True}

    @app.get("/readyz", summary="Whether plans can be put here")
    async def readyz() -> Response:
        ready = state.reached and not state.ending
        body = {"ready": ready, "degraded": [] if state.postgresql_ok else ["postgresql"]}
        return _json(body, 200 if ready else 503)

    @app.get("/metrics", summary="Metrics for Prometheus")
    async def metrics() -> Response:
        return Response(exposition(state.metrics.registry), media_type=CONTENT_TYPE)

    return app


async def status(state: WorkerState) -> dict[str, Any]:
    """What the operator writes into the statuses of its kinds."""
    postgresql, valkey = await asyncio.gather(probe(state.postgresql), state.valkey.probe())
    answer: dict[str, Any] = {
        "wantedPlan": None,
        "schema": {"attributes": []},
        "customers": None,
        "acknowledgements": [],
        "segments": [],
        "channels": [],
        "stores": {
            "postgresql": {
                "ok": postgresql.ok,
                "version": postgresql.version,
                "error": postgresql.error,
            },
            "valkey": {"ok": valkey.ok, "error": valkey.error},
        },
        "schemaRevision": newest_revision(),
        "standing": _standing(state),
    }
    if not postgresql.ok:
        return answer
    async with state.postgresql.connection() as connection:
        digest = await plans_sql.wanted(connection)
        body = None
        if digest is not None and (state.plan is None or state.plan.digest != digest):
            body = await plans_sql.body(connection, digest)
        version = await customers_sql.version(connection)
        schema = await customers_sql.schema(connection)
        acknowledgements = await plans_sql.acknowledgements(connection)
        stored = await memberships_sql.facts(connection)
        reports = await channel_reports.fresh(connection)
        standings = await channel_reports.standings(connection)
        descriptions = await channel_reports.described(connection)
    if body is not None:
        state.plan = await asyncio.to_thread(Plan.from_bytes, body)
    answer |= {
        "wantedPlan": digest,
        "schema": {"attributes": [{"name": n, "type": t} for n, t in schema]},
        "customers": version.customers,
        "customersVersion": version.version,
        "acknowledgements": [
            {"pod": a.pod, "podUid": a.pod_uid, "plan": a.plan, "ageSeconds": a.age_seconds}
            for a in acknowledgements
        ],
        "segments": _segments(state.plan if digest else None, stored),
        "channels": told(reports, standings, descriptions),
    }
    return answer


def _standing(state: WorkerState) -> dict[str, Any] | None:
    view = state.standing.view
    if view is None:
        return None
    answer, followed = state.standing.answer(), state.following.found
    return {
        "site": state.settings.site,
        "epoch": view.stand.epoch,
        "held": view.stand.held,
        "own": view.stand.own,
        "highestSeen": view.stand.highest_seen,
        "state": view.stand.state.value,
        "run": view.stand.run,
        "active": answer.active,
        "sends": answer.sends,
        "holder": answer.holder,
        "why": answer.why,
        "follow": None if followed is None else followed.facts(),
    }


def _segments(
    plan: Plan | None, stored: dict[str, memberships_sql.MembershipFacts]
) -> list[dict[str, Any]]:
    found = []
    for segment in plan.segments if plan is not None else ():
        facts = stored.get(segment.key)
        found.append(
            {
                "name": segment.name,
                "key": segment.key,
                "size": facts.size if facts else None,
                "asOf": facts.as_of if facts else None,
                "digest": facts.digest if facts else None,
                "durationSeconds": facts.duration_seconds if facts else None,
                "error": facts.error if facts else None,
            }
        )
    return found


def _wrong_plan(digest: str, body: bytes) -> Problem | None:
    if not _DIGEST.match(digest):
        return Problem(422, "wrong-digest", "a digest looks like sha256:<64 hexadecimal digits>")
    seen = "sha256:" + hashlib.sha256(body).hexdigest()
    if seen != digest:
        return Problem(
            422,
            "wrong-digest",
            f"the body's digest is {seen}",
            (FieldError("digest", f"said to be {digest}"),),
        )
    try:
        Plan.from_bytes(body)
    except PlanFormatError as error:
        return Problem(422, "plan-format", str(error))
    return None


def _gunzip(body: bytes) -> bytes:
    machine = zlib.decompressobj(wbits=31)
    try:
        opened = machine.decompress(body, PLAN_LIMIT + 1)
    except zlib.error:
        raise Problem(400, "malformed-gzip", "the body is not gzip") from None
    if len(opened) > PLAN_LIMIT or not machine.eof:
        raise Problem(413, "too-large", f"a plan has at most {PLAN_LIMIT} bytes")
    return opened


def _json(body: object, status_code: int = 200) -> Response:
    return Response(
        msgspec.json.encode(body), status_code=status_code, media_type="application/json"
    )
