"""Snapshots: taken from what is sealed, restored whole or not at all, and never the only way."""

from __future__ import annotations

import psycopg
import pytest

from tests.catchup.databases import random_rows, scalar, tables, write_and_seal, write_live
from tests.journal.making import PLAN, SITE, seal_all
from wayfare_engine.clock import now
from wayfare_engine.journal import restoring
from wayfare_engine.journal.catch_up import catch_up
from wayfare_engine.journal.snapshot import (
    Manifest,
    NothingToSnapshot,
    SourceNotSealed,
    decode_manifest,
    take,
)
from wayfare_engine.journal.snapshot_tables import BESIDE, LOCAL
from wayfare_engine.journal.snapshot_tables import tables as snapshot_tables
from wayfare_engine.journal.snapshots import prune, snapshots
from wayfare_engine.ledger.fence import raise_epoch
from wayfare_engine.objectstore import ObjectStore, paths
from wayfare_engine.projections import PROJECTIONS

CHAIN = (SITE, 1)


def taken(dsn: str, store: ObjectStore, name: str) -> Manifest:
    """A snapshot of this name."""
    return take(dsn, store, plan=PLAN, snapshot=name, clock=now)


def emptied(dsn: str) -> str:
    """As a new site's database is."""
    from tests.catchup.databases import reset

    return reset(dsn)


def test_a_snapshot_and_the_tail_give_what_a_replay_gives(
    live: str, dr: str, store: ObjectStore
) -> None:
    write_and_seal(live, store, random_rows(300, 1))
    catch_up(dr, store, plan=PLAN)
    manifest = taken(dr, store, "s1")
    assert {(at.site, at.epoch): at.seq for at in manifest.watermark} == {CHAIN: 300}
    write_and_seal(live, store, random_rows(100, 2))
    indexes = (
        "SELECT array_agg(indexdef ORDER BY indexdef) FROM pg_indexes WHERE schemaname = 'wayfare'"
    )
    before = scalar(dr, indexes)
    emptied(dr)
    report = catch_up(dr, store, plan=PLAN)
    assert (report.snapshot, report.total) == ("s1", 100)
    assert report.watermark == {CHAIN: 400}
    assert tables(dr) == tables(live)
    assert scalar(dr, indexes) == before, "every index and key is back"
    emptied(dr)
    whole = catch_up(dr, store, plan=PLAN, from_snapshot=False)
    assert (whole.snapshot, whole.total) == (None, 400)
    assert tables(dr) == tables(live)


def test_a_database_that_is_not_empty_goes_on_from_where_it_is(
    live: str, dr: str, store: ObjectStore
) -> None:
    write_and_seal(live, store, random_rows(50, 1))
    catch_up(dr, store, plan=PLAN)
    taken(dr, store, "s1")
    write_and_seal(live, store, random_rows(50, 2))
    report = catch_up(dr, store, plan=PLAN)
    assert (report.snapshot, report.total) == (None, 50)


def test_the_source_may_hold_no_row_that_is_in_no_segment(live: str, store: ObjectStore) -> None:
    with pytest.raises(NothingToSnapshot):
        taken(live, store, "s0")
    write_live(live, random_rows(20, 1))
    with pytest.raises(SourceNotSealed, match=f"site {SITE}, epoch 1"):
        taken(live, store, "s0")
    seal_all(live, store)
    assert taken(live, store, "s1").rows_covered == 20, "at rest, with everything sealed"
    write_live(live, random_rows(1, 2))
    with pytest.raises(SourceNotSealed, match="take snapshots at the recovery site"):
        taken(live, store, "s2")
    assert [f.id for f in snapshots(store)] == ["s1"], "nothing was begun"


def test_a_snapshot_of_a_stranded_tail_is_refused(live: str, store: ObjectStore) -> None:
    from wayfare_engine.journal.closing import close_chain
    from wayfare_engine.journal.problems import EpochOver

    write_and_seal(live, store, random_rows(20, 1))
    close_chain(store, *CHAIN, plan=PLAN, by=2, clock=now)
    write_live(live, random_rows(5, 2))
    with pytest.raises(EpochOver):
        seal_all(live, store)
    with pytest.raises(SourceNotSealed):
        taken(live, store, "s1")


@pytest.mark.parametrize("from_snapshot", [True, False])
def test_an_interrupted_restore_is_taken_back_by_whoever_comes_next(
    live: str, dr: str, store: ObjectStore, from_snapshot: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_and_seal(live, store, random_rows(100, 1))
    catch_up(dr, store, plan=PLAN)
    taken(dr, store, "s1")
    emptied(dr)

    class _Killed(BaseException):
        pass

    def killed() -> None:
        raise _Killed

    with monkeypatch.context() as patched:
        patched.setattr(restoring, "filled", killed)
        with pytest.raises(_Killed):
            catch_up(dr, store, plan=PLAN)
    assert tables(dr) == tables(live), "all is there, but nothing says how far it is"
    with (
        psycopg.connect(dr, autocommit=True) as connection,
        pytest.raises(psycopg.Error, match="a snapshot is being restored"),
    ):
        raise_epoch(connection, 2)
    report = catch_up(dr, store, plan=PLAN, from_snapshot=from_snapshot)
    assert (report.snapshot, report.total) == (("s1", 0) if from_snapshot else (None, 100))
    assert tables(dr) == tables(live)
    assert scalar(dr, "SELECT count(*) FROM wayfare.restore") == 0


@pytest.mark.parametrize("harm", ["missing", "flipped", "cut", "no manifest", "bad manifest"])
def test_a_broken_snapshot_is_passed_over_for_the_one_before(
    live: str, dr: str, store: ObjectStore, harm: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_and_seal(live, store, random_rows(100, 1))
    catch_up(dr, store, plan=PLAN)
    taken(dr, store, "s1")
    write_and_seal(live, store, random_rows(100, 2))
    catch_up(dr, store, plan=PLAN)
    taken(dr, store, "s2")
    # One in the middle: tables before it are restored already when it shows.
    path = paths.snapshot_chunk("s2", "journey_instances", 0)
    manifest = paths.snapshot_manifest("s2")
    data = store.get(path)
    assert data is not None
    match harm:
        case "missing":
            store.delete(path)
        case "flipped":
            store.put(path, bytes([data[0] ^ 1]) + data[1:])
        case "cut":
            store.put(path, data[:-1])
        case "no manifest":
            store.delete(manifest)
        case _:
            store.put(manifest, b'{"format":1,')
    emptied(dr)
    report = catch_up(dr, store, plan=PLAN)
    assert (report.snapshot, report.total) == ("s1", 100)
    assert tables(dr) == tables(live)
    assert "snapshot.passed_over" in capsys.readouterr().out


def test_snapshots_of_another_plan_schema_or_format_are_passed_over(
    live: str, dr: str, store: ObjectStore
) -> None:
    write_and_seal(live, store, random_rows(60, 1))
    catch_up(dr, store, plan=PLAN)
    made = taken(dr, store, "s1")
    import msgspec

    for name, change in (
        ("s2", {"plan": "another"}),
        ("s3", {"revision": "9999"}),
        ("s4", {"format": 2}),
    ):
        other = msgspec.structs.replace(made, id=name, **change)
        store.put(paths.snapshot_manifest(name), msgspec.json.encode(other))
    emptied(dr)
    assert catch_up(dr, store, plan=PLAN).snapshot == "s1"
    assert tables(dr) == tables(live)


def test_pruning_keeps_the_newest_and_what_may_be_under_way(
    live: str, dr: str, store: ObjectStore
) -> None:
    write_and_seal(live, store, random_rows(40, 1))
    catch_up(dr, store, plan=PLAN)
    for name in ("20260101", "20260102", "20260103"):
        taken(dr, store, name)
    blob = paths.blob("0" * 64)
    store.put(blob, b"referred to by a row")
    for begun in ("20260100", "20260104"):  # before and after the newest complete one
        store.put(paths.snapshot_chunk(begun, "outbox", 0), b"x")
    with pytest.raises(ValueError, match="at least 1"):
        prune(store, keep=0)
    assert prune(store, keep=2) == ["20260101", "20260100"]
    assert prune(store, keep=2) == []
    assert prune(store, keep=1) == ["20260102"]
    assert [f.id for f in snapshots(store)] == ["20260104", "20260103"]
    assert store.exists(blob)
    emptied(dr)
    assert catch_up(dr, store, plan=PLAN).snapshot == "20260103"


def test_a_manifest_is_written_once(live: str, dr: str, store: ObjectStore) -> None:
    write_and_seal(live, store, random_rows(20, 1))
    catch_up(dr, store, plan=PLAN)
    first = taken(dr, store, "s1")
    data = store.get(paths.snapshot_manifest("s1"))
    assert data is not None
    assert decode_manifest(data) == first


def test_every_table_is_in_snapshots_or_says_why_not(dr: str) -> None:
    with psycopg.connect(dr, autocommit=True) as connection:
        found = {
            row[0]
            for row in connection.execute(
                "SELECT relname FROM pg_class WHERE relnamespace = 'wayfare'::regnamespace "
                "AND relkind IN ('r', 'p') AND NOT relispartition"
            )
        }
        held = {table.name for table in snapshot_tables(connection)}
    assert held == {p.name for p in PROJECTIONS} | set(BESIDE)
    assert held & set(LOCAL) == set()
    assert found - held - set(LOCAL) == set(), "declare these in journal/snapshot_tables.py"
    assert set(LOCAL) - found == set()
