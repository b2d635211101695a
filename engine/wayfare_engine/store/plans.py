"""SQL of plans: their bytes, which one is wanted, and who serves which."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from psycopg import AsyncConnection, sql

from wayfare_engine.store import channels

Connection = AsyncConnection[Any]


@dataclass(frozen=True)
class Acknowledgement:
    """A serving pod's word that it answers by a plan; `age_seconds` since it last said so."""

    pod: str
    pod_uid: str
    plan: str
    age_seconds: float


async def publish(connection: Connection, digest: str, body: bytes) -> None:
    """Store the plan, make it the wanted one and tell the pods, in one transaction."""
    async with connection.transaction():
        await connection.execute(
            "INSERT INTO wayfare.plans (digest, body) VALUES (%s, %s) "
            "ON CONFLICT (digest) DO UPDATE SET last_used_at = now()",
            (digest, body),
        )
        await connection.execute(
            "INSERT INTO wayfare.wanted_plan (single, digest) VALUES (true, %s) "
            "ON CONFLICT (single) DO UPDATE SET digest = excluded.digest, wanted_at = now() "
            "WHERE wanted_plan.digest <> excluded.digest",
            (digest,),
        )
        await notify(connection, channels.PLAN, digest)


async def wanted(connection: Connection) -> str | None:
    """Digest of the wanted plan."""
    row = await (await connection.execute("SELECT digest FROM wayfare.wanted_plan")).fetchone()
    return str(row[0]) if row else None


async def body(connection: Connection, digest: str) -> bytes | None:
    """A plan's bytes."""
    cursor = await connection.execute(
        "SELECT body FROM wayfare.plans WHERE digest = %s", (digest,), binary=True
    )
    row = await cursor.fetchone()
    return bytes(row[0]) if row else None


async def acknowledge(connection: Connection, *, pod_uid: str, pod: str, plan: str) -> None:
    """Say that the pod serves this plan; repeated as a heartbeat."""
    async with connection.transaction():
        await connection.execute(
            "INSERT INTO wayfare.plan_acknowledgements (pod_uid, pod, plan) VALUES (%s, %s, %s) "
            "ON CONFLICT (pod_uid) DO UPDATE SET pod = excluded.pod, plan = excluded.plan, "
            "at = now()",
            (pod_uid, pod, plan),
        )
        # Kept as long as decisions name it; once a minute is exact enough for that.
        await connection.execute(
            "UPDATE wayfare.plans SET last_used_at = now() "
            "WHERE digest = %s AND last_used_at < now() - interval '1 minute'",
            (plan,),
        )


async def withdraw(connection: Connection, pod_uid: str) -> None:
    """The pod serves no longer."""
    await connection.execute(
        "DELETE FROM wayfare.plan_acknowledgements WHERE pod_uid = %s", (pod_uid,)
    )


async def acknowledgements(connection: Connection) -> list[Acknowledgement]:
    """What every pod said last."""
    cursor = await connection.execute(
        "SELECT pod, pod_uid, plan, extract(epoch FROM now() - at)::float8 "
        "FROM wayfare.plan_acknowledgements ORDER BY pod, pod_uid"
    )
    return [Acknowledgement(*row) for row in await cursor.fetchall()]


async def clean(connection: Connection, *, retention_seconds: float) -> int:
    """Remove plans that nobody has served for so long, and words of pods long gone."""
    await connection.execute(
        "DELETE FROM wayfare.plan_acknowledgements WHERE at < now() - interval '10 minutes'"
    )
    cursor = await connection.execute(
        "DELETE FROM wayfare.plans p WHERE last_used_at < now() - make_interval(secs => %s) "
        "AND NOT EXISTS (SELECT FROM wayfare.wanted_plan w WHERE w.digest = p.digest) "
        "AND NOT EXISTS (SELECT FROM wayfare.plan_acknowledgements a WHERE a.plan = p.digest)",
        (retention_seconds,),
    )
    return cursor.rowcount


async def notify(connection: Connection, channel: str, payload: str) -> None:
    """NOTIFY, when the transaction commits."""
    await connection.execute(sql.SQL("SELECT pg_notify(%s, %s)"), (channel, payload))
