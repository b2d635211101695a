"""The sealer: ledger rows below the horizon become segments of this site's chain.

One session a site holds the lock. It says what it is going to put (`seal_intents`, committed in
that session), puts it if nothing is there, and marks it sealed. Whoever holds the lock next
finishes a pending intent first. So for each position there is one set of rows that anyone tries to
put there, however often and however late.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import psycopg
import structlog
from psycopg import Connection

from wayfare_engine.crashpoints import crash_point
from wayfare_engine.errors import SaidToPeople
from wayfare_engine.journal import instance, intents, problem_kept
from wayfare_engine.journal.intents import Intent, Position
from wayfare_engine.journal.problems import ChainConflict, EpochOver
from wayfare_engine.journal.putting import id_blocks_in, object_digest, put_segment
from wayfare_engine.journal.segment import rows_digest
from wayfare_engine.journal.session import open_session
from wayfare_engine.journal.unsealed import MAX_BYTES, next_batch, window
from wayfare_engine.ledger.standing import stand
from wayfare_engine.objectstore import StoreUnfit, paths
from wayfare_engine.objectstore.marker import check, claim
from wayfare_engine.objectstore.store import ObjectStore
from wayfare_engine.store.postgresql import Away

log = structlog.get_logger(__name__)

intending = crash_point("journal.seal.intending", "rows were read, their intent is not written")
intended = crash_point("journal.seal.intended", "the intent is committed, nothing is in the store")
marked = crash_point("journal.seal.marked", "the intent is marked sealed and everyone was told")

MAX_ROWS = 50_000
_KEPT_INTENTS = 10_000
_CLEAN_EVERY = 1000
_PAUSE_AT_MOST = 5.0


@dataclass
class _Chain:
    """A chain as this session knows it. `seen`: rows of transactions up to it are sealed."""

    epoch: int
    position: Position
    seen: int
    final: bool = False
    settled: bool = False
    more: bool = False
    sealed: int = field(default=0)


class Sealer:
    """Seals the rows of one site in the database of `dsn`, which must be a direct connection.

    `seconds` is the pause between segments, `max_rows` a goal for their size: a transaction is
    never cut. Used by one thread. `epoch` is only what the site is expected to be at; the
    database's own row decides. `prove` is called until it succeeded once, before anything is
    written that lasts: it raises StoreUnfit for a store that cannot hold a journal.
    """

    def __init__(
        self,
        dsn: str,
        store: ObjectStore,
        *,
        plan: str,
        site: str,
        clock: Callable[[], datetime],
        epoch: int | None = None,
        seconds: float = 0.2,
        max_rows: int = MAX_ROWS,
        max_bytes: int = MAX_BYTES,
        prove: Callable[[], None] | None = None,
    ) -> None:
        self._dsn = dsn
        self._store = store
        self._plan = plan
        self._site = site
        self._clock = clock
        self._expected = epoch
        self._seconds = seconds
        self._max_rows = max_rows
        self._max_bytes = max_bytes
        self._prove = prove
        self._connection: Connection[Any] | None = None
        self._chains: dict[int, _Chain] = {}
        #: The problem that was last told of; "" at first, when another process may have left one.
        self._told: str | None = ""
        #: Whether this sealer holds the lock; another one does when it does not.
        self.holding = False
        #: Rows and segments that this sealer put.
        self.rows = 0
        self.segments = 0
        #: What went wrong last, until sealing works again.
        self.problem: Exception | None = None

    def seal_once(self) -> int:
        """Seal what there is, one segment a chain at most; how many rows are sealed now that were
        not before. 0 as well while another sealer holds the lock.

        Raises EpochOver when the present epoch's chain is closed, ChainConflict, StoreProblem
        (rows wait, nothing is lost) and psycopg.Error.
        """
        try:
            connection = self._session()
            if connection is None:
                return 0
            done = 0
            for chain in self._refreshed(connection):
                done += self._advance(connection, chain)
            return done
        except Away:
            self.close()
            raise

    @property
    def more(self) -> bool:
        """Whether rows were left over that could be sealed at once."""
        return any(chain.more for chain in self._chains.values())

    def run(self, stop: threading.Event) -> None:
        """Seal until `stop`, through outages of both stores. Raises ChainConflict and StoreUnfit:
        a person has to look before this site seals on."""
        pause = self._seconds
        while not stop.is_set():
            began = time.monotonic()
            try:
                self.seal_once()
                self._well()
                pause = self._seconds
            except (ChainConflict, StoreUnfit) as error:
                self._wrong(error)
                self.close()
                raise
            except (SaidToPeople, psycopg.Error, OSError, TimeoutError) as error:
                self._wrong(error)
                pause = min(max(pause, 0.1) * 2, _PAUSE_AT_MOST)
            if not self.more or self.problem is not None:
                stop.wait(max(0.0, pause - (time.monotonic() - began)))
        self.close()

    def close(self) -> None:
        """Give the lock back."""
        connection, self._connection = self._connection, None
        self._chains = {}
        self.holding = False
        if connection is not None:
            with contextlib.suppress(Exception):
                connection.close()

    def _session(self) -> Connection[Any] | None:
        if self._connection is not None and not self._connection.closed:
            return self._connection
        self.close()
        connection = open_session(self._dsn)
        if connection is None:
            return None
        self._connection = connection
        self.holding = True
        log.info("sealer.holding", site=self._site, pid=connection.info.backend_pid)
        try:
            self._proved()
            claim(self._store, self._plan)
            instance.settle(
                connection,
                self._store,
                plan=self._plan,
                site=self._site,
                clock=self._clock,
                max_rows=self._max_rows,
            )
        except BaseException as error:
            if isinstance(error, SaidToPeople):
                problem_kept.keep(connection, error, self._clock())
            self.close()
            raise
        return connection

    def _proved(self) -> None:
        if self._prove is not None:
            check(self._store, self._plan)  # nothing is written into a store of somebody else
            self._prove()
            self._prove = None

    def _refreshed(self, connection: Connection[Any]) -> list[_Chain]:
        """The chains to seal: those of past epochs that are not over, and the present one's as long
        as this site holds it, or held it and lets go of it in a planned move."""
        found = stand(connection)
        present = found.epoch
        if not found.seals:
            self._load_open(connection, found.own)
            for chain in self._chains.values():
                chain.final = chain.epoch < present
            return sorted(self._chains.values(), key=lambda c: c.epoch)
        if present not in self._chains:
            self._load(connection, present)
        if present not in self._chains:
            row = connection.execute(
                "SELECT closed_by FROM wayfare.sealed_epochs WHERE site = %s AND epoch = %s",
                (self._site, present),
            ).fetchone()
            raise EpochOver(self._site, present, int(row[0]) if row and row[0] else present)
        for chain in self._chains.values():
            chain.final = chain.epoch < present
        return sorted(self._chains.values(), key=lambda c: c.epoch)

    def _load(self, connection: Connection[Any], present: int) -> None:
        with connection.transaction():
            # Epochs that came and went while nobody sealed: their rows are looked for once.
            connection.execute(
                "INSERT INTO wayfare.sealed_epochs (site, epoch) "
                "SELECT %(site)s, e.epoch FROM ("
                "  SELECT DISTINCT epoch FROM wayfare.ledger WHERE site = %(site)s "
                "  AND epoch < %(present)s AND epoch > (SELECT coalesce(max(epoch), 0) "
                "    FROM wayfare.sealed_epochs WHERE site = %(site)s)"
                "  UNION SELECT %(present)s::bigint) e ON CONFLICT DO NOTHING",
                {"site": self._site, "present": present},
            )
        self._load_open(connection, present)

    def _load_open(self, connection: Connection[Any], upto: int) -> None:
        known = connection.execute(
            "SELECT epoch FROM wayfare.sealed_epochs WHERE site = %s AND NOT over "
            "AND epoch <= %s ORDER BY epoch",
            (self._site, upto),
        ).fetchall()
        settled = connection.execute("SELECT FROM wayfare.settled_rows LIMIT 1").rowcount > 0
        for (epoch,) in known:
            if epoch in self._chains:
                continue
            at = intents.position(connection, self._site, epoch)
            self._check_end(epoch, at)
            self._chains[epoch] = _Chain(epoch, at, seen=at.tx, settled=settled)

    def _check_end(self, epoch: int, at: Position) -> None:
        """The store has the segment that this database sealed last: else it is another store."""
        if not at.seq:
            return
        path = paths.segment(self._site, epoch, at.first)
        data = self._store.get(path)
        if data is None or object_digest(data) != at.digest:
            raise ChainConflict(
                path,
                "this database sealed that segment last, and the store "
                + ("does not have it" if data is None else "has another one there"),
            )

    def _advance(self, connection: Connection[Any], chain: _Chain) -> int:
        chain.more = False
        pending = intents.pending(connection, self._site, chain.epoch)
        done = 0
        try:
            if pending is not None:
                rows = window(
                    connection,
                    self._site,
                    chain.epoch,
                    from_tx=pending.from_tx,
                    to_tx=pending.to_tx,
                    settled=chain.settled,
                )
                found = rows_digest(rows, site=self._site, epoch=chain.epoch)
                if found != pending.rows_digest:
                    raise ChainConflict(
                        paths.segment(self._site, chain.epoch, pending.first),
                        "the ledger no longer holds the rows of the intent that was written for it",
                    )
                done += self._seal(connection, chain, pending, rows)
            batch = next_batch(
                connection,
                self._site,
                chain.epoch,
                after=chain.seen,
                final=chain.final,
                max_rows=self._max_rows,
                max_bytes=self._max_bytes,
                settled=chain.settled,
            )
            if batch.rows.num_rows:
                done += self._seal_batch(connection, chain, batch.rows)
            chain.seen = max(chain.seen, batch.seen)
            chain.more = batch.more
            if chain.final and not batch.more:
                self._over(connection, chain.epoch, None)
        except EpochOver as error:
            self._over(connection, chain.epoch, error.by)
            if not chain.final:
                raise
            log.warning("sealer.stranded", epoch=chain.epoch, closed_by=error.by)
        return done

    def _seal_batch(self, connection: Connection[Any], chain: _Chain, rows: Any) -> int:
        at = chain.position
        intent = Intent(
            site=self._site,
            epoch=chain.epoch,
            first=at.seq + 1,
            last=at.seq + rows.num_rows,
            from_tx=rows["tx"][0].as_py(),
            to_tx=rows["tx"][-1].as_py(),
            rows_digest=rows_digest(rows, site=self._site, epoch=chain.epoch),
            previous=at.digest,
        )
        intending()
        intents.write(connection, intent)
        intended()
        return self._seal(connection, chain, intent, rows)

    def _seal(self, connection: Connection[Any], chain: _Chain, intent: Intent, rows: Any) -> int:
        digest = put_segment(self._store, intent, rows, plan=self._plan, clock=self._clock)
        intents.sealed(connection, intent, digest, id_blocks_in(rows))
        marked()
        chain.position = Position(intent.last, intent.to_tx, digest, intent.first)
        chain.seen = max(chain.seen, intent.to_tx)
        chain.sealed += 1
        self.rows += rows.num_rows
        self.segments += 1
        if chain.sealed % _CLEAN_EVERY == 0:
            intents.forget_old(connection, self._site, chain.epoch, keep=_KEPT_INTENTS)
        return int(rows.num_rows)

    def _over(self, connection: Connection[Any], epoch: int, closed_by: int | None) -> None:
        intents.over(connection, self._site, epoch, by=closed_by)
        self._chains.pop(epoch, None)

    def _wrong(self, error: Exception) -> None:
        self.problem = error
        text = f"{type(error).__name__}: {error}"
        if text == self._told:
            return
        self._told = text
        log.warning("sealer.waiting", site=self._site, error=text.splitlines()[0])
        if not isinstance(error, Away):
            problem_kept.keep(self._connection, error, self._clock())

    def _well(self) -> None:
        self.problem = None
        if self._told is not None and self.holding:
            self._told = None
            log.info("sealer.again", site=self._site)
            problem_kept.clear(self._connection)
