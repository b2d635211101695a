"""CatchUp and CatchUpFinal: this site's database comes to what the journal holds.

CatchUp stops once at the newest checkpoint of the acting chain and compares its tables there,
because further on nobody can say what they should be when the source is gone. CatchUpFinal goes to
the end of every chain that was closed, or to where the old site says that its chain ends.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from wayfare_engine.customers import applying
from wayfare_engine.journal import positions
from wayfare_engine.journal.catch_up import CatchUp, CatchUpReport
from wayfare_engine.journal.checking import Verdict
from wayfare_engine.journal.positions import Chain
from wayfare_engine.journal.problems import ChainProblem
from wayfare_engine.journal.snapshot import Manifest, revision
from wayfare_engine.journal.snapshots import snapshots
from wayfare_engine.journal.starting_over import snapshot_beyond
from wayfare_engine.lease.epochs import highest
from wayfare_engine.ledger.fence import site_epoch
from wayfare_engine.ledger.standing import lease_site
from wayfare_engine.privacy import batches
from wayfare_engine.recovery.tasks import ending, watching
from wayfare_engine.recovery.tasks.comparing import compare, compared_figures
from wayfare_engine.recovery.tasks.problems import StepFailed
from wayfare_engine.recovery.tasks.task import Done, Task
from wayfare_engine.resources import Verdict as CheckVerdict
from wayfare_engine.store.blobs import fetch_missing

#: A pass that applied no more rows than this found the end: a source that lives goes on writing.
_FEW = 1000
_PASSES = 5


def catch_up(task: Task) -> Done:
    """Restore a snapshot if the database is empty, compare at the newest checkpoint, apply all."""
    applying.register()
    watching.note_beats(task)
    with _session(task, standby=True) as session:
        totals = _Totals()
        totals.snapshot = _restored(task, session)
        compared = _through(task, lambda: _compared(task, session, totals))
        for _ in range(_PASSES):
            found = _through(task, lambda: totals.add(_once(task, session)))
            if found.total <= _FEW:
                break
        blobs = _bring_blobs(session)
        acting = highest(task.store, task.plan, seen=site_epoch(session.connection).highest_seen)
    at = None if acting is None else (acting.site, acting.epoch)
    figures = totals.figures() | {
        "site": at[0] if at else None,
        "epoch": at[1] if at else None,
        "seq": totals.watermark.get(at, 0) if at else 0,
        "compared": compared_figures(compared),
        "blobs": blobs,
        "beats": watching.figures(task),
    }
    return Done(_said(totals, compared), figures)


def catch_up_final(task: Task) -> Done:
    """To the end of each closed chain, or to the end that the old site named when it sealed; there
    as many rows have to be here in each table as there."""
    applying.register()
    sealed = task.result_of("Seal")
    # After TakeEpoch this site holds its epoch, and applies what lower ones left.
    with _session(task, standby=sealed is not None) as session:
        totals = _Totals()
        _through(task, lambda: totals.add(_once(task, session)))
        figures = totals.figures() | {"blobs": _bring_blobs(session)}
        if sealed is not None:
            found = ending.compared(task, session.connection, sealed.figures)
        else:
            found = ending.closed(task, session.connection)
    evidence = task.keep({"checks": list(found), "sealed": sealed and sealed.figures})
    barred = [one for one in found if one.gate and one.verdict is not CheckVerdict.PASSED]
    if barred:
        words = "; ".join(one.message for one in barred)
        raise StepFailed(words, figures | {"gate": True}, found, evidence)
    return Done(
        f"applied {totals.rows:,} rows, up to the end of the journal", figures, found, evidence
    )


class _Totals:
    """What all passes did."""

    def __init__(self) -> None:
        self.rows = self.segments = self.left_out = 0
        self.seconds = 0.0
        self.snapshot: str | None = None
        self.watermark: dict[Chain, int] = {}
        self.sealed_at: str | None = None

    def add(self, report: CatchUpReport) -> CatchUpReport:
        self.rows += report.total
        self.segments += report.segments
        self.seconds += report.seconds
        self.left_out += report.left_out
        self.watermark = dict(report.watermark)
        self.sealed_at = report.sealed_at or self.sealed_at
        return report

    def figures(self) -> dict[str, Any]:
        rate = round(self.rows / self.seconds) if self.rows and self.seconds > 0 else None
        return {
            "rows": self.rows,
            "segments": self.segments,
            "seconds": round(self.seconds, 3),
            "rowsPerSecond": rate,
            "watermark": positions.by_name(self.watermark),
            "sealedAt": self.sealed_at,
            "snapshot": self.snapshot,
        }


#: How long a worker that follows may take to end its round, in seconds.
_FOLLOWER = 30.0


def _session(task: Task, *, standby: bool) -> AbstractContextManager[CatchUp]:
    """With `standby` nothing is applied once this site holds its epoch."""
    with task.connected() as connection:
        lease_site(connection)
    return CatchUp.opened(
        task.dsn,
        task.store,
        plan=task.plan,
        patience=_FOLLOWER,
        standby=standby,
        fence=task.fence,
        monotonic=task.monotonic,
    )


def _restored(task: Task, session: CatchUp) -> str | None:
    wanted = None if task.before is None else (task.before.figures.get("goOn") or {})
    if wanted and isinstance(wanted.get("snapshot"), str):
        manifest = _manifest(task, wanted["snapshot"])
        if manifest is not None:
            task.say(f"going on from snapshot {manifest.id}, past what is damaged")
            session.start_over(manifest, progress=task.progress("restoring (bytes)"))
            return manifest.id
    found = session.restore(progress=task.progress("restoring (bytes)"))
    if found is not None:
        task.say(f"restored snapshot {found}")
    return found


def _manifest(task: Task, name: str) -> Manifest | None:
    return next((s.manifest for s in snapshots(task.store) if s.id == name), None)


def _once(task: Task, session: CatchUp) -> CatchUpReport:
    return session.once(progress=task.progress("rows applied"))


def _compared(task: Task, session: CatchUp, totals: _Totals) -> Verdict:
    before = positions.positions(session.connection)
    began = task.monotonic()
    found = compare(task, session)
    after = positions.positions(session.connection)
    rows = sum(a.seq - before[c].seq if c in before else a.seq for c, a in after.items())
    if rows:
        totals.rows += rows
        # With the time that hashing took: what it takes to come there and know it.
        totals.seconds += task.monotonic() - began
    return found


def _bring_blobs(session: CatchUp) -> int:
    batches.sync(session.connection, session.store)
    return fetch_missing(session.connection, session.store)


def _through(task: Task, work: Any) -> Any:
    """A damaged object ends the step with its name, and with what a new attempt will do."""
    try:
        return work()
    except ChainProblem as problem:
        with task.connected() as connection:
            beyond = snapshot_beyond(
                task.store, problem.path, plan=task.plan, revision=revision(connection)
            )
        if beyond is not None:
            then = (
                f"snapshot {beyond.id} of {beyond.taken_at:%Y-%m-%d %H:%M:%S} UTC stands for what "
                "is beyond it: another attempt goes on from there"
            )
        else:
            then = (
                "no snapshot stands for what is beyond it: put the object back from the bucket's "
                "versions or a copy, then try again"
            )
        raise StepFailed(
            f"{problem}; {then}",
            {
                "damaged": problem.path,
                "problem": problem.problem,
                "goOn": None if beyond is None else {"snapshot": beyond.id},
            },
        ) from None


def _said(totals: _Totals, compared: Verdict) -> str:
    words = f"applied {totals.rows:,} rows of {totals.segments:,} segments"
    if totals.snapshot:
        words = f"restored snapshot {totals.snapshot}, {words}"
    if compared.answer == "unknown":
        return f"{words}; not compared with a checkpoint: {compared.why}"
    as_of = f"{compared.at:%H:%M:%S} UTC" if compared.at else "?"
    return f"{words}; the tables were {compared.answer} at the checkpoint of {as_of}"
