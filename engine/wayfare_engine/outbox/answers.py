"""What goes into a call of a host, and what its answer means: decided here and nowhere else.

Only what the contract names is definite; all else, a plain 500 too, leaves the send in doubt.
"""

from __future__ import annotations

import msgspec

from wayfare_engine.channels.contract import UNREADABLE, Description
from wayfare_engine.outbox.channel import Answer, HandOver, Result

#: There is no such path at a host that takes no batches, and nothing started then.
_NO_BATCHES = 404


class _Said(msgspec.Struct):
    """An answer, as far as it concerns a worker. Texts may be longer than the contract says."""

    result: str | None = None
    detail: str = ""
    provider_id: str | int | None = None


class _Accepted(msgspec.Struct):
    accepted: bool


class Unreadable:
    """The host could not read a batch, or takes none: nothing of it started."""


_UNREADABLE = Unreadable()
_encoder = msgspec.json.Encoder()
_said = msgspec.json.Decoder(_Said)
_several = msgspec.json.Decoder(list[_Said | None])
_accepted = msgspec.json.Decoder(_Accepted)
_description = msgspec.json.Decoder(Description)
#: What decoding raises, of what is nested without end too.
_NO_JSON = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_LONGEST_TEXT = 1024
#: PostgreSQL has no NUL in a text; the others would be lines of a log of their own.
_CONTROLS = dict.fromkeys(range(32), " ") | {127: " "}
_RESULTS = {
    (200, "Accepted"): Result.ACCEPTED,
    (422, "Rejected"): Result.REJECTED,
    (503, "NotAccepted"): Result.NOT_ACCEPTED,
    (408, "Late"): Result.LATE,
}
_OF_BATCH = {result: meant for (_, result), meant in _RESULTS.items()}


def encoded(what: HandOver) -> bytes:
    """A hand-over's JSON."""
    send = what.send
    more: dict[str, object] = {} if send.address is None else {"address": send.address}
    if send.test:
        more["test"] = True
    return _encoder.encode(
        {
            **more,
            "send_key": send.send_key,
            "customer": send.customer,
            "channel": send.channel,
            "site": what.site,
            "epoch": what.epoch,
            "attempt": send.attempt,
            "remaining": round(what.remaining, 6),
            "clock": what.reading.text,
            "payload": msgspec.Raw(send.payload.encode()),
        }
    )


def meaning(status: int, data: bytes) -> Answer:
    """Of the answer to one send."""
    try:
        said = _said.decode(data) if data else _Said()
    except _NO_JSON:
        said = _Said()
    if status in UNREADABLE:
        # Nothing of this attempt; of an earlier one it says nothing, as a rejection would.
        text = f"the host cannot read the hand-over: {_text(said.detail)}"[:300]
        return Answer(Result.NOT_ACCEPTED, text)
    result = _RESULTS.get((status, said.result or ""))
    if result is None:
        text = f"status {status} without a declared result"
        return Answer(Result.IN_DOUBT, f"{text}: {said.detail}"[:300] if said.detail else text)
    return _answer(result, said)


def meanings(count: int, status: int, data: bytes) -> list[Answer] | Unreadable:
    """Of the answer to a batch of `count` sends: one each, in their order."""
    if status in (*UNREADABLE, _NO_BATCHES):
        return _UNREADABLE
    try:
        found = _several.decode(data) if status == 200 else []
    except _NO_JSON:
        found = []
    if len(found) != count:
        text = f"status {status} without an answer to each of the batch"
        return [Answer(Result.IN_DOUBT, text)] * count
    return [_one_of_batch(said) for said in found]


def took_effect(status: int, data: bytes) -> bool | None:
    """Of the answer to a question about a key; None where it is none."""
    try:
        return _accepted.decode(data).accepted if status == 200 else None
    except _NO_JSON:
        return None


def described(status: int, data: bytes) -> int:
    """How many sends a host takes at once, by its description; 1 where it gives none."""
    try:
        return _description.decode(data).batch_size if status == 200 else 1
    except _NO_JSON:
        return 1


def _one_of_batch(said: _Said | None) -> Answer:
    result = None if said is None else _OF_BATCH.get(said.result or "")
    if said is None or result is None:
        return Answer(Result.IN_DOUBT, "the host cannot say what became of it")
    return _answer(result, said)


def _answer(result: Result, said: _Said) -> Answer:
    if result is Result.ACCEPTED:
        return Answer(result, _text(said.detail), _name(said.provider_id))
    if result is Result.LATE:
        return Answer(result, "the host refused a late start")
    return Answer(result, _text(said.detail))


def _text(said: str) -> str:
    """As it can be stored and shown."""
    return said[:_LONGEST_TEXT].translate(_CONTROLS)


def _name(said: str | int | None) -> str | None:
    """The provider's name for it; None for one that cannot be stored: half a name is nobody's."""
    name = None if said is None else str(said)
    if name is None or len(name) > _LONGEST_TEXT or name != name.translate(_CONTROLS):
        return None
    return name
