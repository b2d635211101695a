"""Verifying chains: every byte, every link, and nothing besides; each finding names an object.

Unlike reading, verifying does not end at the first problem: it goes on from what the next object
says of itself, so that one damaged segment does not hide another.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from wayfare_engine.journal.chain import Links, left_out, opened
from wayfare_engine.journal.problems import ChainProblem
from wayfare_engine.journal.segment import Closed, Segment
from wayfare_engine.objectstore import paths
from wayfare_engine.objectstore.marker import check
from wayfare_engine.objectstore.store import Listed, ObjectStore

_OBJECT = re.compile(
    rf"journal/([^/]+)/([0-9]{{{paths.EPOCH_DIGITS}}})/([0-9]{{{paths.SEQ_DIGITS}}})\Z"
)
_THREADS = 4
_WAITING = 16


@dataclass(frozen=True)
class Finding:
    """What is wrong, and at which object; the words are those of `ChainProblem`."""

    path: str
    problem: str
    detail: str


@dataclass
class VerifiedChain:
    """What one chain holds. `last` is its last position, `digest` that of its last object;
    `unread`: so many of its first objects were not looked at."""

    site: str
    epoch: int
    objects: int = 0
    rows: int = 0
    size: int = 0
    last: int = 0
    digest: str = ""
    sealed_at: str = ""
    closed_by: int | None = None
    unread: int = 0


@dataclass
class Verified:
    """The answer: `ok` when nothing was found. Sizes in bytes."""

    plan: str
    chains: list[VerifiedChain] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether every chain is as its writer left it."""
        return not self.findings


def verify(
    store: ObjectStore,
    *,
    plan: str,
    site: str | None = None,
    epoch: int | None = None,
    newest: int | None = None,
    bodies: bool = True,
    progress: Callable[[int, int], None] = lambda done, all_of_it: None,
) -> Verified:
    """Verify the chains of `site` and `epoch`, or all; all have to be of `plan`, as the store's
    marker. With `newest`, only so many of the last objects (see `left_out`).
    Without `bodies`, rows are held against the digest of the object only, not against their own.
    `progress(objects done, objects)`.

    Raises ForeignStore for another plan's marker, NewerFormat, StoreProblem, StoreUnavailable.
    """
    result = Verified(plan)
    if check(store, plan) is None:
        result.findings.append(
            Finding(paths.MARKER, ChainProblem.MISSING, "the store does not say whose it is")
        )
    chains = _grouped(store, site, epoch, result)
    unread = left_out({chain: len(listed) for chain, listed in chains.items()}, newest)
    total = sum(len(listed) - unread[chain] for chain, listed in chains.items())
    done = 0
    for (where, number), every in chains.items():
        checked = VerifiedChain(where, number, unread=unread[where, number])
        listed = every[checked.unread :]
        result.chains.append(checked)
        links = Links(where, number, plan=plan)
        if checked.unread:
            links.lost()
        for entry, found in _opened(store, listed, bodies):
            done += 1
            checked.objects += 1
            checked.size += entry.size
            _follow(result, checked, links, entry.path, found)
            progress(done, total)
    _later_epochs(result)
    return result


def _grouped(
    store: ObjectStore, site: str | None, epoch: int | None, result: Verified
) -> dict[tuple[str, int], list[Listed]]:
    """The objects of each chosen chain; what is no object of a chain is a finding."""
    found: dict[tuple[str, int], list[Listed]] = {}
    prefix = paths.JOURNAL if site is None else f"{paths.JOURNAL}{site}/"
    if site is not None and epoch is not None:
        prefix = paths.chain(site, epoch)
    for entry in store.list(prefix):
        match = _OBJECT.match(entry.path)
        if match is None:
            result.findings.append(
                Finding(entry.path, ChainProblem.FOREIGN, "no object of a journal is called so")
            )
        elif epoch is None or int(match[2]) == epoch:
            found.setdefault((match[1], int(match[2])), []).append(entry)
    return dict(sorted(found.items(), key=lambda c: (c[0][1], c[0][0])))


def _opened(
    store: ObjectStore, listed: Sequence[Listed], bodies: bool
) -> Iterator[tuple[Listed, Segment | Closed | ChainProblem]]:
    """Each object decoded, several at once, in order."""

    def one(entry: Listed) -> Segment | Closed | ChainProblem:
        try:
            found = opened(entry.path, store.get(entry.path), bodies=bodies)
        except ChainProblem as problem:
            return problem
        # Its rows were compared with its digest; the links need the header only.
        return found if isinstance(found, Closed) else Segment(found.header, None, found.digest)

    with ThreadPoolExecutor(_THREADS, thread_name_prefix="verify") as pool:
        waiting: list[tuple[Listed, Future[Any]]] = []
        try:
            for entry in listed:
                waiting.append((entry, pool.submit(one, entry)))
                if len(waiting) >= _WAITING:
                    first, future = waiting.pop(0)
                    yield first, future.result()
            for first, future in waiting:
                yield first, future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _follow(
    result: Verified,
    checked: VerifiedChain,
    links: Links,
    path: str,
    found: Segment | Closed | ChainProblem,
) -> None:
    if isinstance(found, ChainProblem):
        result.findings.append(Finding(found.path, found.problem, found.detail))
        links.lost()
        return
    try:
        links.add(path, found)
    except ChainProblem as problem:
        result.findings.append(Finding(problem.path, problem.problem, problem.detail))
        links.follow(found)
    if isinstance(found, Closed):
        checked.closed_by = checked.closed_by or found.by
    else:
        checked.rows += found.header.last - found.header.first + 1
        checked.sealed_at = found.header.sealed_at
    checked.last, checked.digest = links.seq, links.previous


def _later_epochs(result: Verified) -> None:
    """A site's chain that was left open while the same site went on in a later epoch is allowed:
    its tail was sealed. One that is closed by an epoch lower than its own is not."""
    for chain in result.chains:
        if chain.closed_by is not None and chain.closed_by <= chain.epoch:
            path = paths.segment(chain.site, chain.epoch, chain.last + 1)
            result.findings.append(
                Finding(
                    path,
                    ChainProblem.FOREIGN,
                    f"epoch {chain.closed_by} cannot close a chain of epoch {chain.epoch}",
                )
            )
