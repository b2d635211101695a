"""DecisionsReplayed: a sample of recorded decisions comes out the same when decided again here."""

from __future__ import annotations

import time
from typing import Any, Final

from wayfare_engine.recovery.checks.check import Check, Cost, Found, Step, failed, passed, unknown
from wayfare_engine.recovery.checks.looking import Looking, Source
from wayfare_engine.recovery.replay import Replayer, sampled
from wayfare_engine.resources import CheckLevel

#: Of those that can be replayed at all: with fewer, the rest says little.
_LEAST_SHARE: Final = 0.5


def _ask(at: Looking) -> Found:
    began = time.monotonic()
    wanted = at.objectives
    seed = wanted.replay_seed
    with at.database() as connection:
        sample, source = sampled(
            connection,
            at.store,
            size=wanted.replay_sample,
            seed=seed,
            say=at.say,
            newest=wanted.replay_newest,
            others=wanted.replay_others,
        )
        replaying = time.monotonic()
        found = Replayer(connection, sample, source).run(at.say)
    ended = time.monotonic()
    figures: dict[str, Any] = {
        "sample": found.sample,
        "of": source.decisions,
        "replayed": found.replayed,
        "equal": found.equal,
        "differences": len(found.differences),
        "reasons": dict(found.reasons),
        "notReplayed": dict(found.not_replayed),
        "rowsCompared": found.rows_compared,
        "rowsNotCompared": dict(found.rows_not_compared),
        "strata": source.strata,
        "seed": seed,
        "plansLoaded": found.plans_loaded,
        "objectsRead": source.objects,
        "seconds": round(ended - began, 3),
        "perSecond": round(found.replayed / max(ended - replaying, 1e-6)),
    }
    saw = {"source": source.name, "objects": source.of_objects}
    if found.differences:
        fields = ", ".join(f"{name} {count:,}" for name, count in found.reasons.most_common())
        return failed(
            f"{len(found.differences):,} of {found.replayed:,} decisions differ: {fields}",
            figures,
            found.differences,
            **saw,
        )
    if not found.sample:
        return unknown("no decision was recorded yet", figures, **saw)
    possible = found.sample - found.not_replayed["CustomerErased"]
    if found.replayed == 0 or found.replayed < possible * _LEAST_SHARE:
        reasons = ", ".join(f"{name} {count:,}" for name, count in found.not_replayed.items())
        return unknown(
            f"{found.replayed:,} of {found.sample:,} decisions could be decided again: {reasons}",
            figures,
            **saw,
        )
    what = f"{found.equal:,} of {found.sample:,} decisions are equal"
    rest = found.sample - found.replayed
    if rest:
        what += f", {rest:,} could not be decided again"
    if found.rows_compared < found.replayed:
        what += f"; memberships compared of {found.rows_compared:,}"
    return passed(what, figures, **saw)


CHECK = Check(
    name="DecisionsReplayed",
    level=CheckLevel.SERVICE,
    gate=True,
    cost=Cost.SAMPLED,
    guards="Recorded decisions, a sample over all slots and journeys, come out the same when they "
    "are decided again from this database's plans, customers and memberships.",
    seen="The ids of decisions that differ, with the recorded and the present value of each field; "
    "how many could not be decided again, by reason.",
    unclear="The database does not answer, nothing was recorded, or of more than half of the "
    "sample an input is gone.",
    steps=frozenset({Step.REPLAY, Step.SCHEDULE}),
    needs=(Source.DATABASE,),
    ask=_ask,
)
