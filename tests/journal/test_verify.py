"""What verifying a chain finds, named exactly: on files each kind of damage, on S3 once over."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import pytest

from tests.journal.making import BEGAN, PLAN, SITE, chain, put_chain, table
from tests.servers.objects import ObjectServer
from wayfare_engine.clock import now
from wayfare_engine.journal.chain import chains, last_object, left_out, read
from wayfare_engine.journal.closing import close_chain
from wayfare_engine.journal.problems import ChainProblem, NewerFormat
from wayfare_engine.journal.segment import Closed, Segment, encode
from wayfare_engine.journal.verify import Finding, verify
from wayfare_engine.objectstore import ForeignStore, ObjectStore, open_store, paths
from wayfare_engine.objectstore.marker import claim

SIZES = (30, 20, 10, 40, 25)


@pytest.fixture
def journal(store: ObjectStore) -> ObjectStore:
    """A store with a chain of five segments."""
    claim(store, PLAN)
    put_chain(store, SIZES)
    return store


def path(number: int) -> str:
    return paths.segment(SITE, 1, 1 + sum(SIZES[:number]))


def body(store: ObjectStore, number: int) -> bytes:
    data = store.get(path(number))
    assert data is not None
    return data


def findings(store: ObjectStore) -> list[tuple[str, str]]:
    return [(f.path, f.problem) for f in verify(store, plan=PLAN).findings]


def test_a_whole_chain_is_whole(journal: ObjectStore) -> None:
    close_chain(journal, SITE, 1, plan=PLAN, by=2, clock=now)
    told: list[tuple[int, int]] = []
    found = verify(journal, plan=PLAN, progress=lambda done, total: told.append((done, total)))

    assert found.ok
    [east] = found.chains
    assert (east.objects, east.rows, east.last, east.closed_by) == (6, 125, 125, 2)
    assert told == [(i, 6) for i in range(1, 7)]


@pytest.mark.parametrize("place", [0, 3, 40, -60, -40, -9, -1])
@pytest.mark.parametrize("number", [0, 2, 4])
def test_a_flipped_byte(journal: ObjectStore, number: int, place: int) -> None:
    damaged = bytearray(body(journal, number))
    damaged[place] ^= 0x10
    journal.put(path(number), bytes(damaged))
    assert findings(journal) == [(path(number), ChainProblem.DAMAGED)]


@pytest.mark.parametrize("number", [0, 2, 4])
@pytest.mark.parametrize("keep", [0, 1, 3, 200, -1])
def test_a_truncated_segment(journal: ObjectStore, number: int, keep: int) -> None:
    journal.put(path(number), body(journal, number)[:keep])
    assert findings(journal) == [(path(number), ChainProblem.DAMAGED)]


@pytest.mark.parametrize("number", [0, 1, 3])
def test_a_missing_segment(journal: ObjectStore, number: int) -> None:
    journal.delete(path(number))
    found = verify(journal, plan=PLAN)
    [finding] = found.findings
    assert (finding.path, finding.problem) == (path(number + 1), ChainProblem.MISSING)
    first = 1 + sum(SIZES[:number])
    assert f"positions {first} to {first + SIZES[number] - 1}" in finding.detail


def test_two_segments_that_changed_places(journal: ObjectStore) -> None:
    second, fourth = body(journal, 1), body(journal, 3)
    journal.put(path(1), fourth)
    journal.put(path(3), second)
    assert (path(1), ChainProblem.OUT_OF_PLACE) in findings(journal)
    assert (path(3), ChainProblem.OUT_OF_PLACE) in findings(journal)


def test_a_segment_of_the_same_range_from_another_history(journal: ObjectStore) -> None:
    """A fork: right place, right range, whole in itself, and the next does not follow it."""
    header = chain(journal)[1]
    assert isinstance(header, Segment)
    forged = encode(
        table(SIZES[1], seed=99),
        plan=PLAN,
        site=SITE,
        epoch=1,
        first=header.header.first,
        previous=header.header.previous,
        sealed_at=BEGAN.isoformat(),
    )
    journal.put(path(1), forged)
    assert findings(journal) == [(path(2), ChainProblem.FORKED)]


def test_a_second_branch_beside_the_first(journal: ObjectStore) -> None:
    """An object inside a range that another one covers."""
    [extra] = put_chain(journal, [5], first=36, previous="ab" * 32, seed=7)
    assert findings(journal)[0] == (extra, ChainProblem.FORKED)


def test_a_segment_of_another_site(journal: ObjectStore) -> None:
    journal.delete(path(2))
    [elsewhere] = put_chain(journal, [10], site="west", first=51)
    data = journal.get(elsewhere)
    journal.delete(elsewhere)
    journal.put(path(2), data or b"")
    assert findings(journal)[0] == (path(2), ChainProblem.FOREIGN)


def test_a_chain_of_another_plan(journal: ObjectStore) -> None:
    [other] = put_chain(journal, [10], site="west", plan="another")
    assert findings(journal) == [(other, ChainProblem.FOREIGN)]


def test_something_after_closed(journal: ObjectStore) -> None:
    closed = close_chain(journal, SITE, 1, plan=PLAN, by=2, clock=now)
    end = journal.get(paths.segment(SITE, 1, closed.at_seq + 1))
    assert end is not None
    previous = hashlib.sha256(end).hexdigest()
    [late] = put_chain(journal, [10], first=closed.at_seq + 2, previous=previous)
    assert findings(journal) == [(late, ChainProblem.AFTER_CLOSED)]


def test_closed_that_was_changed(journal: ObjectStore) -> None:
    closed = close_chain(journal, SITE, 1, plan=PLAN, by=2, clock=now)
    end = paths.segment(SITE, 1, closed.at_seq + 1)
    data = journal.get(end)
    assert data is not None
    for changed in (
        data.replace(b'"by":2', b'"by":3'),
        data.replace(b'":', b'": ', 1),
        data + b"\n",
        data[:-3],
        b"{}",
        b"{" * 100_000,
    ):
        journal.put(end, changed)
        assert findings(journal) == [(end, ChainProblem.DAMAGED)]


def test_a_name_that_nothing_of_a_journal_has(journal: ObjectStore) -> None:
    stray = f"{paths.chain(SITE, 1)}notes.txt"
    journal.put(stray, b"hello")
    assert findings(journal) == [(stray, ChainProblem.FOREIGN)]


def test_two_problems_are_both_found(journal: ObjectStore) -> None:
    journal.put(path(1), b"nothing")
    journal.put(path(3), b"nothing")
    assert findings(journal) == [(path(1), ChainProblem.DAMAGED), (path(3), ChainProblem.DAMAGED)]


def test_a_store_without_its_marker(journal: ObjectStore) -> None:
    journal.delete(paths.MARKER)
    assert findings(journal) == [(paths.MARKER, ChainProblem.MISSING)]


def test_a_store_of_another_plan(journal: ObjectStore) -> None:
    with pytest.raises(ForeignStore, match="belongs to plan"):
        verify(journal, plan="another")


def test_one_chain_among_several(journal: ObjectStore) -> None:
    put_chain(journal, [5], site="west")
    put_chain(journal, [5], site="west", epoch=2)
    journal.put(path(1), b"nothing")

    assert chains(journal) == [("east", 1), ("west", 1), ("west", 2)]
    assert verify(journal, plan=PLAN, site="west").ok
    assert [c.epoch for c in verify(journal, plan=PLAN, site="west", epoch=2).chains] == [2]
    assert not verify(journal, plan=PLAN).ok


def test_a_newer_format_is_told_and_nothing_is_used(journal: ObjectStore, newer: bytes) -> None:
    journal.put(path(2), newer)
    with pytest.raises(NewerFormat):
        verify(journal, plan=PLAN)
    with pytest.raises(NewerFormat):
        list(read(journal, SITE, 1))


def test_reading_from_a_position_on_checks_the_link_to_it(journal: ObjectStore) -> None:
    whole = chain(journal)
    second = whole[1]
    assert isinstance(second, Segment)
    rest = list(read(journal, SITE, 1, after=second.header.last, previous=second.digest))
    assert [s.digest for s in rest] == [s.digest for s in whole[2:]]
    with pytest.raises(ChainProblem) as told:
        list(read(journal, SITE, 1, after=second.header.last, previous="0" * 64))
    assert (told.value.path, told.value.problem) == (path(2), ChainProblem.FORKED)


def test_closing_is_done_once_whoever_does_it(journal: ObjectStore) -> None:
    first = close_chain(journal, SITE, 1, plan=PLAN, by=2, clock=now)
    again = close_chain(journal, SITE, 1, plan=PLAN, by=3, clock=now)
    assert again == first
    assert first.at_seq == sum(SIZES)
    empty = close_chain(journal, "west", 1, plan=PLAN, by=2, clock=now)
    assert (empty.at_seq, empty.previous) == (0, "")
    assert [type(s) for s in chain(journal, site="west")] == [Closed]


def test_on_s3(objects: ObjectServer, monkeypatch: pytest.MonkeyPatch) -> None:
    from wayfare_engine.journal import chain as reading

    store = open_store(objects.url(), options=objects.options)
    claim(store, PLAN)
    put = put_chain(store, [3] * 40)
    assert verify(store, plan=PLAN).ok
    monkeypatch.setattr(reading, "_LISTED_PLAINLY", 5)
    found = last_object(store, SITE, 1)
    assert found is not None
    assert found.path == put[-1]

    damaged = bytearray(store.get(put[20]) or b"")
    damaged[100] ^= 1
    cases: list[tuple[Callable[[], None], tuple[str, str]]] = [
        (lambda: store.put(put[20], bytes(damaged)), (put[20], ChainProblem.DAMAGED)),
        (lambda: store.delete(put[20]), (put[21], ChainProblem.MISSING)),
    ]
    for damage, expected in cases:
        damage()
        assert findings(store) == [expected]


def test_a_finding_says_what_and_where() -> None:
    problem = ChainProblem("journal/east/00000001/0000000000000001", "damaged", "why")
    assert str(problem) == "journal/east/00000001/0000000000000001: damaged: why"
    assert Finding(problem.path, problem.problem, problem.detail).path == problem.path


def test_of_the_newest_objects_alone(journal: ObjectStore) -> None:
    """What is older is counted as unread, and damage in it is not found; in what is read it is."""
    whole = verify(journal, plan=PLAN, newest=3)
    [east] = whole.chains
    assert whole.ok
    assert (east.objects, east.unread, east.rows, east.last) == (3, 2, 75, 125)

    journal.put(path(1), body(journal, 1)[:-1])
    assert verify(journal, plan=PLAN, newest=3).ok
    assert not verify(journal, plan=PLAN, newest=4).ok
    journal.put(path(2), body(journal, 2)[:-1])
    assert not verify(journal, plan=PLAN, newest=3).ok


@pytest.mark.parametrize(
    ("most", "unread"),
    [
        (None, [0, 0, 0, 0]),
        (100, [0, 0, 0, 0]),
        (30, [5, 0, 0, 0]),  # the oldest chain is the first that is not read whole
        (21, [8, 4, 0, 0]),
        (20, [8, 5, 0, 0]),
        (8, [8, 8, 7, 0]),  # of each chain its end
        (1, [9, 9, 9, 4]),
        (0, [10, 10, 10, 5]),
    ],
)
def test_the_newest_objects_are_counted_over_all_chains(
    most: int | None, unread: list[int]
) -> None:
    order = [("west", 1), ("east", 2), ("west", 3), ("east", 4)]
    counts = dict(zip(order, [10, 10, 10, 5], strict=True))
    assert left_out(counts, most) == dict(zip(order, unread, strict=True))
