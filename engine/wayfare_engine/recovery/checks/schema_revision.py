"""SchemaRevision: this database has the tables that this code is written for."""

from __future__ import annotations

from wayfare_engine.journal.snapshot import revision
from wayfare_engine.recovery.checks.check import Check, Cost, Found, Step, failed, passed
from wayfare_engine.recovery.checks.looking import Looking, Source
from wayfare_engine.resources import CheckLevel
from wayfare_engine.store.migrate import newest_revision


def _ask(at: Looking) -> Found:
    with at.database() as connection:
        found = revision(connection)
    wanted = newest_revision()
    figures = {"database": found, "code": wanted}
    if found == wanted:
        return passed(f"the schema has revision {found}", figures)
    newer = found > wanted
    hint = (
        "a newer version was at work here: use its image"
        if newer
        else "start a worker of this version, which migrates it"
    )
    return failed(
        f"the schema has revision {found}, and this version is written for {wanted}: {hint}",
        figures,
        [figures],
    )


CHECK = Check(
    name="SchemaRevision",
    level=CheckLevel.SYSTEM,
    gate=True,
    cost=Cost.CHEAP,
    guards="The database's schema is the one that this version reads and writes.",
    seen="The revision of the database, and that of the code.",
    unclear="The database does not answer, or was never migrated.",
    steps=frozenset({Step.VERIFY, Step.SCHEDULE}),
    needs=(Source.DATABASE,),
    ask=_ask,
)
