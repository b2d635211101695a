"""`wayfare import --sensitive` and `wayfare customers`, as a person runs them."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from wayfare_engine.cli.application import run
from wayfare_engine.objectstore import ObjectStore, paths

Connection = psycopg.Connection[Any]


@dataclass
class Ran:
    code: int
    out: str
    err: str


@pytest.fixture
def dsn(here: Connection) -> str:
    return make_conninfo(here.info.dsn, password=here.info.password)


@pytest.fixture
def master(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A master key's text, in the file that the environment names."""
    text = base64.b64encode(secrets.token_bytes(32)).decode()
    (tmp_path / "master").write_text(text)
    monkeypatch.setenv("WAYFARE_MASTER_KEY_FILE", str(tmp_path / "master"))
    return text


def wayfare(*arguments: str) -> Ran:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run(list(arguments))
    return Ran(code, out.getvalue(), err.getvalue())


def load(tmp_path: Path, dsn: str, *options: str) -> Ran:
    file = tmp_path / "c.csv"
    file.write_text("id,age,home\na,1,canal\nb,2,dike\n")
    return wayfare("import", "customers", str(file), "--id", "id", "--dsn", dsn, "--json", *options)


def test_a_sensitive_column_is_shown_as_sealed_and_no_secret_is_said(
    tmp_path: Path, dsn: str, master: str
) -> None:
    done = load(tmp_path, dsn, "--sensitive", "home")

    assert done.code == 0, done.err
    assert "sealed" in done.err
    assert [c["sensitive"] for c in json.loads(done.out)["columns"]] == [False, False, True]
    assert master not in done.out + done.err


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--sensitive", "house"], 1, "a column that is not there: house"),
        (["--sensitive", "id"], 1, "cannot be sensitive"),
    ],
)
def test_what_cannot_be_sealed_is_refused(
    tmp_path: Path, dsn: str, master: str, options: list[str], code: int, said: str
) -> None:
    done = load(tmp_path, dsn, *options)

    assert (done.code, said in done.err) == (code, True), done.err


def test_without_a_master_key_the_setting_is_named(tmp_path: Path, dsn: str) -> None:
    done = load(tmp_path, dsn, "--sensitive", "home")

    assert done.code == 3
    assert "WAYFARE_MASTER_KEY_FILE" in done.err


def test_erasing_says_what_was_destroyed_and_again_that_nothing_was_left(
    tmp_path: Path, dsn: str, master: str
) -> None:
    load(tmp_path, dsn, "--sensitive", "home")
    arguments = ["customers", "erase", "a", "--reason", "request 118", "--dsn", dsn]

    assert wayfare(*arguments).out == "erased; 1 key destroyed\n"
    assert wayfare(*arguments).out == "erased before; nothing was left to destroy\n"
    assert json.loads(wayfare(*arguments, "--json").out) == {
        "customer": "a",
        "keys": 0,
        "again": True,
    }


def test_keys_are_brought_from_the_store(
    there: Connection, tmp_path: Path, dsn: str, master: str, store: ObjectStore
) -> None:
    from wayfare_engine.clock import new_id
    from wayfare_engine.privacy import CustomerKeys, MasterKeys

    with psycopg.connect(dsn, autocommit=True) as connection:
        masters = MasterKeys.read(tmp_path / "master", random=secrets.token_bytes)
        CustomerKeys(connection, store, masters, ids=new_id).for_sealing(["a", "b"])
    other = make_conninfo(there.info.dsn, password=there.info.password)

    done = wayfare("customers", "keys", "--dsn", other, "--store", store.url)

    assert done.out == "1 objects read; 2 keys are here\n"
    assert wayfare("customers", "keys", "--dsn", other, "--store", store.url, "--json").out == (
        '{"objects": 0, "keys": 2}\n'
    )


def test_while_the_store_is_away_the_key_here_is_gone_and_the_rest_is_left_to_the_next_run(
    tmp_path: Path, here: Connection, dsn: str, master: str, store: ObjectStore
) -> None:
    from wayfare_engine.clock import new_id
    from wayfare_engine.privacy import CustomerKeys, MasterKeys

    masters = MasterKeys.read(tmp_path / "master", random=secrets.token_bytes)
    CustomerKeys(here, store, masters, ids=new_id).for_sealing(["a"])
    folder = tmp_path / "store"
    folder.rename(tmp_path / "elsewhere")
    folder.write_text("no folder")
    arguments = ["customers", "erase", "a", "--reason", "x", "--dsn", dsn]

    away = wayfare(*arguments, "--store", store.url)
    folder.unlink()
    (tmp_path / "elsewhere").rename(folder)
    again = wayfare(*arguments, "--store", store.url)

    assert away.code != 0
    assert "Traceback" not in away.err
    assert here.execute("SELECT count(*) FROM wayfare.customer_keys").fetchall() == [(0,)]
    assert again.code == 0, again.err
    assert [store.get(listed.path) for listed in store.list(paths.KEYS)] == [b""]
