"""A check of a user's own that is a request: its status, and what its answer has to hold.

It needs neither database nor store, so whoever makes a step can ask: its Job, or the operator.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import httpx
import msgspec

from wayfare_engine.resources import CheckLevel, Verdict, parse_duration
from wayfare_engine.resources.recovery_checks import CustomCheck
from wayfare_engine.runs.http_asking import MOST_BODY, ask, client


@dataclass(frozen=True)
class HttpFound:
    """What a request found: Passed or Failed, a sentence, figures, and what is wrong."""

    verdict: Verdict
    message: str
    figures: dict[str, Any] = field(default_factory=dict)
    findings: list[Any] = field(default_factory=list)


def step_of(check: CustomCheck) -> str:
    """The step of a run in which a check of one's own is made (a drill makes all in Verify): what
    looks at machines and data before there is no way back, what looks at a service when it serves.
    """
    return "Verify" if check.level in (CheckLevel.SYSTEM, CheckLevel.DATA) else "VerifyServing"


def look(given: CustomCheck) -> HttpFound:
    """Ask once. What does not answer has failed; this never raises for what a network does."""
    wanted = given.http
    assert wanted is not None, "the check is a request"
    seconds = parse_duration(wanted.timeout).total_seconds()
    try:
        where = _said(wanted.url)
        with client() as asking:
            answer = ask(asking, "GET", wanted.url, seconds=seconds)
    except httpx.TimeoutException:
        return _failed(f"{where} did not answer in {seconds:g} s", {"seconds": seconds})
    except httpx.InvalidURL:
        return _failed("its url is not one")
    except httpx.HTTPError as error:
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        return _failed(f"{where}: {why}")
    figures: dict[str, Any] = {
        "status": answer.status,
        "bytes": len(answer.body),
        "seconds": round(answer.seconds, 3),
    }
    if answer.status != wanted.status:
        return _failed(f"{where} answered {answer.status}, not {wanted.status}", figures)
    if answer.cut:
        return _failed(f"{where} answered with more than {MOST_BODY:,} bytes", figures)
    if wanted.contains is not None and wanted.contains.encode() not in answer.body:
        return _failed(f"the answer of {where} does not contain what it has to", figures)
    if wanted.field is not None:
        try:
            found = field_of(answer.body, wanted.field.path)
        except LookupError as missing:
            return _failed(f"{where}: {missing.args[0]}", figures)
        if found != wanted.field.equals:
            return _failed(
                f"{where}: {wanted.field.path} is not {wanted.field.equals!r}",
                figures,
                [{"path": wanted.field.path, "wanted": wanted.field.equals, "found": found[:256]}],
            )
    said = f"{where} answered {answer.status}, as it has to"
    return HttpFound(Verdict.PASSED, said, figures)


def _failed(
    message: str, figures: dict[str, Any] | None = None, findings: list[Any] | None = None
) -> HttpFound:
    return HttpFound(Verdict.FAILED, message, figures or {}, findings or [])


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
