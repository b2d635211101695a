"""ChainUnbroken: every byte and every link of the journal, and that this database stands on it."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import asdict, dataclass
from typing import Any, Final

from wayfare_engine.journal.positions import Applied, positions
from wayfare_engine.journal.verify import VerifiedChain, verify
from wayfare_engine.recovery.checks.check import Check, Cost, Found, Step, failed, passed, unknown
from wayfare_engine.recovery.checks.looking import Looking, Source
from wayfare_engine.resources import CheckLevel, RunKind

_SEALED_HERE: Final = "SELECT site, epoch FROM wayfare.sealed_epochs"


def _ask(at: Looking) -> Found:
    told = -1

    def progress(done: int, total: int) -> None:
        nonlocal told
        if done * 10 // total > told:
            told = done * 10 // total
            at.say(f"ChainUnbroken: {done:,} of {total:,} objects")

    # Before the chains are looked at: a database that follows goes on meanwhile.
    stands = _stands(at) if at.dsn is not None else None
    most = at.objectives.chain_objects
    # Rows were held against their own digest when they were applied: no byte has changed since.
    found = verify(at.objects, plan=at.plan, newest=most, bodies=False, progress=progress)
    findings: list[Any] = [asdict(finding) for finding in found.findings]
    if stands is not None:
        findings += _ahead(stands, at.kind, found.chains)
    figures = {
        "chains": len(found.chains),
        "objects": sum(chain.objects for chain in found.chains),
        "rows": sum(chain.rows for chain in found.chains),
        "objectsNotRead": sum(chain.unread for chain in found.chains),
    }
    saw = {"chains": [asdict(chain) for chain in found.chains]}
    if findings:
        first = findings[0]
        more = f", and {len(findings) - 1} more" if len(findings) > 1 else ""
        return failed(
            f"{first['path']}: {first['problem']}: {first['detail']}{more}",
            figures,
            findings,
            **saw,
        )
    if not found.chains:
        return unknown("the store has no chain yet", figures)
    said = f"{figures['chains']} chains with {figures['rows']:,} rows are whole"
    if figures["objectsNotRead"]:
        said += f"; {figures['objectsNotRead']:,} older objects were not read"
    return passed(said, figures, **saw)


@dataclass(frozen=True)
class _Stands:
    """How far this database applied each chain, and which chains it sealed itself."""

    applied: Mapping[tuple[str, int], Applied]
    own: Set[tuple[str, int]]


def _stands(at: Looking) -> _Stands:
    with at.database() as connection:
        own = {(row[0], row[1]) for row in connection.execute(_SEALED_HERE).fetchall()}
        return _Stands(positions(connection), own)


def _ahead(stands: _Stands, kind: str | None, chains: list[VerifiedChain]) -> list[dict[str, Any]]:
    """Where this database applied what the store's chains do not have."""
    there = {(chain.site, chain.epoch): chain for chain in chains}
    found = []
    for (site, epoch), applied in sorted(stands.applied.items()):
        chain = there.get((site, epoch))
        if chain is None and kind == RunKind.DRILL and (site, epoch) in stands.own:
            continue  # what the clone of a drill seals is in a store of its own
        last, digest = (0, "") if chain is None else (chain.last, chain.digest)
        ends_there = chain is not None and chain.closed_by is None and last == applied.seq
        if applied.seq > last:
            what = f"this database applied positions up to {applied.seq}, the chain ends at "
            problem = f"{what}{last}"
        elif ends_there and applied.segment and applied.segment != digest:
            problem = f"position {last} was applied from another object than the one there"
        else:
            continue
        path = f"journal/{site}/{epoch:08d}/"
        found.append({"path": path, "problem": "is not what was applied", "detail": problem})
    return found


CHECK = Check(
    name="ChainUnbroken",
    level=CheckLevel.DATA,
    gate=True,
    cost=Cost.FULL,
    guards="Every segment of every chain (of long ones the newest 20,000) has the bytes that its "
    "writer left and follows the one before it, and this database applied nothing that is not "
    "there.",
    seen="Each chain's objects, rows, end and digest, and each object that is not right.",
    unclear="The store does not answer, is another plan's, or has no chain yet.",
    steps=frozenset({Step.VERIFY}),
    needs=(Source.STORE,),
    ask=_ask,
)
