"""`wayfare store postgresql` and `valkey`: the evaluation-grade stores, as their pods run them."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
import redis

from tests.servers.ports import free_port
from tests.servers.wait import until


@pytest.fixture
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="wayfare-store-"))
    made.chmod(0o711)
    yield made
    shutil.rmtree(made, ignore_errors=True)


@contextmanager
def store(kind: str, folder: Path, password: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    port = free_port()
    process = subprocess.Popen(
        [
            *(sys.executable, "-c", "from wayfare_engine.cli import main; main()"),
            *("store", kind, "--data", str(folder / "data"), "--port", str(port)),
            *("--host", "127.0.0.1"),
        ],
        env={
            **os.environ,
            "WAYFARE_POSTGRESQL_PASSWORD": password,
            "WAYFARE_VALKEY_PASSWORD": password,
        },
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process, port
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def sql(port: int, password: str, statement: str) -> object:
    with psycopg.connect(
        host="127.0.0.1", port=port, user="wayfare", dbname="wayfare", password=password
    ) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchone() if cursor.description else True


def test_postgresql_keeps_its_data_through_a_stop_a_crash_and_a_new_password(folder: Path) -> None:
    away = (psycopg.OperationalError,)
    with store("postgresql", folder, "first") as (process, port):
        until(
            lambda: sql(port, "first", "CREATE TABLE kept AS SELECT 7 AS x"),
            seconds=120,
            ignoring=away,
        )
        with psycopg.connect(
            host="127.0.0.1", port=port, user="wayfare", dbname="wayfare", password="first"
        ):  # a client that stays must not hold the end up
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0

    with store("postgresql", folder, "second") as (process, port):
        got = until(lambda: sql(port, "second", "SELECT x FROM kept"), seconds=120, ignoring=away)
        assert got == (7,)
        with pytest.raises(psycopg.OperationalError):
            sql(port, "first", "SELECT 1")
        process.kill()
        process.wait()

    until(lambda: not _listens(port), what="the crashed server's end")
    lock = folder / "data/pgdata/postmaster.pid"
    lock.write_text(f"{os.getpid()}\n{folder}\n1\n{port}\n\n127.0.0.1\n")
    with store("postgresql", folder, "second") as (_, port):
        assert until(
            lambda: sql(port, "second", "SELECT x FROM kept"), seconds=120, ignoring=away
        ) == (7,)


def test_valkey_keeps_its_data_and_takes_a_new_password(folder: Path) -> None:
    with store("valkey", folder, "first") as (process, port):
        client = redis.Redis(port=port, password="first")
        until(lambda: client.set("kept", "7"), seconds=120, ignoring=(redis.RedisError,))
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0

    with store("valkey", folder, "second") as (_, port):
        client = redis.Redis(port=port, password="second")
        assert until(lambda: client.get("kept"), seconds=120, ignoring=(redis.RedisError,)) == b"7"
        with pytest.raises(redis.AuthenticationError):
            redis.Redis(port=port).ping()


@pytest.mark.parametrize("kind", ["postgresql", "valkey"])
def test_a_missing_password_is_named(kind: str, folder: Path) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-c", "from wayfare_engine.cli import main; main()"),
            *("store", kind, "--data", str(folder)),
        ],
        env={k: v for k, v in os.environ.items() if not k.startswith("WAYFARE_")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3
    assert f"WAYFARE_{kind.upper()}_PASSWORD: is not set" in done.stderr


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
