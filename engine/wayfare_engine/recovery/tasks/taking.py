"""TakeEpoch, FenceWait and TransferEpoch: the right to act comes to this site.

TakeEpoch takes and closes, FenceWait waits in a process of its own while CatchUpFinal goes to the
ends of the closed chains. That the wait is over is said only when this database has those ends:
until then it does not know what the old site sent last. TransferEpoch is a planned move: the old
site has stopped and sealed, so it takes, applies the chain's end and acts at once.
"""

from __future__ import annotations

import uuid
from typing import Any

from psycopg import Connection

from wayfare_engine.customers import applying
from wayfare_engine.journal import positions
from wayfare_engine.journal.catch_up import CatchUp
from wayfare_engine.lease import Quiesced, Stale, Statement, TakeEpoch, highest
from wayfare_engine.lease.beats import read_beat
from wayfare_engine.lease.epochs import Lease, read
from wayfare_engine.lease.signing import ToSign
from wayfare_engine.lease.take_epoch import Grounds, next_epoch, require_site, taken_here
from wayfare_engine.ledger.fence import site_epoch
from wayfare_engine.recovery.tasks import losing, watching
from wayfare_engine.recovery.tasks.ending import open_chains
from wayfare_engine.recovery.tasks.problems import StepBefore, StepFailed
from wayfare_engine.recovery.tasks.task import Done, Task

#: Beats that may fail to come before their site counts as silent.
_BEATS = 3.0
_LOOK_SECONDS = 0.2


def take_epoch(task: Task) -> Done:
    """Take the next epoch on the run's statement or on stale beats, and close every open chain."""
    with task.connected() as connection:
        require_site(connection, task.site)
        epoch = _epoch_of_run(task, connection)
        before = read(task.store, task.plan, epoch - 1) if epoch > 1 else None
        ours = read(task.store, task.plan, epoch)
        grounds: Grounds | None = None
        if ours is None and before is not None:
            grounds = _grounds(task, before, epoch)
        taking = taking_of(task, connection, epoch, grounds)
        taking.take()
        assert taking.lease is not None
        task.say(f"epoch {epoch} is taken, and {len(taking.closed)} older chains are closed")
        figures = _figures(taking) | {
            "takenAt": taking.taken_at,
            "clock": watching.this_clock(),
            "grounds": _grounds_text(grounds, taking.lease),
        }
        if isinstance(grounds, Stale):
            figures["staleSeconds"] = round(grounds.watch.age() or 0.0, 1)
        if before is not None:
            figures["rpo"] = losing.estimate(task, before).figures()
        return Done(_taken_text(taking), figures, evidence=task.keep(_lease_facts(taking.lease)))


def fence_wait(task: Task) -> Done:
    """Wait until no hand-over of a lower epoch can start any more and this database knows all that
    the closed chains hold; then say that this site acts."""
    taken = task.needed("TakeEpoch").figures
    with task.connected() as connection:
        taking = taking_of(task, connection, int(taken["epoch"]), None)
        same = taken.get("clock") == watching.this_clock() != ""
        taking.go_on(float(taken["takenAt"]) if same else None)
        began = task.monotonic()
        task.say(f"waiting {taking.remaining():.1f} s: {taking.terms.arithmetic()}")
        told = task.monotonic()

        def tell(left: float) -> None:
            nonlocal told
            task.moved()
            if task.monotonic() - told >= 5.0:
                told = task.monotonic()
                task.say(f"{left:.0f} s left")

        taking.wait(tell)
        waited = task.monotonic() - began
        _until_caught_up(task, connection)
        lease = taking.act()
    figures = {
        "epoch": lease.epoch,
        "ofSeconds": round(taking.terms.wait, 3),
        "waitedSeconds": round(waited, 3),
        "forCatchUpSeconds": round(task.monotonic() - began - waited, 3),
        "arithmetic": taking.terms.arithmetic(),
    }
    return Done(f"site {task.site} may act under epoch {lease.epoch}", figures)


def transfer_epoch(task: Task) -> Done:
    """Take the epoch from a site that stopped and sealed; nothing is waited for when it proved
    that each of its senders had stopped."""
    quiesced, sealed = task.needed("Quiesce").figures, task.needed("Seal").figures
    task.needed("CatchUpFinal")
    applying.register()
    stopped = bool(quiesced.get("stopped"))
    with task.connected() as connection:
        require_site(connection, task.site)
        epoch = _epoch_of_run(task, connection)
        _require_same_holder(task, epoch, str(sealed["chain"]))
        taking = taking_of(task, connection, epoch, Quiesced(stopped=stopped))
        taking.take()
        _nothing_came_after(task, connection, sealed)
        if taking.remaining() > 0:
            task.say(
                f"not every sender of the old site said that it stopped: waiting "
                f"{taking.remaining():.1f} s, {taking.terms.arithmetic()}"
            )
        to_wait = round(taking.remaining(), 3)
        taking.wait(lambda left: task.moved())
        lease = taking.act()
    figures = _figures(taking) | {"grounds": "Quiesced", "waitedSeconds": to_wait}
    return Done(
        f"site {task.site} acts under epoch {lease.epoch}, without a row lost",
        figures,
        evidence=task.keep(_lease_facts(lease)),
    )


def taking_of(
    task: Task, connection: Connection[Any], epoch: int, grounds: Grounds | None
) -> TakeEpoch:
    """The taking of an epoch by a step of a run."""
    return TakeEpoch(
        connection,
        task.store,
        plan=task.plan,
        site=task.site,
        epoch=epoch,
        reason=_reason(task),
        terms=task.lease,
        now=task.clock,
        new_nonce=lambda: uuid.uuid4().hex,
        sleep=task.sleep,
        grounds=grounds,
        takeover=task.terms.takeover,
        boottime=task.boottime,
        run=task.number,
        fence=task.fence,
    )


def _reason(task: Task) -> str:
    run = task.run
    return "" if run is None else f"{run.kind} {run.name}: {run.reason}"


def _epoch_of_run(task: Task, connection: Connection[Any]) -> int:
    """The epoch that this run takes: the one that it took already, if it did."""
    last = highest(task.store, task.plan, seen=site_epoch(connection).highest_seen)
    if last is not None and last.run == task.number and taken_here(connection, last):
        return last.epoch
    if last is not None and last.site == task.site:
        raise StepFailed(
            f"site {task.site} holds epoch {last.epoch} already: there is nothing to take over"
        )
    return next_epoch(connection, task.store, task.plan)


def _grounds(task: Task, holder: Lease, epoch: int) -> Grounds:
    assert task.run is not None
    said = task.run.statement
    beat = read_beat(task.store, task.plan, holder.site)
    if said:
        lines = ToSign(
            task.plan, task.site, epoch, holder, beat, task.lease, task.terms.takeover, True
        ).lines()
        return Statement(text=said, by=task.run.requested_by, read=lines)
    limit = stale_after(task)
    return Stale(watching.watched(task, holder.site, limit), limit)


def stale_after(task: Task) -> float:
    """Seconds without a new beat after which a site is silent: its right has lapsed by then, and
    some beats in a row did not come."""
    return max(task.settings.lease_ttl_seconds, _BEATS * task.settings.beat_seconds)


def _until_caught_up(task: Task, connection: Connection[Any]) -> None:
    """Until every closed chain is applied here to its end; CatchUpFinal does that."""
    told = False
    while open_ := open_chains(task, connection):
        if not told:
            names = ", ".join(f"{site}/{epoch}" for site, epoch in open_)
            task.say(f"the wait is over; CatchUpFinal has not come to the end of {names} yet")
            told = True
        task.fence(connection)
        task.sleep(_LOOK_SECONDS)
        task.moved()


def _require_same_holder(task: Task, epoch: int, chain: str) -> None:
    holder = read(task.store, task.plan, epoch - 1)
    found = "nobody" if holder is None else f"{holder.site}/{holder.epoch}"
    if found != chain:
        raise StepFailed(
            f"{chain} was sealed for this move, and epoch {epoch - 1} is {found}'s: the epoch has "
            "moved meanwhile; abandon this run"
        )


def _nothing_came_after(task: Task, connection: Connection[Any], sealed: dict[str, Any]) -> None:
    """Apply what closed the chain; anything between the announced end and that is a defect, and
    is applied before this site acts."""
    with CatchUp.opened(
        task.dsn, task.store, plan=task.plan, fence=task.fence, monotonic=task.monotonic
    ) as session:
        report = session.once(progress=task.progress("rows applied"))
    site, _, epoch = str(sealed["chain"]).rpartition("/")
    at = positions.positions(connection)[site, int(epoch)]
    if at.closed_by is None:
        raise StepBefore(task.step, "CatchUpFinal")
    if at.seq != sealed["seq"]:
        task.say(f"{report.total:,} rows came after the announced end, and are applied")


def _figures(taking: TakeEpoch) -> dict[str, Any]:
    return {
        "epoch": taking.epoch,
        "closed": [f"{site}/{epoch}" for site, epoch in taking.closed],
        "wait": round(taking.terms.wait, 3),
    }


def _taken_text(taking: TakeEpoch) -> str:
    closed = ", ".join(f"{site}/{epoch}" for site, epoch in taking.closed)
    return f"epoch {taking.epoch} is taken for site {taking.site}; closed: {closed or 'nothing'}"


def _grounds_text(grounds: Grounds | None, lease: Lease) -> str:
    if isinstance(grounds, Stale):
        return "Stale"
    if isinstance(grounds, Statement) or lease.statement is not None:
        return "Statement"
    return "Taken before" if lease.epoch > 1 else "First"


def _lease_facts(lease: Lease) -> dict[str, Any]:
    said = lease.statement
    return {
        "plan": lease.plan,
        "epoch": lease.epoch,
        "site": lease.site,
        "reason": lease.reason,
        "at": lease.at.isoformat(),
        "run": lease.run,
        "statement": None
        if said is None
        else {"text": said.text, "by": said.by, "read": list(said.read)},
    }
