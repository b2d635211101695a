"""A plan whose every way out leads into a sink.

Only addresses change, so everything is decided and rendered as in production. `pull` and `task`
have no address: what waits there waits inside the copy, which nobody from outside can ask.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from psycopg import Connection

from wayfare_engine.plan import Plan


def sunk(plan: Plan, sink: str) -> Plan:
    """The plan with this address in the place of every host's. Pure."""
    channels = {
        name: msgspec.structs.replace(channel, url=sink) if channel.url else channel
        for name, channel in plan.channels.items()
    }
    return msgspec.structs.replace(plan, channels=channels)


def wanted(connection: Connection[Any]) -> Plan | None:
    """The plan that this database's pods are to serve. Raises psycopg.Error, PlanFormatError."""
    row = connection.execute(
        "SELECT p.body FROM wayfare.plans p JOIN wayfare.wanted_plan USING (digest)", binary=True
    ).fetchone()
    return None if row is None else Plan.from_bytes(bytes(row[0]))


def copy_plans(source: Connection[Any], fork: Connection[Any], sink: str) -> Plan | None:
    """Bring all plans that decisions may name; what is wanted there is the plan with sinks.

    Plans are published by an operator and are in no journal. Returns the plan of `source`, None
    when it has none. Safe to repeat; `fork` is in autocommit mode. Raises psycopg.Error.
    """
    present = wanted(source)
    with fork.transaction():
        for digest, body in source.execute("SELECT digest, body FROM wayfare.plans", binary=True):
            _keep(fork, str(digest), bytes(body))
        if present is not None:
            plan = sunk(present, sink)
            _keep(fork, plan.digest, plan.to_bytes())
            fork.execute(
                "INSERT INTO wayfare.wanted_plan (single, digest) VALUES (true, %s) "
                "ON CONFLICT (single) DO UPDATE SET digest = excluded.digest",
                (plan.digest,),
            )
    return present


def outward(plan: Plan, sink: str) -> Mapping[str, str]:
    """Channels of a plan that lead anywhere but to the sink, with their addresses. Pure."""
    return {
        name: channel.url
        for name, channel in plan.channels.items()
        if channel.url and channel.url != sink
    }


def _keep(fork: Connection[Any], digest: str, body: bytes) -> None:
    fork.execute(
        "INSERT INTO wayfare.plans (digest, body) VALUES (%s, %s) ON CONFLICT (digest) DO NOTHING",
        (digest, body),
    )
