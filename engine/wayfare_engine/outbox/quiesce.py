"""Letting go of an epoch in a planned move: no more turns, then no more rows, then all is sealed.

    ask     workers take no turns any more; what is under way ends, and offers are taken back
    fence   nobody writes under the epoch any more: inline rows are put aside, the sealer goes on
    sealed  whether every row is in the store
    lift    the move is given up: this site goes on as before

Each sending process notes itself in `wayfare.senders` before it begins and looks at the state
afterwards; whoever asks writes the state first and looks at the senders afterwards. So none is
missed. A process that says nothing (it is stopped, or gone) is never taken for one that stopped:
who takes the next epoch then waits as after a failure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from psycopg import Connection

from wayfare_engine.errors import SaidToPeople
from wayfare_engine.journal import intents
from wayfare_engine.journal.unsealed_rows import unsealed_rows
from wayfare_engine.ledger import fence as epochs
from wayfare_engine.ledger.standing import State, stand
from wayfare_engine.store import channels

#: A sender says every few seconds that it is there; what was not heard of for so long, in seconds,
#: hands nothing over any more: its claims ended with its database session, and H is shorter.
SILENT_FOR = 90.0

_ASK = """
UPDATE wayfare.site_epoch SET state = 'Quiescing', run = %s, state_at = clock_timestamp()
WHERE held AND state IN ('Normal', 'Quiescing')
"""
_STATE = """
UPDATE wayfare.site_epoch SET state = %s, run = %s, state_at = clock_timestamp()
"""
_PATIENCE = "SET LOCAL lock_timeout = '5s'"
_SENDERS = """
SELECT count(*), count(*) FILTER (WHERE stopped_for = %(run)s)
FROM wayfare.senders WHERE at > clock_timestamp() - make_interval(secs => %(silent)s)
"""
_UNDER_WAY = """
SELECT count(*) FILTER (WHERE p.leased_until IS NULL), count(*) FILTER (WHERE p.leased_until
    IS NOT NULL)
FROM wayfare.outbox o LEFT JOIN wayfare.pulled p
    ON p.send_key = o.send_key AND p.dispatch_id = o.dispatch_id
WHERE o.attempt > o.outcome_attempt AND o.outcome IS DISTINCT FROM 'Accepted'
"""
_SINCE = "SELECT extract(epoch FROM clock_timestamp() - state_at) FROM wayfare.site_epoch"


@dataclass(eq=False)
class NotHolding(SaidToPeople):
    """This site cannot let go of what it does not hold."""

    epoch: int
    state: State

    def __str__(self) -> str:
        return (
            f"this site does not hold epoch {self.epoch} (state {self.state}), so it cannot let go "
            "of it: ask the site that acts"
        )


@dataclass(frozen=True)
class Quiescence:
    """How far it came. `senders`: processes that sent of late; `stopped`: those of them that said
    that nothing of theirs is under way. `under_way`: dispatches without outcome; `leased`: those in
    the hands of systems that pull. `settled`: what was given to such a system just before has
    arrived by now, or is thrown away."""

    state: State
    run: str | None
    senders: int
    stopped: int
    under_way: int
    leased: int
    settled: bool

    @property
    def quiet(self) -> bool:
        """Whether no hand-over of this site can start any more."""
        return self.state is not State.NORMAL and self.senders == self.stopped and self.settled

    def facts(self) -> dict[str, Any]:
        """For JSON and for people."""
        return {
            "state": self.state.value,
            "run": self.run,
            "senders": self.senders,
            "stopped": self.stopped,
            "underWay": self.under_way,
            "leased": self.leased,
            "quiet": self.quiet,
        }


@dataclass(frozen=True)
class SealedTo:
    """The end of a chain of this site. `unsealed` rows are in no segment yet; `pending`: a segment
    is on its way to the store."""

    epoch: int
    seq: int
    digest: str
    unsealed: int
    pending: bool
    fenced: bool

    @property
    def done(self) -> bool:
        """Whether everything is in the store, and nothing can come after it."""
        return self.fenced and not self.unsealed and not self.pending


def ask(connection: Connection[Any], *, run: str) -> None:
    """Have this site's workers take no more turns. Raises NotHolding, psycopg.Error; safe to repeat
    while nobody writes a later state."""
    with connection.transaction():
        if connection.execute(_ASK, (run,)).rowcount == 0:
            found = stand(connection)
            if found.state is State.QUIESCED and found.run == run:
                return
            raise NotHolding(found.epoch, found.state)
        _notify(connection)


def standing(connection: Connection[Any], *, hand_over: float) -> Quiescence:
    """How far the site's senders have come. `hand_over` is H in seconds."""
    found = stand(connection)
    senders, stopped = _one(connection, _SENDERS, {"run": found.run, "silent": SILENT_FOR})
    under_way, leased = _one(connection, _UNDER_WAY, {})
    (since,) = _one(connection, _SINCE, {})
    settled = not leased or (since is not None and float(since) >= hand_over)
    return Quiescence(found.state, found.run, senders, stopped, under_way, leased, settled)


def fence(connection: Connection[Any], *, run: str) -> None:
    """Nobody writes under the epoch any more; waits for who is inside. Raises NotHolding,
    psycopg.Error (LockNotAvailable while a writer does not end); safe to repeat."""
    with connection.transaction():
        found = stand(connection)
        if found.state is State.QUIESCED and found.run == run:
            return
        if not found.held:
            raise NotHolding(found.epoch, found.state)
        connection.execute(_PATIENCE)
        with epochs.refusals(found.epoch):
            epochs.raise_epoch(connection, found.epoch, held=False)
        connection.execute(_STATE, (State.QUIESCED.value, run))
        _notify(connection)


def sealed(connection: Connection[Any], site: str) -> SealedTo:
    """Where the chain of the epoch ends that this site held last, in one look."""
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        found = stand(connection)
        at = intents.position(connection, site, found.own)
        return SealedTo(
            epoch=found.own,
            seq=at.seq,
            digest=at.digest,
            unsealed=unsealed_rows(connection).get((site, found.own), 0),
            pending=intents.pending(connection, site, found.own) is not None,
            fenced=not found.held,
        )


def lift(connection: Connection[Any]) -> bool:
    """The move is given up: hold the epoch again, unless a higher one is known. Whether it is held
    now. What was put aside meanwhile, a worker writes into the ledger. Safe to repeat."""
    with connection.transaction():
        found = stand(connection)
        if found.state in (State.NORMAL, State.STOOD_DOWN):
            return found.held
        if found.highest_seen > found.epoch or found.own != found.epoch:
            return False
        connection.execute(_PATIENCE)
        epochs.raise_epoch(connection, found.epoch)
        return True


def stand_down(connection: Connection[Any], *, run: str) -> None:
    """This site does not act from here on, and says so; rows are put aside. Safe to repeat."""
    with connection.transaction():
        found = stand(connection)
        connection.execute(_PATIENCE)
        epochs.raise_epoch(connection, found.epoch, held=False)
        connection.execute(_STATE, (State.STOOD_DOWN.value, run))
        _notify(connection)


def sending(connection: Connection[Any], pod_uid: str, epoch: int) -> None:
    """Note that this process sends, or may begin to."""
    connection.execute(
        "INSERT INTO wayfare.senders (pod_uid, epoch) VALUES (%s, %s) ON CONFLICT (pod_uid) "
        "DO UPDATE SET epoch = excluded.epoch, at = excluded.at, stopped_for = NULL",
        (pod_uid, epoch),
    )


def still_there(connection: Connection[Any], pod_uid: str) -> None:
    """Say that this process is there."""
    connection.execute(
        "UPDATE wayfare.senders SET at = clock_timestamp() WHERE pod_uid = %s", (pod_uid,)
    )


def stopped(connection: Connection[Any], pod_uid: str, run: str | None) -> None:
    """Nothing of this process is under way, and it takes no turns until the state changes."""
    connection.execute(
        "UPDATE wayfare.senders SET at = clock_timestamp(), stopped_for = %s WHERE pod_uid = %s",
        (run, pod_uid),
    )


def gone(connection: Connection[Any], pod_uid: str) -> None:
    """This process sends no more; and forget those that ended long ago without saying so."""
    connection.execute(
        "DELETE FROM wayfare.senders WHERE pod_uid = %s "
        "OR at < clock_timestamp() - make_interval(secs => %s)",
        (pod_uid, SILENT_FOR * 10),
    )


def _notify(connection: Connection[Any]) -> None:
    connection.execute("SELECT pg_notify(%s, '')", (channels.EPOCH,))


def _one(connection: Connection[Any], query: Any, given: dict[str, Any]) -> tuple[Any, ...]:
    row = connection.execute(query, given or None).fetchone()
    assert row is not None, "one row always"
    return tuple(row)
