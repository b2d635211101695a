"""RecoverStranded and Reconcile: what a site had and never shipped is put back.

RecoverStranded runs at the site that came back, Reconcile at the one that acts. After a planned
move MergeSpooled does what Reconcile does, of what RecoverSpooled found.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from psycopg import Connection

from wayfare_engine.customers import applying
from wayfare_engine.journal.catch_up import CatchUp
from wayfare_engine.journal.checking import Verdict
from wayfare_engine.journal.rebuilding import rebuild
from wayfare_engine.lease.epochs import read as read_lease
from wayfare_engine.objectstore import ObjectStore
from wayfare_engine.reconcile import Tail, entries, merge, recover, summary, tails
from wayfare_engine.reconcile.report import Summary, merged_in
from wayfare_engine.recovery.tasks import losing
from wayfare_engine.recovery.tasks.comparing import compare, compared_figures
from wayfare_engine.recovery.tasks.problems import StepFailed
from wayfare_engine.recovery.tasks.task import Done, Task
from wayfare_engine.resources import RunKind
from wayfare_engine.runs import Run, evidence, read_result, read_run
from wayfare_engine.store.blobs import fetch_missing

#: Bytes of entries in one piece of evidence, well below what one may have.
_PIECE = 8 << 20


def recover_stranded(task: Task) -> Done:
    """Put the stranded tails of this site into the store; then make its tables what the chains
    alone give. From here on nobody writes under the lost epoch."""
    applying.register()
    with task.connected() as connection:
        found = recover(
            connection,
            task.store,
            plan=task.plan,
            site=task.site,
            progress=task.progress("stranded rows recovered"),
            fence=task.fence,
        )
        found = _of_this_loss(connection, found)
        waiting = _not_rebuilt(connection)
    facts = [tail.facts() for tail in found]
    rows = sum(tail.manifest.rows for tail in found)
    task.say(f"{rows:,} rows of {task.site} were in no closed chain")
    figures: dict[str, Any] = {"tails": _named(found), "rows": rows, "rpo": _exact(task, found)}
    if waiting:
        figures["rebuilt"] = _rebuilt(task)
    return Done(
        f"recovered {rows:,} stranded rows of site {task.site}",
        figures,
        evidence=task.keep({"tails": facts, "rpo": figures["rpo"]}),
    )


def _of_this_loss(connection: Connection[Any], found: list[Tail]) -> list[Tail]:
    """Those that no acting site is known here to have merged: what earlier runs put back is theirs.
    Of those without rows only that of the epoch that was held last."""
    last = max((tail.manifest.epoch for tail in found), default=0)
    return [
        tail
        for tail in found
        if (tail.manifest.rows or tail.manifest.epoch == last)
        and merged_in(connection, tail) is None
    ]


def reconcile(task: Task) -> Done:
    """Decide about each row of each tail in the store, at the site that acts, and account for all
    of them by id."""
    applying.register()
    with task.connected() as connection:
        found = sorted(tails(task.store), key=lambda t: -t.manifest.epoch)
        for tail in found:
            if merged_in(connection, tail) is not None:
                continue
            task.say(f"merging {tail.manifest.rows:,} rows of {_chain(tail)}")
            merge(
                connection,
                task.store,
                tail,
                plan=task.plan,
                site=task.site,
                ids=task.ids,
                clock=task.clock,
                progress=task.progress("stranded rows decided"),
                fence=task.fence,
            )
        asked = _asked(task, found)
        counts = [summary(connection, task.store, tail) for tail in asked]
        kept = _accounted(task, connection, asked)
    stranded = _stranded(asked, counts)
    figures = {"stranded": stranded, "tails": _named(asked)}
    undecided = sum(count.undecided for count in counts)
    digest = task.keep(
        {
            "tails": [
                t.facts() | c.facts(customers=False) for t, c in zip(asked, counts, strict=True)
            ],
            "entries": kept,
        }
    )
    if undecided:
        raise StepFailed(
            f"{undecided:,} stranded rows have no decision; try again", figures, evidence=digest
        )
    return Done(
        f"every one of {stranded['rows']:,} stranded rows is accounted for",
        figures,
        evidence=digest,
    )


def _not_rebuilt(connection: Connection[Any]) -> int:
    row = connection.execute(
        "SELECT coalesce(sum(rows), 0) + (SELECT count(*) FROM wayfare.rebuild) "
        "FROM wayfare.recovered_tails WHERE NOT rebuilt"
    ).fetchone()
    return 0 if row is None else int(row[0])


def _rebuilt(task: Task) -> dict[str, Any]:
    """Filling goes by the newest checkpoint, so that the tables are compared there: further on
    nobody says what they should be."""
    compared: list[Verdict] = []

    def on_the_way(session: CatchUp) -> None:
        compared.append(compare(task, session))

    report = rebuild(
        task.dsn,
        task.store,
        plan=task.plan,
        site=task.site,
        clock=task.clock,
        hashing=lambda name, done, rows: task.moved(),
        progress=task.progress("rows applied again"),
        allowed=task.fence,
        on_the_way=on_the_way,
    )
    with task.connected() as connection:
        blobs = fetch_missing(connection, task.store)
    return {
        "rows": report.applied.total,
        "seconds": round(report.seconds, 3),
        "different": list(report.different),
        "compared": compared_figures(compared[0]),
        "blobs": blobs,
    }


def _exact(task: Task, found: list[Tail]) -> dict[str, Any]:
    """What was lost at the failover, by ids, beside what was estimated then; what was answered late
    around a planned move is not, and stands apart."""
    some = [tail for tail in found if tail.manifest.rows]
    late = [tail for tail in some if _handed_over(task, tail)]
    lost = [tail for tail in some if tail not in late]
    oldest = min((t.manifest.oldest_at for t in lost if t.manifest.oldest_at), default=None)
    newest = max((t.manifest.newest_at for t in lost if t.manifest.newest_at), default=None)
    rows = sum(tail.manifest.rows for tail in lost)
    figures: dict[str, Any] = {
        "rows": rows,
        "oldestAt": None if oldest is None else oldest.isoformat(),
        "newestAt": None if newest is None else newest.isoformat(),
        "basis": "Exact",
    }
    if late:
        figures["answeredLate"] = sum(tail.manifest.rows for tail in late)
    estimates = [e for t in found if (e := estimate_of(task, t.manifest.closed_by)) is not None]
    if estimates:
        estimated = sum(int(one["rows"]) for one in estimates)
        figures["estimated"] = estimated
        figures["offShare"] = losing.off_share(estimated, rows)
        figures["estimates"] = [one.get("arithmetic") for one in estimates]
    return figures


def _handed_over(task: Task, tail: Tail) -> bool:
    """Whether its chain ended with a planned move."""
    run = _run_that_took(task, tail.manifest.closed_by)
    return run is not None and run.kind in (RunKind.SWITCHOVER, RunKind.FAILBACK)


def _run_that_took(task: Task, epoch: int) -> Run | None:
    lease = read_lease(task.store, task.plan, epoch)
    if lease is None or lease.run is None:
        return None
    return read_run(task.store, task.plan, lease.run)


def estimate_of(task: Task, epoch: int) -> dict[str, Any] | None:
    """What the run that took this epoch estimated as lost; None when it did not, or no run did."""
    run = _run_that_took(task, epoch)
    if run is None:
        return None
    taken = read_result(task.store, task.plan, run.number, "TakeEpoch")
    said = None if taken is None else taken.figures.get("rpo")
    return said if isinstance(said, dict) and said.get("rows") is not None else None


def _asked(task: Task, found: list[Tail]) -> list[Tail]:
    """The tails that this run is about: those that its RecoverStranded named, else all."""
    spooled = task.step == "MergeSpooled"
    recovered = task.result_of("RecoverSpooled" if spooled else "RecoverStranded")
    if recovered is None:
        return found
    names = recovered.figures.get("tails") or ()
    return [tail for tail in found if tail.digest in {one["digest"] for one in names}]


def _accounted(task: Task, connection: Connection[Any], found: list[Tail]) -> list[str]:
    """Every row by its id with what became of it, a JSON object a line; the pieces' digests."""
    return [evidence.put_text(task.store, text) for text in _pieces(connection, task.store, found)]


def _pieces(connection: Connection[Any], store: ObjectStore, found: list[Tail]) -> Iterator[str]:
    lines: list[str] = []
    size = 0
    for tail in found:
        for entry in entries(connection, store, tail):
            line = json.dumps(entry.proof()) + "\n"
            lines.append(line)
            size += len(line)
            if size >= _PIECE:
                yield "".join(lines)
                lines, size = [], 0
    if lines:
        yield "".join(lines)


def _stranded(found: list[Tail], counts: list[Summary]) -> dict[str, Any]:
    """In the words that a report looks for."""
    resolutions: dict[str, int] = {}
    rules: dict[str, int] = {}
    for count in counts:
        for (_, resolution), rows in count.kinds.items():
            resolutions[resolution] = resolutions.get(resolution, 0) + rows
        for rule, rows in count.rules.items():
            rules[rule] = rules.get(rule, 0) + rows
    oldest = min((t.manifest.oldest_at for t in found if t.manifest.oldest_at), default=None)
    newest = max((t.manifest.newest_at for t in found if t.manifest.newest_at), default=None)
    rows = sum(count.rows for count in counts)
    return {
        "rows": rows,
        "accounted": rows - sum(count.undecided for count in counts),
        "resolutions": dict(sorted(resolutions.items())),
        "rules": dict(sorted(rules.items())),
        "oldestAt": None if oldest is None else oldest.isoformat(),
        "newestAt": None if newest is None else newest.isoformat(),
    }


def _named(found: list[Tail]) -> list[dict[str, Any]]:
    return [
        {"digest": tail.digest, "chain": _chain(tail), "rows": tail.manifest.rows} for tail in found
    ]


def _chain(tail: Tail) -> str:
    return f"{tail.manifest.site}/{tail.manifest.epoch}"
