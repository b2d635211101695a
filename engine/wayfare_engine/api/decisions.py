"""The hot route: `POST /v1/decisions`, as plain ASGI in front of FastAPI.

Straight-line on purpose; why it goes past FastAPI: docs/decisions/hot-route.md. The route is in the
OpenAPI page all the same.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Annotated, Any

import msgspec
import structlog
from starlette.types import ASGIApp, Receive, Scope, Send

from wayfare_engine.api.snapshot import Snapshot, row_hex
from wayfare_engine.decide import UnknownSlot
from wayfare_engine.errors import Denied
from wayfare_engine.facts import LedgerWriter
from wayfare_engine.identity import Authenticator
from wayfare_engine.identity import Scope as KeyScope
from wayfare_engine.ledger import Kind, LedgerRow
from wayfare_engine.ledger.bodies import Decision, Winner
from wayfare_engine.metrics import ServeMetrics
from wayfare_engine.web.body import credential, read_body
from wayfare_engine.web.decoding import MALFORMED, malformed, wrong_field, wrong_types
from wayfare_engine.web.problems import MEDIA_TYPE, FieldError, Problem, denied

log = structlog.get_logger(__name__)

PATH = "/v1/decisions"

#: Kept as the bytes that came, so that the record is exact; decoded beside it.
_Object = Annotated[msgspec.Raw, msgspec.Meta(extra_json_schema={"type": "object"})]


class DecisionRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a channel asks: which offer for this customer in this slot, seen this context."""

    customer: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
    slot: Annotated[str, msgspec.Meta(min_length=1, max_length=253)]
    context: _Object = msgspec.field(default_factory=lambda: msgspec.Raw(b"{}"))


class DecisionResponse(msgspec.Struct, frozen=True):
    """The answer. `journey`, `node` and `content` are null when nothing qualifies; `degraded`
    names what the decision did without. `open_channels`: those that the slot's offers lead to and
    through which nothing leaves now; `alternative`: the journey's alternative is shown for that."""

    decision_id: str
    slot: str
    journey: str | None
    node: str | None
    content: Any
    reason: str
    degraded: tuple[str, ...]
    plan: str
    open_channels: tuple[str, ...] = ()
    alternative: bool = False


#: How long an answer waits for its commit, where it waits at all.
_COMMIT_SECONDS = 2.0
_request = msgspec.json.Decoder(DecisionRequest)
_context = msgspec.json.Decoder(dict[str, Any])
_encode = msgspec.json.Encoder().encode
_JSON_HEADER = (b"content-type", b"application/json")
_PROBLEM_HEADER = (b"content-type", MEDIA_TYPE.encode())


class DecisionRoute:
    """ASGI application that answers the hot route and hands everything else to `inner`."""

    def __init__(
        self,
        inner: ASGIApp,
        *,
        snapshot: Callable[[], Snapshot | None],
        degraded: Callable[[], tuple[str, ...]],
        open_channels: Callable[[], frozenset[str]],
        draining: Callable[[], bool],
        authenticator: Authenticator,
        ledger: LedgerWriter,
        metrics: ServeMetrics,
        clock: Callable[[], datetime],
        ids: Callable[[], uuid.UUID],
        site: str,
        body_limit: int,
        committed: bool = False,
    ) -> None:
        self._inner = inner
        self._snapshot = snapshot
        self._degraded = degraded
        self._open_channels = open_channels
        self._draining = draining
        self._authenticator = authenticator
        self._ledger = ledger
        self._metrics = metrics
        self._clock = clock
        self._ids = ids
        self._site = site
        #: Under which rows are made; 0 while this site may make none.
        self._epoch = 0
        self._body_limit = body_limit
        self._committed = committed

    def write_under(self, epoch: int) -> None:
        """Make rows under this epoch from now on; 0: answer that this site does not act."""
        self._epoch = epoch

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or scope["path"] != PATH or scope["method"] != "POST":
            await self._inner(scope, receive, send)
            return
        problem: Problem | None = None
        body = b""
        try:
            self._authenticator.require(credential(scope["headers"]), KeyScope.DECIDE)
            raw = await read_body(scope, receive, self._body_limit)
            began = time.perf_counter()
            decision_id, body = self.decide(raw)
            if self._committed and not await self._ledger.committed(decision_id, _COMMIT_SECONDS):
                raise _not_committed()
            self._metrics.decision_seconds.observe(time.perf_counter() - began)
        except Denied as error:
            problem = denied(error)
        except Problem as error:
            problem = error
        except Exception:
            log.exception("decision.failed")
            problem = Problem(500, "internal", "the decision failed inside; it was logged")
        if problem is not None:
            body = problem.body()
        status = problem.status if problem else 200
        self._metrics.requests.labels(PATH, str(status)).inc()
        sent: list[tuple[bytes, bytes]] = [
            _PROBLEM_HEADER if problem else _JSON_HEADER,
            (b"content-length", str(len(body)).encode()),
            *(problem.headers if problem else ()),
        ]
        if status in (408, 413) or self._draining():
            # What is left of the body is not read; and a client of a pod that ends goes elsewhere.
            sent.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": status, "headers": sent})
        await send({"type": "http.response.body", "body": body})

    def decide(self, raw: bytes) -> tuple[uuid.UUID, bytes]:
        """Request body to the decision's id and the answer's body; puts the row in the ledger's
        buffer. Raises Problem."""
        request, context = decode(raw)
        snapshot = self._snapshot()
        if snapshot is None:
            raise Problem(
                503, "not-ready", "no plan is loaded yet", headers=((b"retry-after", b"1"),)
            )
        epoch = self._epoch
        if not epoch:
            raise _not_acting()
        if request.slot not in snapshot.decider.slots:
            raise unknown_slot(request.slot)
        dense = snapshot.dense(request.customer)
        if dense is None:
            raise Problem(
                404,
                "unknown-customer",
                f"there is no customer {request.customer!r}",
                (FieldError("$.customer", "unknown"),),
            )
        at = self._clock()
        row = snapshot.matrix.row(dense)
        channels = self._open_channels()
        if channels:
            channels &= snapshot.decider.channels(request.slot)
        try:
            decision = snapshot.decider.decide(request.slot, row, context, at, channels)
        except UnknownSlot:
            raise unknown_slot(request.slot) from None
        winner = decision.winner
        degraded = self._degraded()
        plan = snapshot.plan.digest
        decision_id = self._ids()
        taken = self._ledger.put(
            LedgerRow(
                id=decision_id,
                site=self._site,
                epoch=epoch,
                kind=Kind.DECISION,
                key=None,
                version=None,
                customer_id=request.customer,
                at=at,
                body=_encode(
                    Decision(
                        customer=request.customer,
                        slot=request.slot,
                        context=request.context,
                        at=at,
                        plan=plan,
                        customers_version=snapshot.customers_version,
                        winner=Winner(winner.journey, winner.node) if winner else None,
                        reason=decision.reason,
                        degraded=degraded,
                        row=row_hex(row),
                        open_channels=tuple(sorted(channels)),
                    )
                ).decode(),
            )
        )
        if not taken:
            if self._committed:
                raise _not_committed()
            degraded = (*degraded, "ledger")
        self._metrics.decisions.labels(request.slot, "offered" if winner else "nothing").inc()
        return decision_id, _encode(
            DecisionResponse(
                decision_id=str(decision_id),
                slot=request.slot,
                journey=winner.journey if winner else None,
                node=winner.node if winner else None,
                content=decision.content,
                reason=decision.reason,
                degraded=degraded,
                plan=plan,
                open_channels=tuple(sorted(channels)),
                alternative=decision.alternative,
            )
        )


def decode(raw: bytes) -> tuple[DecisionRequest, Mapping[str, Any]]:
    """Parse strictly; raises Problem 400 for what is no JSON and 422 for wrong types."""
    try:
        request = _request.decode(raw)
        context = context_of(request.context)
    except msgspec.ValidationError as error:
        raise wrong_types(error) from None
    except MALFORMED as error:
        raise malformed(error) from None
    if "\0" in request.customer:
        raise wrong_field("$.customer", "a NUL character cannot be part of a customer's id")
    return request, context


def context_of(raw: msgspec.Raw) -> dict[str, Any]:
    """A recorded or received context; raises Problem 422 with the path inside it."""
    try:
        return _context.decode(raw)
    except msgspec.ValidationError as error:
        raise wrong_types(error, "$.context") from None


def _not_acting() -> Problem:
    return Problem(
        503,
        "not-acting",
        "this site never held the right to act; ask the site that holds it",
        headers=((b"retry-after", b"2"),),
    )


def _not_committed() -> Problem:
    return Problem(
        503,
        "store-away",
        "the decision is not known to be committed; ask again",
        headers=((b"retry-after", b"2"),),
    )


def unknown_slot(slot: str) -> Problem:
    """No journey of the plan has this slot."""
    return Problem(
        404, "unknown-slot", f"no journey has a slot {slot!r}", (FieldError("$.slot", "unknown"),)
    )
