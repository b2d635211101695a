"""Two digests show exactly which keys differ, after reading little of either."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.digests.taking import compared, counters, sql, taken
from wayfare_engine.journal import digesting
from wayfare_engine.projections.digests import (
    COVERED,
    CannotCompare,
    Comparison,
    DigestDamaged,
    NewerDigest,
    TableComparison,
    compare,
    writing,
)
from wayfare_engine.projections.digests.rows import find


def only(found: Comparison) -> TableComparison:
    """The one table that differs."""
    (table,) = [table for table in found.tables if not table.equal]
    return table


def test_the_same_rows_in_another_order_are_equal(a: str, b: str, tmp_path: Path) -> None:
    counters(a, 5000)
    counters(b, 5000, backwards=True)
    found = compared(a, b, tmp_path)
    assert found.equal
    assert found.exchanges == 2, "the documents say it all"


def test_a_changed_row_is_found_among_many_and_shown_as_both_have_it(
    a: str, b: str, tmp_path: Path
) -> None:
    counters(a, 40_000)
    counters(b, 40_000)
    sql(b, "UPDATE wayfare.counters SET shown = shown + 1 WHERE customer_id = 'C777'")
    table = only(compared(a, b, tmp_path))
    assert (table.name, table.rows_a, table.rows_b) == ("counters", 40_000, 40_000)
    (difference,) = table.differences
    assert difference.a is not None
    assert difference.b is not None
    for dsn, at, shown in ((a, difference.a, 777), (b, difference.b, 778)):
        with digesting.one_snapshot(dsn) as connection:
            rows = find(connection, COVERED["counters"], [(difference.key, at.ctid)])
        row = rows[difference.key]
        assert row.digest == at.digest
        assert row.columns == {
            "customer_id": "C777",
            "journey": "journey",
            "day": "2026-11-23",
            "shown": shown,
        }


@pytest.mark.parametrize("count", [40, 20_000])
def test_rows_that_only_one_has_are_found(a: str, b: str, tmp_path: Path, count: int) -> None:
    counters(a, count)
    counters(b, count)
    sql(a, "DELETE FROM wayfare.counters WHERE customer_id = 'C7'")
    sql(b, "DELETE FROM wayfare.counters WHERE customer_id IN ('C8', 'C9')")
    table = only(compared(a, b, tmp_path))
    assert sorted((d.a is None, d.b is None) for d in table.differences) == [
        (False, True),
        (False, True),
        (True, False),
    ]


def test_a_table_that_one_has_and_the_other_has_nothing_of(a: str, b: str, tmp_path: Path) -> None:
    counters(a, 3000)
    table = only(compared(a, b, tmp_path, limit=5000))
    assert (len(table.differences), table.more) == (3000, False)


def test_no_more_than_the_limit_is_looked_for(a: str, b: str, tmp_path: Path) -> None:
    counters(a, 20_000)
    all_of_it = compared(a, b, tmp_path, limit=10**6)
    few = compared(a, b, tmp_path, limit=10)
    assert (len(only(few).differences), only(few).more) == (10, True)
    assert few.exchanged * 5 < all_of_it.exchanged


def test_exchanges_do_not_grow_with_the_table(a: str, b: str, tmp_path: Path) -> None:
    found = []
    for count in (1000, 50_000):
        sql(a, "TRUNCATE wayfare.counters")
        sql(b, "TRUNCATE wayfare.counters")
        counters(a, count)
        counters(b, count)
        sql(b, "DELETE FROM wayfare.counters WHERE customer_id = 'C7'")
        found.append(compared(a, b, tmp_path))
    assert found[0].exchanges == found[1].exchanges <= 8
    assert found[1].exchanged < 100_000


def test_a_row_that_moved_since_is_found_all_the_same(a: str, b: str, tmp_path: Path) -> None:
    counters(a, 1000)
    counters(b, 1000)
    sql(a, "UPDATE wayfare.counters SET shown = 0 WHERE customer_id = 'C7'")
    (difference,) = only(compared(a, b, tmp_path)).differences
    assert difference.a is not None
    sql(a, "UPDATE wayfare.counters SET shown = shown")
    with digesting.one_snapshot(a) as connection:
        rows = find(connection, COVERED["counters"], [(difference.key, difference.a.ctid)])
    assert rows[difference.key].columns["customer_id"] == "C7"


def test_a_digest_is_the_same_whatever_the_memory(
    a: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counters(a, 30_000)
    taken(a, tmp_path / "one")
    monkeypatch.setattr(writing, "_SPOOLED", 1000)
    monkeypatch.setattr("wayfare_engine.projections.digests.hashing._AT_ONCE", 8192)
    taken(a, tmp_path / "two")
    one, two = ((tmp_path / name).read_bytes() for name in ("one", "two"))
    assert one[one.index(b"\n") :] == two[two.index(b"\n") :]


def test_a_digest_holds_no_key_and_no_value(a: str, tmp_path: Path) -> None:
    sql(a, "INSERT INTO wayfare.erased VALUES ('anna.example@bank')")
    taken(a, tmp_path / "a.digest")
    assert b"anna" not in (tmp_path / "a.digest").read_bytes()


@pytest.mark.parametrize("part", ["upper_at", "lower_at", "at"])
def test_a_flipped_bit_on_the_way_down_is_noticed(
    a: str, b: str, tmp_path: Path, part: str
) -> None:
    counters(a, 20_000)
    document = taken(a, tmp_path / "a.digest")
    taken(b, tmp_path / "b.digest")
    table = document.table("counters")
    assert table is not None
    whole = bytearray((tmp_path / "a.digest").read_bytes())
    # The number of rows of a node, and the hash of an entry: what is summed.
    whole[whole.index(b"\n") + 1 + getattr(table, part) + 16] ^= 1
    (tmp_path / "broken").write_bytes(whole)
    with (
        digesting.opened_file(tmp_path / "broken") as one,
        digesting.opened_file(tmp_path / "b.digest") as other,
        pytest.raises(DigestDamaged, match="counters do not sum up"),
    ):
        compare(one, other)


@pytest.mark.parametrize("content", [b"", b"no digest at all", b"{}\n", b'{"format": 1}\n'])
def test_what_is_no_digest_is_said_to_be_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(DigestDamaged), digesting.opened_file(tmp_path / "x"):
        pass


def test_a_digest_cut_short_is_noticed(a: str, b: str, tmp_path: Path) -> None:
    counters(a, 1000)
    taken(a, tmp_path / "a.digest")
    taken(b, tmp_path / "b.digest")
    whole = (tmp_path / "a.digest").read_bytes()
    (tmp_path / "a.digest").write_bytes(whole[: whole.index(b"\n") + 100])
    with (
        digesting.opened_file(tmp_path / "a.digest") as one,
        digesting.opened_file(tmp_path / "b.digest") as other,
        pytest.raises(DigestDamaged, match="too early"),
    ):
        compare(one, other)


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b'{"format": 2, "what": "we do not know"}\n')
    with pytest.raises(NewerDigest, match="format 2"), digesting.opened_file(tmp_path / "x"):
        pass


def test_other_columns_cannot_be_compared(a: str, tmp_path: Path) -> None:
    taken(a, tmp_path / "a.digest")
    text = (tmp_path / "a.digest").read_bytes().replace(b'"arm"', b'"leg"', 1)
    (tmp_path / "b.digest").write_bytes(text)
    with (
        digesting.opened_file(tmp_path / "a.digest") as one,
        digesting.opened_file(tmp_path / "b.digest") as other,
        pytest.raises(CannotCompare, match="assignments has not the same columns"),
    ):
        compare(one, other)
