"""Quiesce, Seal and Resume, at the site that still acts: it stops, ships all that it has, and can
be let go on as long as nobody took the next epoch."""

from __future__ import annotations

from typing import Any

from psycopg import Connection

from wayfare_engine.journal.chain import last_object, opened
from wayfare_engine.journal.segment import Closed
from wayfare_engine.lease.epochs import highest, read_acting
from wayfare_engine.ledger.fence import site_epoch
from wayfare_engine.outbox import quiesce
from wayfare_engine.recovery.tasks import counting
from wayfare_engine.recovery.tasks.problems import StepFailed
from wayfare_engine.recovery.tasks.task import Done, Task

_LOOK_SECONDS = 0.05
#: How long the rows that were written before the fence may take to come into the store.
SEAL_SECONDS = 60.0


def quiesce_site(task: Task) -> Done:
    """Senders take no more turns; what is under way ends, for at most H; then writers of the
    epoch are refused. Inline decisions go on, and their rows are kept for later."""
    with task.connected() as connection:
        epoch = _require_acting(task, connection)
        began = task.boottime()
        with connection.transaction():
            task.fence(connection)
            quiesce.ask(connection, run=_name(task))
        found = quiesce.standing(connection, hand_over=task.lease.hand_over)
        while not found.quiet and task.boottime() - began < task.lease.hand_over:
            task.sleep(_LOOK_SECONDS)
            found = quiesce.standing(connection, hand_over=task.lease.hand_over)
        with connection.transaction():
            task.fence(connection)
            quiesce.fence(connection, run=_name(task))
        seconds = task.boottime() - began
    figures = {
        "epoch": epoch,
        "stopped": found.quiet,
        "senders": found.senders,
        "sendersStopped": found.stopped,
        "underWay": found.under_way,
        "leased": found.leased,
        "seconds": round(seconds, 3),
    }
    if found.quiet:
        return Done(f"{found.senders} senders of {task.site} stopped in {seconds:.2f} s", figures)
    return Done(
        f"{found.stopped} of {found.senders} senders of {task.site} said within H that they "
        f"stopped, {found.under_way} hand-overs were under way; TransferEpoch waits for the lease",
        figures,
    )


def seal_site(task: Task) -> Done:
    """Until every row that was written before the fence is in the store; the chain's end, and how
    many rows each table has."""
    task.needed("Quiesce")
    with task.connected() as connection:
        found = until_sealed(task, connection)
        counted = counting.counts(connection)
    seq, digest = _end(task, found.epoch)
    if seq != found.seq:
        raise StepFailed(
            f"the database of {task.site} says that its chain ends at {found.seq:,}, and the "
            f"store's ends at {seq:,}",
            {"seq": found.seq, "store": seq},
        )
    figures = {
        "chain": f"{task.site}/{found.epoch}",
        "seq": seq,
        "digest": digest,
        "counts": counted,
    }
    return Done(f"{task.site}/{found.epoch} is sealed to its end, {seq:,} rows", figures)


def until_sealed(task: Task, connection: Connection[Any]) -> quiesce.SealedTo:
    """Wait until every row that was written before the fence is in the store. Raises StepFailed
    when nothing moves any more."""
    deadline = task.monotonic() + SEAL_SECONDS
    left = -1
    while not (found := quiesce.sealed(connection, task.site)).done:
        if found.unsealed != left:
            left = found.unsealed
            deadline = task.monotonic() + SEAL_SECONDS
            task.moved()
        if task.monotonic() > deadline:
            raise StepFailed(
                f"{found.unsealed:,} rows of {task.site} are in no segment, and nothing was "
                f"sealed for {SEAL_SECONDS:.0f} s: is a worker of this site running, and does "
                "it reach the object store? `wayfare journal status` says what keeps it",
                {"unsealed": found.unsealed},
            )
        task.sleep(_LOOK_SECONDS)
    return found


def resume_site(task: Task) -> Done:
    """The run was abandoned before the epoch moved: this site goes on as before."""
    with task.connected() as connection:
        last = highest(task.store, task.plan, seen=site_epoch(connection).highest_seen)
        if last is not None and last.site != task.site:
            raise StepFailed(
                f"site {last.site} took epoch {last.epoch}: {task.site} does not act any more"
            )
        with connection.transaction():
            task.fence(connection)
            held = quiesce.lift(connection)
    if not held:
        raise StepFailed(f"site {task.site} holds no epoch any more, and cannot go on")
    return Done(f"site {task.site} goes on as before", {"held": held})


def _require_acting(task: Task, connection: Connection[Any]) -> int:
    at = site_epoch(connection)
    last = highest(task.store, task.plan, seen=at.highest_seen)
    if last is None or last.site != task.site:
        holder = "nobody" if last is None else f"site {last.site}"
        raise StepFailed(f"{holder} holds the lease, not {task.site}: nothing is quiesced here")
    if read_acting(task.store, task.plan, last.epoch) is None:
        raise StepFailed(
            f"the wait after taking epoch {last.epoch} is not over: {task.site} does not act yet"
        )
    return last.epoch


def _end(task: Task, epoch: int) -> tuple[int, str]:
    """The chain's last position and the digest of the object that ends there, by the store."""
    last = last_object(task.store, task.site, epoch)
    if last is None:
        return 0, ""
    found = opened(last.path, task.store.get(last.path), bodies=False)
    if isinstance(found, Closed):
        return found.at_seq, found.previous
    return found.header.last, found.digest


def _name(task: Task) -> str:
    return str(task.number)
