"""A digest says what it is of: the watermark, and what the tables hold beside it."""

from __future__ import annotations

from pathlib import Path

from tests.catchup.databases import random_rows, write_and_seal, write_live
from tests.digests.taking import compared, taken
from tests.journal.making import PLAN, seal_all
from tests.projections.drawing import ORDINARY
from wayfare_engine.journal.catch_up import catch_up
from wayfare_engine.objectstore import ObjectStore


def test_after_catch_up_both_sites_have_one_digest(
    a: str, b: str, store: ObjectStore, tmp_path: Path
) -> None:
    write_and_seal(a, store, random_rows(300, 1))
    catch_up(b, store, plan=PLAN)
    found = compared(a, b, tmp_path)
    assert found.equal
    assert found.same_point


def test_rows_that_are_in_no_segment_are_counted(
    a: str, b: str, store: ObjectStore, tmp_path: Path
) -> None:
    write_and_seal(a, store, random_rows(100, 1, kinds=ORDINARY))
    write_live(a, random_rows(40, 2, kinds=ORDINARY))
    document = taken(a, tmp_path / "a.digest")
    assert (document.watermark, document.unsealed) == ({"east/1": 100}, 40)
    catch_up(b, store, plan=PLAN)
    found = compared(a, b, tmp_path)
    assert not found.equal
    assert not found.same_point, "the rows may be on their way"

    seal_all(a, store)
    document = taken(a, tmp_path / "a.digest")
    assert (document.watermark, document.unsealed) == ({"east/1": 140}, 0)
    catch_up(b, store, plan=PLAN)
    assert compared(a, b, tmp_path).equal


def test_where_nobody_ever_sealed_every_row_is_ahead(a: str, tmp_path: Path) -> None:
    write_live(a, random_rows(30, 3))
    document = taken(a, tmp_path / "a.digest")
    assert (document.watermark, document.unsealed) == ({}, 30)


def test_another_position_is_another_point(
    a: str, b: str, store: ObjectStore, tmp_path: Path
) -> None:
    write_and_seal(a, store, random_rows(100, 1))
    catch_up(b, store, plan=PLAN)
    write_and_seal(a, store, random_rows(50, 2))
    assert not compared(a, b, tmp_path).same_point
