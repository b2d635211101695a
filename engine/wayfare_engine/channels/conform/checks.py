"""The checks, in the order in which they run. Each raises Wrong or Skip, or passes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Final

from wayfare_engine.channels.conform.lateness import (
    effect_seen,
    late_foreign,
    late_remaining,
    late_stale,
)
from wayfare_engine.channels.conform.talk import Skip, Talk, Wrong, read
from wayfare_engine.channels.contract import (
    CLOCK_HEADER,
    MOST_BYTES,
    VERSION,
    Answer,
    Check,
    Description,
    Key,
    Query,
    Receipt,
    Rendered,
)

_AT_ONCE = 20
_LARGEST_TRIED = 200


async def describe(talk: Talk) -> None:
    """Says what it is, for this version of the contract."""
    found = read(await talk.ask("GET", f"/{VERSION}/describe"), Description)
    if found.contract != VERSION:
        raise Wrong(f"it speaks contract {found.contract!r}, and this is {VERSION!r}")
    talk.description = found


async def send(talk: Talk) -> None:
    """A send has one of the four results, under its status."""
    answer = await talk.send("send")
    if answer.result == "Late":
        raise Wrong("a send with five seconds left is Late")


async def unknown_fields(talk: Talk) -> None:
    """Fields of newer workers are ignored."""
    answer = await talk.send("unknown-fields", ofTomorrow={"deep": [1, None]})
    if answer.result == "Late":
        raise Wrong("a send with a field that is not known is Late")


async def malformed(talk: Talk) -> None:
    """A body that cannot be read is refused with 400 to 499, and not with 500."""
    good = await talk.hand_over("malformed")
    bodies: dict[str, bytes] = {
        "no body": b"",
        "no JSON": b'{"send_key": ',
        "no UTF-8": b'{"send_key": "\xff\xfe"}',
        "an array": b"[]",
        "JSON nested deeply": b"[" * 100_000,
        "an object without fields": b"{}",
        "epoch as text": json.dumps(good | {"epoch": "one"}).encode(),
        "payload as a list": json.dumps(good | {"payload": []}).encode(),
        "remaining as null": json.dumps(good | {"remaining": None}).encode(),
        "no clock": json.dumps({k: v for k, v in good.items() if k != "clock"}).encode(),
        "an empty send key": json.dumps(good | {"send_key": ""}).encode(),
    }
    for name, body in bodies.items():
        answer = await talk.ask(
            "POST", f"/{VERSION}/send", content=body, headers={"Content-Type": "application/json"}
        )
        if not 400 <= answer.status_code < 500:
            raise Wrong(f"{name}: status {answer.status_code}")


async def oversize(talk: Talk) -> None:
    """A body above the limit is refused with 413, and has no effect."""
    what = await talk.hand_over("oversize", payload={"text": "x" * MOST_BYTES})
    answer = await talk.ask("POST", f"/{VERSION}/send", json=what)
    if answer.status_code != 413:
        raise Wrong(f"a body of more than {MOST_BYTES} bytes: status {answer.status_code}")
    if await effect_seen(talk, "oversize"):
        raise Wrong("it is refused, and took effect")


async def no_such_path(talk: Talk) -> None:
    """A path that is not in the contract is 404."""
    answer = await talk.ask("GET", f"/{VERSION}/no-such-path")
    if answer.status_code != 404:
        raise Wrong(f"status {answer.status_code}")


async def same_key(talk: Talk) -> None:
    """The same key twice has the first answer twice, of class Key."""
    talk.needs(Key)
    first, second = await talk.accepted("same-key"), await talk.send("same-key")
    if (first.result, first.provider_id) != (second.result, second.provider_id):
        raise Wrong(f"first {_said(first)}, then {_said(second)}")


async def query(talk: Talk) -> None:
    """Says that an accepted key took effect, and that an unknown one did not, of class Query."""
    talk.needs(Query)
    await talk.accepted("query")
    if not await talk.took_effect("query"):
        raise Wrong("it was accepted, and is said not to have taken effect")
    if await talk.took_effect("query-never-sent"):
        raise Wrong("it was never sent, and is said to have taken effect")


async def batch(talk: Talk) -> None:
    """A batch has an answer a send, in order; what is late in it is not started."""
    size = min(talk.description.batch_size, 5)
    if size == 1:
        raise Skip("it takes no batches")
    late = size - 2
    names = [f"batch-{place}" for place in range(size)]
    sends = [
        await talk.hand_over(name, **({"remaining": 0} if place == late else {}))
        for place, name in enumerate(names)
    ]
    answers = read(
        await talk.ask("POST", f"/{VERSION}/send-batch", json=sends), list[Answer | None]
    )
    if len(answers) != size:
        raise Wrong(f"{len(answers)} answers to {size} sends")
    found = [place for place, one in enumerate(answers) if one is not None and one.result == "Late"]
    if found != [late]:
        raise Wrong(f"the send at place {late} was late, and those at {found} are said to be")
    if await effect_seen(talk, names[late]):
        raise Wrong("the send that was late took effect")
    await _keep_their_names(talk, dict(zip(names, answers, strict=True)))


async def batch_too_long(talk: Talk) -> None:
    """A batch of more than its size is refused with 400 to 499."""
    size = talk.description.batch_size
    if not 1 < size <= _LARGEST_TRIED:
        raise Skip("it takes no batches" if size == 1 else f"its batches are large: {size}")
    # All are late: nothing leaves from a host that takes them.
    one = await talk.hand_over("batch-too-long", remaining=0)
    answer = await talk.ask("POST", f"/{VERSION}/send-batch", json=[one] * (size + 1))
    if not 400 <= answer.status_code < 500:
        raise Wrong(f"{size + 1} sends: status {answer.status_code}")


async def at_once(talk: Talk) -> None:
    """Twenty sends at once each have their own answer; none is in doubt."""
    names = [f"at-once-{number}" for number in range(_AT_ONCE)]
    answers = await asyncio.gather(*(talk.send(name) for name in names))
    late = sum(answer.result == "Late" for answer in answers)
    if late:
        raise Wrong(f"{late} of {_AT_ONCE} are Late")
    await _keep_their_names(talk, dict(zip(names, answers, strict=True)))


async def preview(talk: Talk) -> None:
    """A preview shows text, and has no effect."""
    what = await talk.hand_over("preview")
    read(await talk.ask("POST", f"/{VERSION}/preview", json=what), Rendered)
    if await effect_seen(talk, "preview"):
        raise Wrong("it took effect")


async def check(talk: Talk) -> None:
    """Says whether its provider is there."""
    found = read(await talk.ask("POST", f"/{VERSION}/check", json={}), Check)
    if not found.ok and not found.problem:
        raise Wrong("ok is false, and no problem is said")


async def receipt(talk: Talk) -> None:
    """A call that the provider did not make is refused with 400 to 499, or says nothing."""
    if not talk.description.receipt_states:
        raise Skip("it knows no receipts")
    call = {"headers": {}, "query": {}, "body": "conformance test"}
    answer = await talk.ask("POST", f"/{VERSION}/receipt", json=call)
    if 400 <= answer.status_code < 500:
        return
    if read(answer, list[Receipt]):
        raise Wrong("it believes a call without a sender")


async def clock(talk: Talk) -> None:
    """Every answer carries the host's clock."""
    first = talk.without_clock[:3]
    if first:
        count = len(talk.without_clock)
        raise Wrong(f"{count} of {talk.answers} have no {CLOCK_HEADER}: {', '.join(first)}")


#: By name; `clock` is the last, because it looks at every answer that the others had.
CHECKS: Final[dict[str, Callable[[Talk], Awaitable[None]]]] = {
    "describe": describe,
    "send": send,
    "late-stale": late_stale,
    "late-foreign": late_foreign,
    "late-remaining": late_remaining,
    "unknown-fields": unknown_fields,
    "malformed": malformed,
    "oversize": oversize,
    "no-such-path": no_such_path,
    "same-key": same_key,
    "query": query,
    "batch": batch,
    "batch-too-long": batch_too_long,
    "at-once": at_once,
    "preview": preview,
    "check": check,
    "receipt": receipt,
    "clock": clock,
}


async def _keep_their_names(talk: Talk, answers: dict[str, Answer | None]) -> None:
    """That no answer is another send's: repeats of class Key have the same provider's names, and
    hosts of class Query know each."""
    accepted = {name: one for name, one in answers.items() if one and one.result == "Accepted"}
    try:
        dedupe = talk.description.dedupe
    except Skip:
        return
    for name, answer in accepted.items():
        if isinstance(dedupe, Key) and answer.provider_id is not None:
            again = await talk.send(name)
            if again.provider_id != answer.provider_id:
                raise Wrong(f"{name}: first {_said(answer)}, alone {_said(again)}")
        if isinstance(dedupe, Query) and not await talk.took_effect(name):
            raise Wrong(f"{name} was accepted, and is said not to have taken effect")


def _said(answer: Answer) -> str:
    return answer.result + (f" as {answer.provider_id}" if answer.provider_id is not None else "")
