"""RecoverSpooled, at the site that a planned move left: it answers no more, and what it answered
after its chain was sealed is recovered as a tail, which the new site then merges."""

from __future__ import annotations

from wayfare_engine.outbox.quiesce import stand_down
from wayfare_engine.recovery.tasks.stranded import recover_stranded
from wayfare_engine.recovery.tasks.task import Done, Task


def recover_spooled(task: Task) -> Done:
    """Nothing is answered here from now on; then as RecoverStranded."""
    with task.connected() as connection, connection.transaction():
        task.fence(connection)
        stand_down(connection, run=str(task.number))
    return recover_stranded(task)
