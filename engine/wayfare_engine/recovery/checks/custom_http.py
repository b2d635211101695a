"""A check of a user's own that is a request: its status, and what its answer has to hold."""

from __future__ import annotations

from functools import partial
from typing import Any

import httpx
import msgspec

from wayfare_engine.recovery.checks.asking import MOST_BODY, ask, client
from wayfare_engine.recovery.checks.check import Check, Cost, Found, Step, failed, passed
from wayfare_engine.recovery.checks.looking import Looking
from wayfare_engine.resources import CheckLevel, parse_duration
from wayfare_engine.resources.recovery_checks import CustomCheck


def custom_http(given: CustomCheck) -> Check:
    """The check that a plan describes; ValueError for one that is a Job, which is the operator's.

    It is a gate where the plan names it as one.
    """
    if given.http is None:
        raise ValueError(f"the check {given.name} is no HTTP check")
    return Check(
        name=given.name,
        level=CheckLevel(given.level),
        gate=False,
        cost=Cost.CHEAP,
        guards="A check of the plan's own.",
        seen="Status, size and time of the answer.",
        unclear="Never: what does not answer has failed.",
        steps=frozenset({Step.ISOLATED, Step.VERIFY_SERVING, Step.SCHEDULE}),
        needs=(),
        ask=partial(_ask, given),
    )


def _ask(given: CustomCheck, at: Looking) -> Found:
    wanted = given.http
    assert wanted is not None, "custom_http looked"
    seconds = parse_duration(wanted.timeout).total_seconds()
    where = _said(wanted.url)
    try:
        with client() as asking:
            answer = ask(asking, "GET", wanted.url, seconds=seconds)
    except httpx.TimeoutException:
        return failed(f"{where} did not answer in {seconds:g} s", {"seconds": seconds})
    except (httpx.TransportError, httpx.InvalidURL) as error:
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        return failed(f"{where}: {why}")
    figures: dict[str, Any] = {
        "status": answer.status,
        "bytes": len(answer.body),
        "seconds": round(answer.seconds, 3),
    }
    if answer.status != wanted.status:
        return failed(f"{where} answered {answer.status}, not {wanted.status}", figures)
    if answer.cut:
        return failed(f"{where} answered with more than {MOST_BODY:,} bytes", figures)
    if wanted.contains is not None and wanted.contains.encode() not in answer.body:
        return failed(f"the answer of {where} does not contain what it has to", figures)
    if wanted.field is not None:
        try:
            found = field_of(answer.body, wanted.field.path)
        except LookupError as missing:
            return failed(f"{where}: {missing.args[0]}", figures)
        if found != wanted.field.equals:
            return failed(
                f"{where}: {wanted.field.path} is not {wanted.field.equals!r}",
                figures,
                [{"path": wanted.field.path, "wanted": wanted.field.equals, "found": found[:256]}],
            )
    return passed(f"{where} answered {answer.status}, as it has to", figures)


def _said(url: str) -> str:
    """The address without query and user: they may be secrets."""
    parts = httpx.URL(url)
    return f"{parts.scheme}://{parts.host}{f':{parts.port}' if parts.port else ''}{parts.path}"


def field_of(body: bytes, path: str) -> str:
    """The value at `a.b.0` of a JSON answer, a text as it is and anything else as JSON writes it.
    Raises LookupError, saying what is missing."""
    try:
        found: Any = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise LookupError("the answer is no JSON") from None
    for name in path.split("."):
        if isinstance(found, list) and name.isdigit() and int(name) < len(found):
            found = found[int(name)]
        elif isinstance(found, dict) and name in found:
            found = found[name]
        else:
            raise LookupError(f"the answer has no field {path}")
    return found if isinstance(found, str) else msgspec.json.encode(found).decode()
