"""TakeEpoch: from wanting the right to act to having it, in steps that can each be repeated.

    remember   the nonce is in our database
    take       the lease object exists; from here there is no way back
    close      every chain of lower epochs ends, so what was never shipped is well defined
    raise      our database writes under the new epoch, and refuses writers of older ones
    wait       until the old holder's right has lapsed by the slowest clock, and its last
               hand-over has started or been refused
    act        an object says that the wait is over

A process that is killed anywhere starts again from the top with the same nonce; only the wait is
then waited in full, because a deadline of one process means nothing to another, unless both are on
one machine and its clock goes on (`go_on`). That a wait is over is noted in the database.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, partial
from typing import Any

import psycopg

from wayfare_engine.crashpoints import crash_point
from wayfare_engine.journal.chain import chains
from wayfare_engine.journal.closing import close_chain, read_end
from wayfare_engine.journal.problems import ChainProblem
from wayfare_engine.journal.segment import Closed
from wayfare_engine.lease.beats import BeatWatch
from wayfare_engine.lease.epochs import Lease, Statement, highest, put_acting, read, read_acting
from wayfare_engine.lease.epochs import take as take_object
from wayfare_engine.lease.problems import (
    DatabaseOfAnotherSite,
    EndDamaged,
    EpochTaken,
    NotNextEpoch,
    NotStale,
    StatementNeeded,
)
from wayfare_engine.lease.terms import Takeover, Terms
from wayfare_engine.lease.terms import boottime as real_boottime
from wayfare_engine.ledger.fence import raise_epoch, site_epoch
from wayfare_engine.ledger.standing import lease_site
from wayfare_engine.objectstore import ObjectStore
from wayfare_engine.objectstore.marker import claim

_before_remember = crash_point("lease.take.before_remember", "nothing yet")
_remembered = crash_point("lease.take.remembered", "the nonce of the taker is in the database")
_before_close = crash_point("lease.take.before_close", "the epoch is ours, older chains are open")
_closed_one = crash_point("lease.take.closed_one", "one more chain of a lower epoch is closed")
_before_raise = crash_point("lease.take.before_raise", "all chains of lower epochs are closed")
_raised = crash_point("lease.take.raised", "the database writes under the new epoch")
_waiting = crash_point("lease.take.waiting", "part of the wait is over")
_waited = crash_point("lease.take.waited", "the wait is over, and the database knows it")
_before_act = crash_point("lease.take.before_act", "the wait is over")
_acting = crash_point("lease.take.acting", "the store says that the wait is over")


@dataclass(frozen=True)
class Quiesced:
    """A planned move: the old site itself stopped sending and sealed its chain. `stopped`: it
    proved that each of its senders stopped, that nothing is under way any more, and that its
    database refuses writers of the epoch. Then there is nothing to wait for."""

    stopped: bool = False


@dataclass(frozen=True)
class Stale:
    """The holder's newest beat did not change for `limit` seconds of our own clock."""

    watch: BeatWatch
    limit: float


Grounds = Statement | Stale | Quiesced
Chain = tuple[str, int]
_READERS = 8
"""What is read at once of the store: there is a lease and a chain for each epoch that ever was."""


def require_site(connection: psycopg.Connection[Any], site: str) -> None:
    """Raise DatabaseOfAnotherSite when this database acted as another site than `site`."""
    found = connection.execute(
        "SELECT site FROM wayfare.sealed_epochs UNION SELECT site FROM wayfare.epochs_taken "
        "ORDER BY site"
    ).fetchall()
    others = [other for (other,) in found if other != site]
    if others:
        raise DatabaseOfAnotherSite(site, others[0])


def taken_here(connection: psycopg.Connection[Any], lease: Lease) -> bool:
    """Whether this database set out to take this very lease."""
    found = connection.execute(
        "SELECT nonce FROM wayfare.epochs_taken WHERE plan = %s AND epoch = %s",
        (lease.plan, lease.epoch),
    ).fetchone()
    return found is not None and found[0] == lease.nonce


def next_epoch(connection: psycopg.Connection[Any], store: ObjectStore, plan: str) -> int:
    """The epoch to take next; one of ours that was begun and not finished, if there is one."""
    last = highest(store, plan, seen=site_epoch(connection).highest_seen)
    if last is None:
        return 1
    if taken_here(connection, last) and read_acting(store, plan, last.epoch) is None:
        return last.epoch
    return last.epoch + 1


def remembered(connection: psycopg.Connection[Any], plan: str, epoch: int) -> bool:
    """Whether this database knows the epoch as taken here and waited for."""
    found = connection.execute(
        "SELECT step = 'Acting' FROM wayfare.epochs_taken WHERE plan = %s AND epoch = %s",
        (plan, epoch),
    ).fetchone()
    return found is not None and bool(found[0])


class TakeEpoch:
    """One taking of one epoch. `run` does all; `take` and `wait` let other work go on between.

    `connection` is of its own and in autocommit mode. `now` is the wall clock and ends up in
    objects that people read; the wait is on `boottime`. `fence` is called before each step with the
    connection, and raises when its caller may go no further; `run` is the run that takes it.
    """

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        store: ObjectStore,
        *,
        plan: str,
        site: str,
        epoch: int,
        reason: str,
        terms: Terms,
        now: Callable[[], datetime],
        new_nonce: Callable[[], str],
        sleep: Callable[[float], None],
        grounds: Grounds | None = None,
        takeover: Takeover = Takeover.LEASE,
        boottime: Callable[[], float] = real_boottime,
        run: int | None = None,
        fence: Callable[[psycopg.Connection[Any]], object] = lambda connection: None,
    ) -> None:
        self.plan, self.site, self.epoch, self._run = plan, site, epoch, run
        self.terms = terms
        self.lease: Lease | None = None
        self.closed: list[Chain] = []
        self._connection, self._store = connection, store
        self._reason, self._grounds, self._takeover = reason, grounds, takeover
        self._now, self._new_nonce = now, new_nonce
        self._sleep, self._boottime = sleep, boottime
        self._fence = fence
        self._taken_at = 0.0
        self._over = False
        self._ended: set[Chain] = set()

    def run(self, told: Callable[[float], None] = lambda left: None) -> Lease:
        """Take, wait and act. `told` hears how many seconds of the wait are left.

        Raises EpochTaken, NotStale, StatementNeeded, EndDamaged, StoreProblem; after
        StoreUnavailable or a kill, run it again.
        """
        self.take()
        self.wait(told)
        return self.act()

    def take(self) -> Lease:
        """Everything up to the wait: the epoch is ours, older chains are closed, writes go on."""
        claim(self._store, self.plan)
        lease_site(self._connection)
        nonce = self._remember()
        if self.lease is None:
            present = read(self._store, self.plan, self.epoch)
            if present is None:
                self._require_grounds()
                self._require_ends()
            statement = self._grounds if isinstance(self._grounds, Statement) else None
            self._fence(self._connection)
            taken = take_object(
                self._store,
                plan=self.plan,
                site=self.site,
                epoch=self.epoch,
                nonce=nonce,
                reason=self._reason,
                at=self._now(),
                statement=statement,
                run=self._run,
            )
            # After the answer, so a write that landed late only makes the wait longer.
            self._taken_at = self._boottime()
            self.lease = taken.lease
        self._at_step("Taken")
        self._close_chains()
        self._raise()
        return self.lease

    @property
    def taken_at(self) -> float:
        """When it is known to have been taken, on CLOCK_BOOTTIME of this machine."""
        return self._taken_at

    def go_on(self, taken_at: float | None = None) -> Lease:
        """For a process that only waits and acts, for one that did `take`. `taken_at` is what that
        one had, if it was on this machine and the clock is the same one; else the wait is waited
        in full. Raises EpochTaken, StoreProblem."""
        found = read(self._store, self.plan, self.epoch)
        if found is None:
            raise NotNextEpoch(self.plan, self.epoch + 1)
        if not taken_here(self._connection, found):
            raise EpochTaken(self.plan, self.epoch, found.site, f"{found.at:%Y-%m-%d %H:%M:%S} UTC")
        here = self._boottime()
        self._taken_at = here if taken_at is None or taken_at > here else taken_at
        self._over = self._had_waited()
        self.lease = found
        return found

    def remaining(self) -> float:
        """Seconds of the wait that are left. Nobody held anything before the first epoch."""
        if self.epoch == 1 or self._over:
            return 0.0
        if isinstance(self._grounds, Quiesced) and self._grounds.stopped:
            return 0.0
        return max(0.0, self._taken_at + self.terms.wait - self._boottime())

    def wait(self, told: Callable[[float], None] = lambda left: None) -> None:
        """Wait until no hand-over of a lower epoch can start any more."""
        assert self.lease is not None, "take comes first, then the wait"
        if read_acting(self._store, self.plan, self.epoch) is not None:
            return
        # model: WAIT
        while (left := self.remaining()) > 0:
            told(left)
            _waiting()
            self._sleep(min(left, 0.5))
        self._over = True
        self._connection.execute(
            "UPDATE wayfare.epochs_taken SET waited = true WHERE plan = %s AND epoch = %s",
            (self.plan, self.epoch),
        )
        _waited()
        told(0.0)

    def act(self) -> Lease:
        """Say that the wait is over: from now on this site's processes may act."""
        assert self.lease is not None
        if self.remaining() > 0 and read_acting(self._store, self.plan, self.epoch) is None:
            raise RuntimeError("the wait is not over")
        # model: ACT
        _before_act()
        self._fence(self._connection)
        put_acting(self._store, self.lease, at=self._now())
        _acting()
        self._at_step("Acting")
        return self.lease

    def _remember(self) -> str:
        _before_remember()
        self._fence(self._connection)
        statement = self._grounds.text if isinstance(self._grounds, Statement) else None
        found = self._connection.execute(
            """
            INSERT INTO wayfare.epochs_taken (plan, epoch, site, nonce, reason, statement, at)
            VALUES (%s, %s, %s, %s, %s, %s, %s)
            ON CONFLICT (plan, epoch) DO UPDATE SET nonce = epochs_taken.nonce
            RETURNING nonce
            """,
            (
                self.plan,
                self.epoch,
                self.site,
                self._new_nonce(),
                self._reason,
                statement,
                self._now(),
            ),
        ).fetchone()
        assert found is not None
        _remembered()
        return str(found[0])

    def _require_grounds(self) -> None:
        if self.epoch == 1 or isinstance(self._grounds, (Statement, Quiesced)):
            return
        if self._takeover is Takeover.STATEMENT or self._grounds is None:
            raise StatementNeeded(self.plan, self._takeover is Takeover.STATEMENT)
        watch, limit = self._grounds.watch, self._grounds.limit
        age = watch.age()
        if watch.newest is None or age is None or age < limit:
            holder = read(self._store, self.plan, self.epoch - 1)
            seen = None if watch.newest is None else age
            raise NotStale(holder.site if holder else "?", seen, limit)

    def _require_ends(self) -> None:
        # Once the epoch is ours there is no way back, and nobody acts until they are closed. In a
        # planned move they have just been applied, and nobody sends meanwhile.
        if isinstance(self._grounds, Quiesced):
            return
        for chain, end in self._look_at_ends(self._lower()).items():
            try:
                self._note_end(chain, end)
            except ChainProblem as problem:
                site, epoch = chain
                raise EndDamaged(self.epoch, f"{site}/{epoch}", str(problem)) from None

    def _look_at_ends(self, of: list[Chain]) -> dict[Chain, Future[bool]]:
        """Whether each is closed, or why that cannot be told; after the first of these no further
        one is looked at."""

        def ended(chain: Chain) -> bool:
            return isinstance(read_end(self._store, *chain), Closed)

        with ThreadPoolExecutor(_READERS, thread_name_prefix="end") as pool:
            ends = {chain: pool.submit(ended, chain) for chain in of}
            wait(ends.values(), return_when=FIRST_EXCEPTION)
            pool.shutdown(cancel_futures=True)
        return {chain: end for chain, end in ends.items() if not end.cancelled()}

    def _note_end(self, chain: Chain, end: Future[bool]) -> None:
        # What is closed stays so.
        if end.result():
            self._ended.add(chain)

    def _lower(self) -> list[Chain]:
        # A holder that sealed nothing yet has a chain too: its first segment must find it closed.
        lower = {chain for chain in chains(self._store) if chain[1] < self.epoch}
        return sorted(lower | self._holders)

    @cached_property
    def _holders(self) -> set[Chain]:
        """Who held each lower epoch; no such lease changes any more."""
        with ThreadPoolExecutor(_READERS, thread_name_prefix="lease") as pool:
            found = pool.map(partial(read, self._store, self.plan), range(1, self.epoch))
            return {(lease.site, lease.epoch) for lease in found if lease is not None}

    def _close_chains(self) -> None:
        self.closed = self._lower()
        _before_close()
        left = [chain for chain in self.closed if chain not in self._ended]
        for chain, end in self._look_at_ends(left).items():
            self._note_end(chain, end)
        for site, epoch in self.closed:
            if (site, epoch) not in self._ended:
                self._fence(self._connection)
                close_chain(
                    self._store, site, epoch, plan=self.plan, by=self.epoch, clock=self._now
                )
            _closed_one()
        self._at_step("Closed")

    def _raise(self) -> None:
        _before_raise()
        # model: RAISE
        with self._connection.transaction():
            self._fence(self._connection)
            raise_epoch(self._connection, self.epoch)
        _raised()
        self._at_step("Raised")

    def _had_waited(self) -> bool:
        found = self._connection.execute(
            "SELECT waited OR step = 'Acting' FROM wayfare.epochs_taken "
            "WHERE plan = %s AND epoch = %s",
            (self.plan, self.epoch),
        ).fetchone()
        return found is not None and bool(found[0])

    def _at_step(self, step: str) -> None:
        self._connection.execute(
            "UPDATE wayfare.epochs_taken SET step = %s "
            "WHERE plan = %s AND epoch = %s AND step <> 'Acting'",
            (step, self.plan, self.epoch),
        )
