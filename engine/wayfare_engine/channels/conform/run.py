"""Running the checks against one host."""

from __future__ import annotations

import inspect
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

import httpx

from wayfare_engine.channels.conform.checks import CHECKS
from wayfare_engine.channels.conform.talk import Skip, Talk, Wrong
from wayfare_engine.channels.contract import VERSION
from wayfare_engine.errors import MISSING, SaidToPeople

_CONNECTIONS = 64


@dataclass(frozen=True)
class Outcome:
    """One check. `promise` is what the contract says, `detail` what was seen instead, or why the
    check is not for this host."""

    name: str
    promise: str
    state: Literal["passed", "failed", "skipped"]
    detail: str = ""


@dataclass(eq=False)
class Unreachable(SaidToPeople):
    """Nothing that speaks HTTP answers there."""

    exit_code = MISSING

    place: str
    cause: str

    def __str__(self) -> str:
        return f"no channel host answers at {self.place}: {self.cause}"


async def conform(
    url: str, *, prefix: str, payload: Mapping[str, Any], address: str | None, seconds: float
) -> list[Outcome]:
    """Try every promise; an outcome a check, in their order. `prefix` begins every send key, and
    must be this run's own; `seconds` is for each request. Raises Unreachable."""
    limits = httpx.Limits(max_connections=_CONNECTIONS)
    tls = ssl.create_default_context() if url.startswith("https:") else False
    async with httpx.AsyncClient(
        base_url=url, timeout=seconds, limits=limits, trust_env=False, verify=tls
    ) as client:
        try:
            await client.get(f"/{VERSION}/describe")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            # The address may hold a password: only its host is said.
            place = urlsplit(url).netloc.rpartition("@")[2] or "no address"
            raise Unreachable(place, type(error).__name__) from None
        talk = Talk(client, prefix=prefix, payload=payload, address=address)
        return [await _outcome(name, talk) for name in CHECKS]


async def _outcome(name: str, talk: Talk) -> Outcome:
    promise = inspect.getdoc(CHECKS[name]) or ""
    try:
        await CHECKS[name](talk)
    except Wrong as wrong:
        return Outcome(name, promise, "failed", str(wrong))
    except Skip as why:
        return Outcome(name, promise, "skipped", str(why))
    return Outcome(name, promise, "passed")
