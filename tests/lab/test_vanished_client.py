"""A client of PostgreSQL that is gone without a word: a node that died, or a pod whose last packets
were dropped. Its locks must not outlive it for long."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection as Pipe

import psycopg
import pytest

from tests.servers.forking import context
from tests.servers.postgresql import PostgresqlServer, running_postgresql
from wayfare_engine.journal.positions import AlreadyRunning, only_one

pytestmark = pytest.mark.lab

PATIENCE = 40.0
"""Seconds; it should be some 9. Without being asked, PostgreSQL notices after two hours."""


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresqlServer]:
    with running_postgresql() as started:
        yield started


def test_its_lock_of_catching_up_is_free_soon(server: PostgresqlServer) -> None:
    dsn = server.database()
    ours, theirs = context.Pipe()
    client = context.Process(target=_hold, args=(dsn, theirs), daemon=True)
    client.start()
    assert ours.poll(30)
    with psycopg.connect(dsn, autocommit=True) as connection, _silenced(ours.recv()):
        client.kill()
        client.join(10)
        with pytest.raises(AlreadyRunning), only_one(connection):
            pass
        began = time.monotonic()
        with only_one(connection, patience=PATIENCE):
            print(f"its lock was free after {time.monotonic() - began:.1f} s")


def _hold(dsn: str, pipe: Pipe) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection, only_one(connection):
        with socket.socket(fileno=connection.fileno()) as wire:
            port = wire.getsockname()[1]
            wire.detach()
        pipe.send(port)
        time.sleep(600)


@contextmanager
def _silenced(port: int) -> Iterator[None]:
    """Nothing that is sent from this port arrives."""
    rule = ["OUTPUT", "-o", "lo", "-p", "tcp", "--sport", str(port), "-j", "DROP"]
    subprocess.run(["iptables", "-w", "-I", *rule], check=True)
    try:
        yield
    finally:
        subprocess.run(["iptables", "-w", "-D", *rule], check=True)
