"""TablesEqual: row counts and range digests of every projection, against the newest checkpoint
that this database has come to.

At the checkpoint's own position every row has to be as it says. Further on, every row has to be
whose key no row of the chains changed since; the others are counted.
"""

from __future__ import annotations

from typing import Any, Final

from wayfare_engine.journal import digesting
from wayfare_engine.journal.checking import is_within, newest
from wayfare_engine.journal.positions import Chain
from wayfare_engine.projections.digests import Comparison, compare
from wayfare_engine.recovery.checks.changed_since import ChangedSince, changed_since
from wayfare_engine.recovery.checks.check import Check, Cost, Found, Step, failed, passed, unknown
from wayfare_engine.recovery.checks.looking import Looking, Source
from wayfare_engine.resources import CheckLevel

#: Rows since the checkpoint that are folded at most: some hundred megabytes.
_MOST_SINCE: Final = 500_000
_MOST_DIFFERENCES: Final = 1_000_000
_SHOWN: Final = 100


def _ask(at: Looking) -> Found:
    latest = newest(at.objects)
    if latest is None:
        return unknown("there is no checkpoint yet")
    assert at.dsn is not None, "the check says that it needs the database"

    def told(table: str, done: int, pages: int) -> None:
        if done == pages:
            at.say(f"TablesEqual: {table}")

    with digesting.digested(
        at.dsn, "this database", site=at.site, clock=at.clock, progress=told
    ) as (ours, connection):
        document = ours.document
        here = _positions(document.watermark)
        found = latest if is_within(latest[0], here) else newest(at.objects, within=here)
        if found is None:
            return unknown(
                f"this database is at {_named(here)}, and the newest checkpoint is of "
                f"{_named(_positions(latest[0].watermark))}: catch up first",
                checkpoint={"path": latest[2], "watermark": latest[0].watermark},
            )
        body, taken_at, path = found
        checkpoint = {
            "path": path,
            "at": taken_at.isoformat(),
            "watermark": body.watermark,
            "tables": body.tables,
        }
        wanted = _positions(body.watermark)
        since = sum(seq - wanted.get(chain, 0) for chain, seq in here.items()) + document.unsealed
        if since > _MOST_SINCE:
            return unknown(
                f"this database is {since:,} rows further than the newest checkpoint: take another",
                checkpoint=checkpoint,
            )
        theirs = digesting.opened_in_store(at.objects, path)
        said = {t.name: (t.rows, t.digest) for t in theirs.document.tables}
        if said != {name: (t["rows"], t["digest"]) for name, t in body.tables.items()}:
            return unknown(
                f"{path} is not the digest that the checkpoint's row names", checkpoint=checkpoint
            )
        changed = ChangedSince()
        if since:
            at.say(f"TablesEqual: {since:,} rows since the checkpoint")
            changed = changed_since(connection, at.objects, wanted, here)
        compared = compare(theirs, ours, limit=_MOST_DIFFERENCES)
    return _verdict(compared, changed, {"checkpoint": checkpoint, "here": document.facts()})


def _verdict(compared: Comparison, changed: ChangedSince, saw: dict[str, Any]) -> Found:
    explained = gone = 0
    findings: list[dict[str, Any]] = []
    for table in compared.tables:
        wrong = []
        for difference in table.differences:
            if changed.explains(table.name, difference.key):
                explained += 1
            elif changed.removing and difference.b is None:
                gone += 1
            else:
                wrong.append(difference)
        if wrong or table.more:
            findings.append(
                {
                    "table": table.name,
                    "rows": {"checkpoint": table.rows_a, "here": table.rows_b},
                    "keys": len(wrong),
                    "keyHashes": [difference.key for difference in wrong[:_SHOWN]],
                }
            )
    rows = sum(table.rows_b for table in compared.tables)
    figures = {
        "tables": len(compared.tables),
        "equal": len(compared.tables) - len(findings),
        "rows": rows,
        "rowsSince": changed.rows,
        "keysChangedSince": explained,
        "keys": sum(finding["keys"] for finding in findings),
    }
    if findings:
        said = ", ".join(
            f"{f['table']} ({f['keys']:,} keys, {f['rows']['checkpoint']:,} rows there, "
            f"{f['rows']['here']:,} here)"
            for f in findings
        )
        return failed(f"not what the checkpoint says: {said}", figures, findings, **saw)
    if gone:
        return unknown(
            f"{gone:,} rows are gone since the checkpoint, and something was erased or is past its "
            "retention since: nobody can tell whether it was these",
            figures,
            **saw,
        )
    what = f"{len(compared.tables)} tables with {rows:,} rows are what the checkpoint says"
    if explained:
        what += f", but for {explained:,} keys that {changed.rows:,} rows changed since"
    return passed(what, figures, **saw)


def _positions(watermark: dict[str, int]) -> dict[Chain, int]:
    found = {}
    for name, seq in watermark.items():
        site, _, epoch = name.rpartition("/")
        if seq:
            found[site, int(epoch)] = seq
    return found


def _named(watermark: dict[Chain, int]) -> str:
    return ", ".join(f"{s}/{e} {seq:,}" for (s, e), seq in sorted(watermark.items())) or "nothing"


CHECK = Check(
    name="TablesEqual",
    level=CheckLevel.DATA,
    gate=True,
    cost=Cost.FULL,
    guards="Every projection has the rows that the acting site had at its last checkpoint, by "
    "count and by digest, but for keys that rows of the chains changed since.",
    seen="Counts and digests of both sides, and the hashes of keys that differ.",
    unclear="There is no checkpoint, this database is before it or more than 500,000 rows further "
    "on, or rows are gone and something was erased since.",
    steps=frozenset({Step.VERIFY}),
    needs=(Source.STORE, Source.DATABASE),
    ask=_ask,
)
