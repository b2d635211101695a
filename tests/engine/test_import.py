"""`wayfare import customers`, as a person runs it."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.servers.customers import stored
from tests.servers.postgresql import rows
from wayfare_engine.cli.application import run


@pytest.fixture(autouse=True)
def empty(dsn: str) -> None:
    """Begin with no customers."""
    rows(
        dsn,
        "WITH a AS (DELETE FROM wayfare.id_blocks), b AS (DELETE FROM wayfare.customer_schema) "
        "UPDATE wayfare.customer_version SET version = 0, customers = 0, capacity = 0, epoch = 0, "
        "blob = NULL, previous_blob = NULL RETURNING 1",
    )


class Import:
    """One run of the command, in this process."""

    def __init__(self, dsn: str, content: bytes, *options: str) -> None:
        out, err = io.StringIO(), io.StringIO()
        with tempfile.NamedTemporaryFile(suffix=".csv") as file:
            file.write(content)
            file.flush()
            arguments = ["import", "customers", file.name, "--json", "--dsn", dsn, *options]
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                self.code = run(arguments)
        self.errors = err.getvalue()
        self.result: dict[str, Any] = json.loads(out.getvalue()) if out.getvalue() else {}

    @property
    def types(self) -> dict[str, str]:
        return {c["name"]: c["type"] for c in self.result["columns"]}


BANK = b'"age";"job";"balance";"default"\n58;"management";2143;"no"\n44;"tech;nician";29;"no"\n'


def test_types_are_inferred_shown_and_overridable(dsn: str) -> None:
    done = Import(dsn, BANK, "--type", "balance=double")

    assert done.code == 0, done.errors
    assert done.types == {"age": "int", "job": "string", "balance": "double", "default": "string"}
    assert "from the file's values" in done.errors
    assert "as given by --type" in done.errors
    customers = stored(dsn)
    assert customers["2"] == (
        1,
        {"age": 44, "job": "tech;nician", "balance": 29.0, "default": "no"},
    )


def test_without_an_id_column_the_row_number_is_the_id(dsn: str) -> None:
    Import(dsn, BANK)

    assert {c: dense for c, (dense, _) in stored(dsn).items()} == {"1": 0, "2": 1}


def test_running_it_again_changes_nothing(dsn: str) -> None:
    Import(dsn, BANK)
    blobs = "SELECT blob FROM wayfare.customer_version"
    before = stored(dsn), rows(dsn, blobs)
    facts = "SELECT count(*) FROM wayfare.ledger WHERE kind = 'load'"
    loads = rows(dsn, facts)[0][0]

    again = Import(dsn, BANK)

    assert (again.result["added"], again.result["changed"], again.result["unchanged"]) == (0, 0, 2)
    assert again.result["customers_version"] == 1
    assert (stored(dsn), rows(dsn, blobs)) == before
    assert rows(dsn, facts)[0][0] == loads + 1


def test_changed_and_new_customers_are_told_apart_and_keep_their_places(
    dsn: str,
) -> None:
    Import(dsn, b"id,age\na,1\nb,2\n", "--id", "id")

    done = Import(dsn, b"id,age\nc,3\nb,5\na,1\n", "--id", "id")

    result = done.result
    assert (result["added"], result["changed"], result["unchanged"]) == (1, 1, 1)
    assert {c: d for c, (d, _) in stored(dsn).items()} == {"a": 0, "b": 1, "c": 2}
    assert stored(dsn)["b"][1] == {"age": 5}


def test_a_second_file_adds_columns_and_leaves_the_others(dsn: str) -> None:
    Import(dsn, b"id,age\na,1\n", "--id", "id")
    Import(dsn, b"id,city\na,Ghent\n", "--id", "id")

    assert stored(dsn)["a"][1] == {"age": 1, "city": "Ghent"}


BAD = "id,age\na,1\nb\nc,x\na,4\n,5\nd,6\ne,\xff\n".encode("latin-1")


def test_bad_rows_are_named_by_line_and_the_rest_is_loaded(dsn: str) -> None:
    done = Import(dsn, BAD, "--id", "id", "--on-error", "skip", "--type", "age=int")

    assert done.code == 0, done.errors
    assert sorted(stored(dsn)) == ["a", "d"]
    assert [b["line"] for b in done.result["bad"]] == [3, 4, 5, 6, 8]
    assert done.result["bad_rows"] == 5
    assert "line 3: 1 fields, the first line has 2" in done.errors
    assert "line 4: age: 'x' is not a whole number" in done.errors
    assert "line 5: the customer's id 'a' is also on line 2" in done.errors
    assert "line 6: the customer's id is empty" in done.errors
    assert "line 8: bytes that are not UTF-8" in done.errors


def test_with_stop_bad_rows_are_named_and_nothing_is_loaded(dsn: str) -> None:
    done = Import(dsn, BAD, "--id", "id", "--type", "age=int")

    assert done.code == 1
    assert stored(dsn) == {}
    assert "line 4: age: 'x' is not a whole number" in done.errors
    assert "nothing was loaded" in done.errors
    assert "--on-error skip" in done.errors


@pytest.mark.parametrize(
    ("content", "options", "said"),
    [
        (b"", [], "the file is empty"),
        (b"\xff\xfea\x00", [], "UTF-16"),
        (b"n\xe4me\n1\n", [], "not UTF-8"),
        (b"a,a\n1,2\n", [], "two columns are named 'a'"),
        (b"a,\n1,2\n", [], "column 2 has no name"),
        (b"a,b\n1,2\n", ["--id", "c"], "there is no column 'c'"),
        (b"a,b\n1,2\n", ["--type", "c=int"], "a column that is not there: c"),
        (b"a\n", [], "no rows"),
        (",".join(f"c{i}" for i in range(501)).encode() + b"\n", [], "at most 500"),
        (b'a,b\n1,"2\n3,4\n', [], "a quote that was never closed"),
        (b"a\n" + b"x" * 70_000 + b"\n", [], "larger than 65536 bytes"),
        (b"PAR1 no parquet", [], "Parquet file cannot be read"),
    ],
)
def test_a_file_that_cannot_be_loaded_is_refused_with_a_reason(
    dsn: str, content: bytes, options: list[str], said: str
) -> None:
    done = Import(dsn, content, *options)

    assert done.code == 1, done.errors
    assert said in done.errors
    assert "Traceback" not in done.errors
    assert stored(dsn) == {}


def test_parquet_brings_its_types(dsn: str, tmp_path: Path) -> None:
    table = pa.table(
        {
            "id": ["a", "b"],
            "age": pa.array([1, None], pa.int32()),
            "rate": [0.5, 2.0],
            "vip": [True, False],
            "since": pa.array([0, 86_400_000_000], pa.timestamp("us", tz="UTC")),
        }
    )
    pq.write_table(table, tmp_path / "c.parquet")

    done = Import(dsn, (tmp_path / "c.parquet").read_bytes(), "--id", "id")

    assert done.code == 0, done.errors
    assert list(done.types.values()) == ["string", "int", "double", "bool", "timestamp"]
    assert stored(dsn)["b"][1] == {
        "age": None,
        "rate": 2.0,
        "vip": False,
        "since": "1970-01-02T00:00:00Z",
    }


def test_a_type_cannot_change_under_customers_whom_the_file_lacks(
    dsn: str,
) -> None:
    Import(dsn, b"id,code\na,1\nb,2\n", "--id", "id")

    part = Import(dsn, b"id,code\na,x\n", "--id", "id", "--type", "code=string")
    whole = Import(dsn, b"id,code\na,x\nb,y\n", "--id", "id", "--type", "code=string")

    assert part.code == 1
    assert "stored as int and would become string" in part.errors
    assert whole.code == 0, whole.errors


def test_a_database_that_is_away_is_a_sentence() -> None:
    done = Import("host=127.0.0.1 port=1 user=x dbname=x connect_timeout=2", BANK)

    assert done.code == 3
    assert "PostgreSQL:" in done.errors
    assert "Traceback" not in done.errors


def test_through_an_engine_it_is_handed_to_kubectl(tmp_path: Path) -> None:
    # The real kubectl is exercised end to end on a cluster; here, what it would be told.
    told = tmp_path / "told"
    program = tmp_path / "kubectl"
    program.write_text(f'#!/bin/sh\necho "$@" > {told}; cat >> {told}\n')
    program.chmod(0o755)
    file = tmp_path / "c.csv"
    file.write_bytes(b"id,age\na,1\n")
    done = subprocess.run(
        [
            *(sys.executable, "-c", "from wayfare_engine.cli import main; main()"),
            *("import", "customers", str(file), "--engine", "bank/retail", "--id", "id"),
        ],
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        check=False,
    )

    assert done.returncode == 0
    assert told.read_text() == (
        "exec --quiet -i -n bank deploy/retail-worker -c worker -- wayfare import customers - "
        "--name c.csv --on-error stop --id id\nid,age\na,1\n"
    )
