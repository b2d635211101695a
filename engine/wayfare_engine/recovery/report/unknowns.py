"""What a report cannot tell, in sentences. An auditor reads this first; nothing is left out because
it looks like good news without it."""

from __future__ import annotations

from collections.abc import Iterator

from wayfare_engine.recovery.report.model import Report

_NOBODY = ("", "unknown")


def unknowns(report: Report) -> tuple[str, ...]:
    """One sentence each, in the order of the page."""
    return (
        *_outcome(report),
        *_measures(report),
        *_steps(report),
        *_checks(report),
        *_of_kind(report),
        *_requests(report),
        *_evidence(report),
        *_sealed(report),
    )


def _outcome(report: Report) -> Iterator[str]:
    head = report.head
    if not head.name:
        yield "Who asked for this run, why and which kind it is: its first record cannot be used."
    if report.people.requested_by in _NOBODY and any(
        one.decision == "Approve" for one in report.rulings
    ):
        yield (
            "Whether whoever approved is another person than who asked for the run: who asked is "
            "not recorded, because the chart's admission policies are off."
        )
    if head.ended_at is None:
        yield f"How the run ends: it has not ended by the records, its state is {head.state}."
    elif head.verdict == "Unknown":
        yield "The verdict: not every gate could be judged."


def _measures(report: Report) -> Iterator[str]:
    rto, rpo = report.rto, report.rpo
    if rto.value is None:
        yield "The recovery time: no VerifyServing of this run is recorded with a time."
    else:
        if rto.basis == "LastBeat":
            yield (
                "When the fault began: the recovery time counts from the newest beat of the acting "
                "site, which may be a beat's interval earlier or later."
            )
        if rto.met is None:
            yield "Whether the recovery time meets the objective."
    if rpo.value is None:
        yield "How many records were lost."
    elif rpo.basis != "Exact":
        yield (
            "Exactly how many records were lost: the figure is an estimate from the newest beat. "
            "They are known by id once the lost site's disk was read, in a failback."
        )
    if rpo.value is not None and rpo.met is None:
        yield "Whether what was lost is within the objective."


def _steps(report: Report) -> Iterator[str]:
    for step in report.steps:
        for one in step.attempts:
            if one.outcome is None:
                yield f"What came of {step.name}, attempt {one.attempt}: nothing is recorded."


def _checks(report: Report) -> Iterator[str]:
    if not report.checks:
        yield "Whether the site was in order: no check is recorded."
    for check in report.checks:
        if check.verdict not in ("Passed", "Failed"):
            yield f"Check {check.name} ({check.level} level): {check.message}"


def _of_kind(report: Report) -> Iterator[str]:
    isolation, stranded, replay = report.isolation, report.stranded, report.replay
    if isolation is not None:
        if not isolation.items:
            yield "What was kept from the outside during the drill."
        if isolation.outward_sends is None:
            yield "Whether anything was sent outside during the drill: nobody counted."
        if isolation.left is None:
            yield "Whether the drill left anything behind: no cleanup is recorded."
    if report.head.kind == "Drill" and (replay is None or replay.differences is None):
        yield "Whether recorded decisions are decided the same here: none was replayed."
    if report.head.kind == "Failback" and stranded is None:
        yield "What the lost site had and never shipped: no reconciliation is recorded."
    if stranded is not None and stranded.unaccounted is None:
        yield "Whether each of the rows that were never shipped has a decision."
    for one in report.stranded_rows:
        if one.unread:
            yield (
                f"What became of each row of {one.step} by its id: {one.unread} pieces of the list "
                "are missing or damaged."
            )
    if stranded is not None and stranded.rows and not report.stranded_rows:
        yield "What became of each stranded row by its id: the list cannot be read."


def _requests(report: Report) -> Iterator[str]:
    for one in report.requests:
        if one.outcome is None:
            yield f"Whether site {one.to_site} did {one.what}: it has not answered."
    if any(one.signed is None for one in report.requests):
        yield "Whether requests between the sites are signed right: no key was given to check it."


def _evidence(report: Report) -> Iterator[str]:
    for one in report.evidence:
        if one.state != "Verified":
            yield f"What {', '.join(one.named_by)} saw: the evidence is {one.state.lower()}."


def _sealed(report: Report) -> Iterator[str]:
    if report.head.ended_at is None:
        return
    if report.sealed.compared is None:
        yield "Whether records were changed since the run ended: its end does not name them."
    for path in report.sealed.added:
        yield f"Why {path} is there: the run's end does not know it."
