"""Going on through outages, for a bounded time: of the object store, of PostgreSQL, and of a
process before this one whose session is not gone yet."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import psycopg

from wayfare_engine.errors import SaidToPeople
from wayfare_engine.journal.positions import AlreadyRunning
from wayfare_engine.journal.rebuilding_problems import SealerAtWork
from wayfare_engine.objectstore import StoreUnavailable
from wayfare_engine.reconcile.problems import MergeRunning
from wayfare_engine.recovery.tasks.problems import AwayTooLong
from wayfare_engine.store.task_claims import StillWriting

#: What is tried again: with the same nonce, from the same position, as a later call would.
AWAY = (StoreUnavailable, psycopg.OperationalError, psycopg.InterfaceError)
BUSY = (AlreadyRunning, MergeRunning, SealerAtWork, StillWriting)
_PAUSE, _LONGEST = 0.2, 2.0

T = TypeVar("T")


def patiently(
    work: Callable[[], T],
    *,
    seconds: float,
    monotonic: Callable[[], float],
    sleep: Callable[[float], None],
    moved_at: Callable[[], float] = lambda: float("-inf"),
    say: Callable[[str], None] = lambda text: None,
) -> T:
    """`work`, again and again while something is away, for `seconds` since it last moved on.

    Raises AwayTooLong then, and at once what else `work` raises.
    """
    since: float | None = None
    pause = _PAUSE
    while True:
        try:
            return work()
        except (*AWAY, *BUSY) as error:
            here = monotonic()
            text = sentence(error)
            if since is None or moved_at() > since:
                since, pause = here, _PAUSE
                say(f"{text}; trying again for {seconds:.0f} s")
            if here - since >= seconds:
                raise AwayTooLong(text, here - since) from None
            sleep(min(pause, max(0.0, seconds - (here - since))))
            pause = min(pause * 2, _LONGEST)


def sentence(error: Exception) -> str:
    """An error in words for a person, without what a driver adds of addresses and statements."""
    if isinstance(error, SaidToPeople):
        return str(error)
    if isinstance(error, psycopg.Error):
        # What the server says; what the driver adds has addresses in it.
        said = error.diag.message_primary
        if said is None:
            return f"PostgreSQL is away ({type(error).__name__})"
        return f"PostgreSQL: {said}"
    return type(error).__name__
