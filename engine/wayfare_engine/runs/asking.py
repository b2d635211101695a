"""What the site that drives a run asks of the other, and what that answers; both are signed.

A signature is bound to plan, number and uid of the run, to the place among its requests, and to
everything that is asked: copied to another place, another run or another plan it does not hold.
An answer is bound to the signature of its request.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec

from wayfare_engine.crashpoints import crash_point
from wayfare_engine.objectstore import ObjectStore, paths
from wayfare_engine.runs.objects import canonical, put_once, read
from wayfare_engine.runs.problems import BadKey, BadSignature
from wayfare_engine.runs.records import Answer, Outcome, Request, Run

SHORTEST_KEY = 32
"""Characters."""

_before_ask = crash_point("runs.request.before_put", "nothing yet: the request comes next")
_after_ask = crash_point("runs.request.put", "the request is in the store")
_before_answer = crash_point("runs.answer.before_put", "what was asked; the answer comes next")
_after_answer = crash_point("runs.answer.put", "the answer is in the store")


@dataclass(frozen=True)
class Keys:
    """The keys that requests are signed with: the first signs, each of them is accepted, so that
    a key can be changed at one site after the other."""

    accepted: tuple[bytes, ...] = field(repr=False)

    @classmethod
    def of(cls, text: str) -> Keys:
        """From WAYFARE_RECOVERY_KEY: one key, or the new one and the old one with a comma
        between. Raises BadKey."""
        keys = tuple(part.strip() for part in text.split(",") if part.strip())
        if not keys:
            raise BadKey("is not set")
        if min(map(len, keys)) < SHORTEST_KEY:
            raise BadKey(f"has less than {SHORTEST_KEY} characters")
        return cls(tuple(key.encode() for key in keys))

    def sign(self, content: bytes) -> str:
        """HMAC-SHA256, in hexadecimal digits."""
        return hmac.new(self.accepted[0], content, hashlib.sha256).hexdigest()

    def accept(self, content: bytes, signature: str) -> bool:
        """Whether one of the keys made this signature; in a time that says nothing of it."""
        given = signature.encode()
        made = [hmac.new(k, content, hashlib.sha256).hexdigest().encode() for k in self.accepted]
        return any(hmac.compare_digest(one, given) for one in made)


@dataclass(frozen=True)
class Asked:
    """A request whose signature holds, and its answer; None while there is none."""

    request: Request
    answer: Answer | None


def ask(
    store: ObjectStore,
    keys: Keys,
    run: Run,
    *,
    to_site: str,
    step: str,
    attempt: int,
    what: str,
    arguments: Mapping[str, Any] | None = None,
    at: datetime,
) -> Request:
    """Ask the other site, once for each (step, attempt, what): the request that stands."""
    number = 1
    while True:
        wanted = Request(
            run=run.number,
            number=number,
            from_site=run.target,
            to_site=to_site,
            step=step,
            attempt=attempt,
            what=what,
            arguments=dict(arguments or {}),
            at=at,
            signature="",
        )
        wanted = msgspec.structs.replace(wanted, signature=keys.sign(_asked(run, wanted)))
        path = paths.run_request(run.plan, run.number, number)
        found = put_once(store, path, wanted, before=_before_ask, after=_after_ask)
        _check_request(keys, run, found, path, number)
        if (found.step, found.attempt, found.what) == (step, attempt, what):
            return found
        number += 1


def requests(store: ObjectStore, keys: Keys, run: Run, *, after: int = 0) -> tuple[Asked, ...]:
    """The requests of a run with numbers above `after`, and their answers.

    Raises BadSignature for one that does not hold: nothing after it is obeyed either.
    """
    found: list[Asked] = []
    while True:
        number = after + len(found) + 1
        path = paths.run_request(run.plan, run.number, number)
        request = read(store, path, Request)
        if request is None:
            return tuple(found)
        _check_request(keys, run, request, path, number)
        found.append(Asked(request, read_answer(store, keys, run, request)))


def answer(
    store: ObjectStore,
    keys: Keys,
    run: Run,
    request: Request,
    *,
    outcome: Outcome,
    message: str,
    figures: Mapping[str, Any] | None = None,
    at: datetime,
    by: str,
) -> Answer:
    """Answer a request, once: the answer that stands."""
    wanted = Answer(
        run=run.number,
        number=request.number,
        outcome=outcome,
        figures=dict(figures or {}),
        message=message,
        at=at,
        by=by,
        signature="",
    )
    wanted = msgspec.structs.replace(wanted, signature=keys.sign(_answered(run, request, wanted)))
    path = paths.run_answer(run.plan, run.number, request.number)
    found = put_once(store, path, wanted, before=_before_answer, after=_after_answer)
    return _check_answer(keys, run, request, found, path)


def read_answer(store: ObjectStore, keys: Keys, run: Run, request: Request) -> Answer | None:
    """The answer to a request; None while there is none. Raises BadSignature."""
    path = paths.run_answer(run.plan, run.number, request.number)
    found = read(store, path, Answer)
    return None if found is None else _check_answer(keys, run, request, found, path)


def request_holds(keys: Keys, run: Run, request: Request) -> bool:
    """Whether a request's signature holds for this run; of its place, only its own word."""
    return keys.accept(_asked(run, request), request.signature)


def answer_holds(keys: Keys, run: Run, request: Request, given: Answer) -> bool:
    """Whether an answer's signature holds for this request of this run."""
    return keys.accept(_answered(run, request, given), given.signature)


def _check_request(keys: Keys, run: Run, found: Request, path: str, number: int) -> None:
    if (found.run, found.number, found.from_site) != (run.number, number, run.target):
        raise BadSignature(
            path,
            f"it is request {found.number} of run {found.run} from site {found.from_site}, and "
            "was put here",
        )
    if not request_holds(keys, run, found):
        raise BadSignature(path, "its signature does not hold for this run")


def _check_answer(keys: Keys, run: Run, request: Request, found: Answer, path: str) -> Answer:
    if (found.run, found.number) != (run.number, request.number):
        raise BadSignature(
            path, f"it answers request {found.number} of run {found.run}, and was put here"
        )
    if not answer_holds(keys, run, request, found):
        raise BadSignature(path, "its signature does not hold for this request")
    return found


def _asked(run: Run, request: Request) -> bytes:
    """What a request's signature is made over."""
    content = msgspec.structs.asdict(request) | {"signature": None}
    return b"wayfare request\n" + canonical([run.plan, run.uid, content])


def _answered(run: Run, request: Request, given: Answer) -> bytes:
    """What an answer's signature is made over."""
    content = msgspec.structs.asdict(given) | {"signature": None}
    return b"wayfare answer\n" + canonical([run.plan, run.uid, request.signature, content])
