"""Nothing of the schema is forgotten: it is covered, or it is said why it is not."""

from __future__ import annotations

import psycopg

from wayfare_engine.journal.snapshot_tables import BESIDE, LOCAL
from wayfare_engine.projections import PROJECTIONS
from wayfare_engine.projections.digests import COVERED
from wayfare_engine.projections.digests.covered import LOCAL_COLUMNS, NOT_COVERED


def test_every_table_is_covered_or_it_is_said_why_not(a: str) -> None:
    with psycopg.connect(a) as connection:
        found = {
            name
            for (name,) in connection.execute(
                "SELECT relname FROM pg_class WHERE relnamespace = 'wayfare'::regnamespace "
                "AND relkind IN ('r', 'p') AND NOT relispartition"
            )
        }
    assert found - set(COVERED) - set(NOT_COVERED) - set(LOCAL) == set()
    assert set(COVERED) & (set(NOT_COVERED) | set(LOCAL)) == set()
    assert {projection.name for projection in PROJECTIONS} <= set(COVERED)
    assert set(BESIDE) <= set(COVERED) | set(NOT_COVERED)


def test_every_column_of_a_covered_table_is_hashed_or_it_is_said_why_not(a: str) -> None:
    with psycopg.connect(a) as connection:
        for table in COVERED.values():
            columns = {
                name
                for (name,) in connection.execute(
                    "SELECT column_name FROM information_schema.columns "
                    "WHERE table_schema = 'wayfare' AND table_name = %s",
                    (table.name,),
                )
            }
            local = set(LOCAL_COLUMNS.get(table.name, {}))
            assert columns == set(table.columns) | local, table.name
            assert table.columns[: len(table.key)] == table.key
