"""`POST /v1/callbacks/{channel}`: a provider's call in its own form, which the channel's plugin
reads and proves; what it says goes the way of signed receipts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import structlog
from starlette.requests import Request

from wayfare_engine.api.receipts import (
    MOST,
    ReceiptAnswer,
    ReceiptRequest,
    receipts_answer,
    said,
    write_said,
)
from wayfare_engine.channels.contract import Receipt
from wayfare_engine.facts import CommittedWriter
from wayfare_engine.metrics import ReceiptMetrics
from wayfare_engine.receipts.callbacks import Callbacks, NotNow, NotTheProvider, Unusable, call
from wayfare_engine.receipts.matching import Said
from wayfare_engine.store.postgresql import Postgresql
from wayfare_engine.web.body import read_body
from wayfare_engine.web.problems import Problem

log = structlog.get_logger(__name__)

PATH = "/v1/callbacks/{channel:path}"


async def take_callback(
    request: Request,
    channel: str,
    *,
    limit: int,
    callbacks: Callbacks,
    postgresql: Postgresql,
    writer: CommittedWriter,
    metrics: ReceiptMetrics,
    clock: Callable[[], datetime],
) -> bytes:
    """Body of the answer, once everything is committed. Raises Problem; 401 is the same for a call
    of a stranger, a channel that there is not, and one that takes no receipts."""
    raw = await read_body(request.scope, request.receive, limit)
    try:
        found = await callbacks.receipts(
            channel, call(request.headers.items(), request.query_params, raw)
        )
    except NotTheProvider:
        metrics.callbacks.labels("refused").inc()
        detail = "this is no call of a provider whose receipts this channel takes"
        raise Problem(401, "not-authenticated", detail) from None
    except Unusable as error:
        metrics.callbacks.labels("refused").inc()
        raise Problem(400, "malformed-call", str(error)) from None
    except NotNow as error:
        metrics.callbacks.labels("not-now").inc()
        again = ((b"retry-after", b"5"),)
        detail = f"{error}; make the call again"
        raise Problem(503, "host-away", detail, headers=again) from None
    usable = _usable(found, channel, clock())
    answers: list[ReceiptAnswer] = []
    for start in range(0, len(usable), MOST):
        answers += await write_said(
            usable[start : start + MOST],
            channel,
            postgresql=postgresql,
            writer=writer,
            metrics=metrics,
        )
    metrics.callbacks.labels("taken").inc()
    return receipts_answer(answers)


def _usable(found: list[Receipt], channel: str, now: datetime) -> list[Said]:
    """Without what a plugin got wrong: the provider can do nothing about that, and its other
    receipts count."""
    usable = []
    for place, one in enumerate(found):
        names = ReceiptRequest.__struct_fields__
        request = ReceiptRequest(**{name: getattr(one, name) for name in names})
        try:
            if request.at is not None and request.at.tzinfo is None:
                raise Problem(422, "wrong-types", "a time has no zone")
            usable.append(said(request, channel, f"$[{place}]", now))
        except Problem as problem:
            log.error("callbacks.receipt", channel=channel, problem=problem.detail)
    return usable
