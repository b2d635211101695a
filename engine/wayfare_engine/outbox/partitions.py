"""Which customers' sends this worker may take: partitions, each held by a session's advisory lock.

One worker holds a partition at a time, so a customer's sends have an order and no send is handed
over by two workers of a site. The lock ends with the session, so a dead worker's partitions are
free at once. What it handed over in its last moment may still be under way for H: `held_since`
lets the successor wait that long before it asks about sends that it did not dispatch itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from typing import Any

from psycopg import Connection

from wayfare_engine.store.postgresql import end_with_client

PARTITIONS = 64
_PARTITION_LOCK = 0x574F5054  # "WOPT"
_WORKER_LOCK = 0x574F574B  # "WOWK"


class Partitions:
    """The partitions of one session. A new session starts with none."""

    def __init__(self, session: Connection[Any], boottime: Callable[[], float]) -> None:
        self._session = session
        self._boottime = boottime
        self._held: dict[int, float] = {}
        end_with_client(session)
        session.execute("SELECT pg_advisory_lock_shared(%s, 0)", (_WORKER_LOCK,))

    @property
    def held(self) -> Collection[int]:
        """What this session holds."""
        return self._held.keys()

    @property
    def part(self) -> float:
        """This session's part of all customers, from 0 to 1."""
        return len(self._held) / PARTITIONS

    def held_since(self, partition: int) -> float:
        """When it was taken, CLOCK_BOOTTIME seconds; infinity when it is not held."""
        return self._held.get(partition, math.inf)

    def balance(self, busy: Collection[int]) -> None:
        """Take or give back, so that the site's workers hold about as many each.

        Partitions in `busy` have sends under way and are not given back.
        """
        found = self._session.execute(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted "
            "AND classid = %s::bigint::oid AND database = "
            "(SELECT oid FROM pg_database WHERE datname = current_database())",
            (_WORKER_LOCK,),
        ).fetchone()
        workers = max(1, int(found[0]) if found else 1)
        share = -(-PARTITIONS // workers)
        if len(self._held) < share:
            self._take(share - len(self._held))
        elif len(self._held) > share:
            self._give_back([p for p in self._held if p not in busy][: len(self._held) - share])

    def _take(self, count: int) -> None:
        wanted = [p for p in range(PARTITIONS) if p not in self._held]
        # Each session begins somewhere else, so that two do not try for the same ones in step.
        start = self._session.info.backend_pid % max(1, len(wanted))
        for partition in wanted[start:] + wanted[:start]:
            if count == 0:
                return
            found = self._session.execute(
                "SELECT pg_try_advisory_lock(%s, %s)", (_PARTITION_LOCK, partition)
            ).fetchone()
            if found and found[0]:
                self._held[partition] = self._boottime()
                count -= 1

    def _give_back(self, partitions: Collection[int]) -> None:
        for partition in partitions:
            self._session.execute("SELECT pg_advisory_unlock(%s, %s)", (_PARTITION_LOCK, partition))
            del self._held[partition]
