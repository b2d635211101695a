"""ChannelsTested: a test send through every channel ends in a sink.

The whole way is gone: planned, its turn, rendered, handed over. Before anything is sent each
channel's host is asked what it is; where one is no sink, nothing is sent at all.
"""

from __future__ import annotations

import secrets
import time
from typing import Any, Final

import httpx
import msgspec
from psycopg import Connection

from wayfare_engine.channels.contract import Description
from wayfare_engine.outbox.channel import NOBODY
from wayfare_engine.plan import Plan
from wayfare_engine.recovery.checks.check import Check, Cost, Found, Step, failed, passed, unknown
from wayfare_engine.recovery.checks.looking import EngineAt, Looking, Source
from wayfare_engine.resources import CheckLevel
from wayfare_engine.runs.http_asking import ask, client

SINK: Final = "sink"
_SECONDS: Final = 5.0
_WAIT_SECONDS: Final = 60.0
_LOOK_SECONDS: Final = 0.1
_FINAL: Final = frozenset({"accepted", "rejected", "expired", "unknown"})
_ADDRESS: Final = "wayfare-check@example.invalid"


class _Refused(Exception):
    """The engine did not take, or does not tell of, the tests."""


def _ask(at: Looking) -> Found:
    assert at.engine is not None, "the check says that it needs the engine"
    with at.database() as connection:
        plan = _plan(connection)
    if plan is None:
        return unknown("no plan was published here, so no channel is known")
    hosted = {name: channel for name, channel in plan.channels.items() if channel.url}
    figures: dict[str, Any] = {
        "channels": len(plan.channels),
        "tested": 0,
        "accepted": 0,
        "withoutHost": len(plan.channels) - len(hosted),
    }
    addresses = at.settings.channel_hosts if at.settings is not None else {}
    elsewhere = {}
    with client() as asking:
        for name, channel in sorted(hosted.items()):
            plugin = _plugin(asking, addresses.get(name, channel.url))
            if plugin != SINK:
                elsewhere[name] = plugin
    if elsewhere:
        said = ", ".join(f"{name} ({plugin})" for name, plugin in elsewhere.items())
        return unknown(
            f"not every channel ends in a sink here, so nothing was sent: {said}", figures
        )
    try:
        ended = _test(at.engine, plan, sorted(hosted), at)
    except _Refused as refused:
        return unknown(str(refused), figures)
    figures |= {
        "tested": len(ended),
        "accepted": sum(1 for one in ended.values() if one.get("state") == "accepted"),
    }
    bad = [one | {"channel": name} for name, one in ended.items() if one.get("state") != "accepted"]
    if bad:
        said = "; ".join(f"{o['channel']}: {o.get('state')}: {o.get('why', '')}" for o in bad)
        return failed(f"a test did not reach its sink: {said}", figures, bad, sends=ended)
    what = f"{len(ended)} tests reached their sinks"
    if figures["withoutHost"]:
        what += f"; {figures['withoutHost']} channels have no host and were not tested"
    return passed(what, figures, sends=ended)


def _plan(connection: Connection[Any]) -> Plan | None:
    row = connection.execute(
        "SELECT p.body FROM wayfare.plans p JOIN wayfare.wanted_plan USING (digest)", binary=True
    ).fetchone()
    return None if row is None else Plan.from_bytes(bytes(row[0]))


def _plugin(asking: httpx.Client, url: str) -> str:
    """What a host says that it is; a sentence when it says nothing."""
    try:
        answer = ask(asking, "GET", f"{url.rstrip('/')}/v1/describe", seconds=_SECONDS)
        return msgspec.json.decode(answer.body, type=Description).plugin
    except (httpx.TransportError, httpx.InvalidURL):
        return "its host does not answer"
    except msgspec.MsgspecError:
        return "its host does not say what it is"


def _test(engine: EngineAt, plan: Plan, names: list[str], at: Looking) -> dict[str, dict[str, Any]]:
    """Where each test stands in the end, by channel. Raises _Refused."""
    if not names:
        return {}
    base = engine.urls[0].rstrip("/")
    key = f"check-{secrets.token_hex(8)}"
    asked = [
        {
            "channel": name,
            "customer_id": f"{NOBODY}{key}",
            "key": f"{key}-{number}",
            "journey": "wayfare-check",
            "content": _content(plan, name),
            "test": True,
            "address": _ADDRESS,
            "expires_after": f"{_WAIT_SECONDS:g}s",
        }
        for number, name in enumerate(names)
    ]
    with client(engine.api_key) as asking:
        planned = _json(asking, "POST", f"{base}/v1/sends", json=asked)["sends"]
        keys = {name: one["send_key"] for name, one in zip(names, planned, strict=True)}
        ended: dict[str, dict[str, Any]] = {}
        deadline = time.monotonic() + _WAIT_SECONDS
        while True:
            for name, send_key in keys.items():
                if ended.get(name, {}).get("state") not in _FINAL:
                    found = _json(asking, "GET", f"{base}/v1/sends/{send_key}")
                    ended[name] = {
                        field: found.get(field)
                        for field in ("send_key", "state", "why", "provider_id", "attempts")
                    }
            left = [name for name, one in ended.items() if one["state"] not in _FINAL]
            if not left or time.monotonic() > deadline:
                return ended
            at.say(f"ChannelsTested: waiting for {', '.join(left)}")
            time.sleep(_LOOK_SECONDS)


def _content(plan: Plan, channel: str) -> dict[str, Any]:
    """What some journey sends through the channel; nothing where none does."""
    for journey, source in sorted(plan.sources.get("Journey", {}).items()):
        for node in source.spec.get("nodes") or ():
            send = node.get("send") or {}
            reference = send.get("channelRef") or {}
            namespace = reference.get("namespace") or journey.partition("/")[0]
            if send and f"{namespace}/{reference.get('name')}" == channel:
                found: dict[str, Any] = send.get("content") or {}
                return found
    return {}


def _json(asking: httpx.Client, method: str, url: str, **given: Any) -> dict[str, Any]:
    answer = ask(asking, method, url, seconds=_SECONDS, **given)
    if answer.status != 200:
        raise _Refused(f"the engine answers {answer.status} to {httpx.URL(url).path}")
    try:
        return msgspec.json.decode(answer.body, type=dict[str, Any])
    except msgspec.MsgspecError:
        raise _Refused("the engine answers with no JSON") from None


CHECK = Check(
    name="ChannelsTested",
    level=CheckLevel.SERVICE,
    gate=True,
    cost=Cost.FULL,
    guards="A test send through every channel that has a host goes the whole way and ends in a "
    "sink.",
    seen="Where each test ended, and the sink's name for it.",
    unclear="A channel's host is no sink (then nothing is sent), or the engine does not take the "
    "tests.",
    steps=frozenset({Step.ISOLATED}),
    needs=(Source.ENGINE, Source.DATABASE),
    ask=_ask,
)
