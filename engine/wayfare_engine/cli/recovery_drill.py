"""What the pod of a drill's engine runs before the engine: the canary, and the drill's epoch."""

from __future__ import annotations

import contextlib
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

#: What Kubernetes shows of a container that ended, and all that the canary can tell.
_TERMINATION_LOG = Path("/dev/termination-log")
CANARY = "WAYFARE_CANARY"


def canary(
    patience: Annotated[
        float, typer.Option(min=0, help="Seconds that a network policy has to be in force.")
    ] = 30.0,
    message: Annotated[
        Path, typer.Option(help="Where the result goes: the container's termination message.")
    ] = _TERMINATION_LOG,
) -> None:
    """Try to get out of a drill, and succeed when nothing leads out.

    WAYFARE_CANARY says what to try, as JSON that step Fork made: addresses of production, of the
    API server and of providers, two objects of the object store that exist, and parts of the drill
    itself, which must be there. Nothing that is tried changes anything, whatever becomes of it.

    Exit codes: 0 nothing led out; 1 something did, or the drill's own parts were not there; 3 the
    variable is missing or not understood.

    Example: WAYFARE_CANARY='{"targets": []}' wayfare recovery canary --message result.json
    """
    import msgspec

    from wayfare_engine.recovery.drill.canary import message as told
    from wayfare_engine.recovery.drill.canary import until_shut
    from wayfare_engine.recovery.drill.targets import Canary
    from wayfare_engine.settings import MissingSetting

    text = os.environ.get(CANARY)
    if not text:
        raise MissingSetting(CANARY, "is not set")
    try:
        wanted = msgspec.json.decode(text, type=Canary)
    except msgspec.MsgspecError as error:
        raise MissingSetting(CANARY, f"is not understood ({error})") from None
    found = until_shut(
        wanted, patience=patience, monotonic=time.monotonic, sleep=time.sleep, say=_say
    )
    with contextlib.suppress(OSError):
        message.write_bytes(told(found))
    for each in (*found.ways, *found.own):
        typer.echo(f"{each.what}: {'reached' if each.out else 'not reached'} ({each.how})")
    if not found.shut:
        raise typer.Exit(1)


def isolate() -> None:
    """Take the first epoch of a drill, in the drill's own store.

    The copy of the database, the store and the plan id are those of the environment, as for a
    worker; the store must be the drill's own. It is the same when it is done again.

    Example: wayfare recovery isolate
    """
    import uuid

    import psycopg

    from wayfare_engine import logs
    from wayfare_engine.clock import now
    from wayfare_engine.lease import open_lease_store
    from wayfare_engine.lease.right import terms_of
    from wayfare_engine.recovery.drill.first_epoch import take
    from wayfare_engine.recovery.drill.names import SITE
    from wayfare_engine.settings import MissingSetting, load_settings
    from wayfare_engine.store.postgresql import patient

    logs.configure()
    settings = load_settings()
    if settings.site != SITE:
        raise MissingSetting("WAYFARE_SITE", f"is {settings.site}, and a drill's is {SITE}")
    if settings.object_store_url is None:
        raise MissingSetting("WAYFARE_OBJECT_STORE_URL", "is not set")
    store = open_lease_store(settings.object_store_url, ttl=settings.lease_ttl_seconds)
    address = patient(settings.direct_dsn, "wayfare-isolate")
    with psycopg.connect(address, autocommit=True) as connection:
        lease = take(
            connection,
            store,
            plan=settings.recovery_plan,
            site=settings.site,
            terms=terms_of(settings),
            now=now,
            new_nonce=lambda: uuid.uuid4().hex,
            sleep=time.sleep,
        )
    typer.echo(f"the drill acts under epoch {lease.epoch} of {lease.plan}")


def _say(text: str) -> None:
    typer.echo(f"{datetime.now(UTC):%H:%M:%S} {text}", err=True)
