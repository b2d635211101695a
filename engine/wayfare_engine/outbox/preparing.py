"""The message of a send, made right before its hand-over; see docs/decisions/late-rendering.md."""

from __future__ import annotations

from dataclasses import replace

import structlog

from wayfare_engine.content import RenderProblem
from wayfare_engine.outbox.channel import Channel, Send
from wayfare_engine.outbox.outcome import Ended

log = structlog.get_logger(__name__)

_LONGEST = 300


def prepared(channel: Channel, send: Send) -> Send | Ended:
    """The send as it is handed over, or how it ended, which is certain: nothing has left.

    What cannot be made for this customer is rejected. A repeat of what is in doubt is not: its
    earlier attempt may have taken effect, so it stays in doubt. What could not be made now (the
    database is away) has its turn again.
    """
    if channel.prepare is None:
        return send
    try:
        made = channel.prepare(send)
    except RenderProblem as problem:
        return Ended(
            send, "Held" if send.in_doubt else "Rejected", f"cannot be said: {problem}"[:_LONGEST]
        )
    except Exception as error:
        log.exception("outbox.prepare", send_key=send.send_key)
        return Ended(send, "NotAccepted", f"the message was not made: {type(error).__name__}")
    return replace(send, payload=made.payload_json, address=made.address)
