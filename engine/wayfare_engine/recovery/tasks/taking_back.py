"""TakeBack: a planned move whose target is gone before it took the epoch. The old site, which
stopped for it, goes on under the next epoch.

The target may be cut off and not dead, and about to take that epoch itself. Whoever puts the lease
object of it first has it; the other one is refused. So this site does not go on under the epoch
that it let go of, but only under one that nobody else can have. It has nothing to wait for: the
epoch before was its own, and so is the record of what left under it.
"""

from __future__ import annotations

from psycopg import Connection

from wayfare_engine.lease import Quiesced, highest
from wayfare_engine.lease.epochs import Lease
from wayfare_engine.lease.take_epoch import require_site, taken_here
from wayfare_engine.ledger.fence import site_epoch
from wayfare_engine.ledger.standing import State, stand
from wayfare_engine.outbox import quiesce
from wayfare_engine.recovery.tasks.problems import StepFailed
from wayfare_engine.recovery.tasks.quieting import until_sealed
from wayfare_engine.recovery.tasks.taking import taking_of
from wayfare_engine.recovery.tasks.task import Done, Task


def take_back(task: Task) -> Done:
    """Seal what was written before the fence, so that nothing of it is stranded by closing its
    chain; then take the next epoch and act. Where nothing was let go of yet, nothing is taken."""
    with task.connected() as connection:
        require_site(connection, task.site)
        last = _own(task, connection)
        begun = last.run == task.number and taken_here(connection, last)
        if not begun:
            if stand(connection).state is State.NORMAL:
                return Done(f"site {task.site} had let go of nothing", {"epoch": last.epoch})
            with connection.transaction():
                task.fence(connection)
                quiesce.fence(connection, run=str(task.number))
            until_sealed(task, connection)
        epoch = last.epoch if begun else last.epoch + 1
        lease = taking_of(task, connection, epoch, Quiesced(stopped=True)).run()
    return Done(
        f"site {task.site} goes on under epoch {lease.epoch}: the target of the move was gone",
        {"epoch": lease.epoch},
    )


def _own(task: Task, connection: Connection[object]) -> Lease:
    last = highest(task.store, task.plan, seen=site_epoch(connection).highest_seen)
    if last is None or last.site != task.site:
        holder = "nobody" if last is None else f"site {last.site}"
        raise StepFailed(
            f"{holder} holds the right to act, not {task.site}: only a Failover takes it from there"
        )
    return last
