"""`POST /v1/preview`: what a customer would be sent. Nothing is planned, and nothing leaves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass

import msgspec
import structlog

from wayfare_engine.api.sends import checked_content, known_channel
from wayfare_engine.content import Renderer, RenderProblem
from wayfare_engine.web.decoding import decoded
from wayfare_engine.web.problems import Problem

log = structlog.get_logger(__name__)

PATH = "/v1/preview"


class PreviewRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """For whom, through which channel, and what a journey's node would give."""

    channel: str
    customer_id: str
    content: msgspec.Raw = msgspec.field(default_factory=lambda: msgspec.Raw(b"{}"))


class PreviewResponse(msgspec.Struct, frozen=True):
    """The parts as the plugin would be given them; `problem` says why there are none."""

    parts: dict[str, str]
    problem: str = ""


def _no_channels() -> Collection[str]:
    return ()


def _no_renderer(channel: str) -> Renderer | None:
    return None


@dataclass
class Outgoing:
    """What a serving pod knows of channels: their names, and the renderer of each that has one."""

    channels: Callable[[], Collection[str]] = _no_channels
    renderer: Callable[[str], Renderer | None] = _no_renderer


_request = msgspec.json.Decoder(PreviewRequest)
_content = msgspec.json.Decoder(dict[str, object])


async def preview(raw: bytes, outgoing: Outgoing) -> bytes:
    """Body of the answer. Raises Problem."""
    request = decoded(_request, raw)
    known_channel(request.channel, "$.channel", outgoing.channels())
    content = _content.decode(checked_content(request.content, "$.content"))
    renderer = outgoing.renderer(request.channel) or Renderer(None, None, lambda _: {})
    try:
        # A look-up may wait for PostgreSQL, and a template may take a moment.
        parts = await asyncio.to_thread(_parts, renderer, request.customer_id, content)
    except RenderProblem as problem:
        return msgspec.json.encode(PreviewResponse({}, str(problem)))
    except Exception as error:
        log.exception("preview.failed")
        told = f"the customers cannot be read now ({type(error).__name__})"
        raise Problem(503, "store-away", told) from None
    return msgspec.json.encode(PreviewResponse(parts))


def _parts(renderer: Renderer, customer: str, content: dict[str, object]) -> dict[str, str]:
    values = renderer.customers(customer) if renderer.needed else {}
    if values is None:
        raise RenderProblem("the customer is not known, or was erased")
    return renderer.parts(values, content)
