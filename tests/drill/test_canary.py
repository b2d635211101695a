"""The canary over real sockets and a real store: it says what it reached, and changes nothing."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from tests.servers.command import wayfare
from wayfare_engine.objectstore import open_store
from wayfare_engine.recovery.drill.canary import (
    LONGEST,
    Round,
    Tried,
    go_round,
    message,
    until_shut,
)
from wayfare_engine.recovery.drill.targets import Canary, Target, tried


@pytest.fixture
def listening() -> Iterator[Target]:
    """Something that lets anybody in."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        yield Target(what="a door", host="127.0.0.1", port=server.getsockname()[1])


@pytest.fixture
def shut() -> Target:
    """A port that nobody listens at: it was ours a moment ago."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port = server.getsockname()[1]
    return Target(what="a wall", host="127.0.0.1", port=port)


def test_a_way_that_is_shut_and_one_that_is_open(listening: Target, shut: Target) -> None:
    found = go_round(Canary(targets=(shut, listening), own=(listening,)))
    assert {each.what: each.out for each in found.ways} == {"a wall": False, "a door": True}
    assert not found.shut
    assert go_round(Canary(targets=(shut,), own=(listening,))).shut


def test_without_a_network_of_its_own_it_proves_nothing(shut: Target) -> None:
    assert not go_round(Canary(targets=(shut,), own=(shut,))).shut


def test_what_is_reached_from_outside_is_noted(listening: Target, shut: Target) -> None:
    assert [each.reached for each in tried([listening, shut])] == [True, False]


def test_the_store_is_tried_with_an_object_that_exists_and_stays_as_it_is(tmp_path: Path) -> None:
    store = open_store(f"file://{tmp_path}/vault")
    path = "lease/bank.retail/00000003"
    store.put_if_absent(path, b"the lease")
    objects = {"production's lease": path}
    found = go_round(Canary(targets=(), store=store.url, objects=objects))
    assert [(each.what, each.out) for each in found.ways] == [("production's lease", True)]
    assert store.get(path) == b"the lease"
    away = go_round(Canary(targets=(), store=f"file://{tmp_path}/elsewhere", objects=objects))
    assert [each.out for each in away.ways] == [False]
    assert not (tmp_path / "elsewhere").exists()


def test_it_tries_until_the_wall_stands(listening: Target, shut: Target) -> None:
    """A policy is in force a moment late: the door is shut between two rounds."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        late = Target(what="late", host="127.0.0.1", port=server.getsockname()[1])
        canary = Canary(targets=(late,), own=(listening,))
        found = until_shut(
            canary, patience=30, monotonic=lambda: 0.0, sleep=lambda seconds: server.close()
        )
    assert found.shut


def test_its_patience_ends(listening: Target) -> None:
    now = iter(range(100))
    canary = Canary(targets=(listening,), own=(listening,))
    found = until_shut(
        canary, patience=3, monotonic=lambda: float(next(now)), sleep=lambda seconds: None
    )
    assert not found.shut


def test_a_long_list_fits_into_a_message_with_what_is_open_first() -> None:
    ways = tuple(Tried(what=f"way {n} " + "x" * 40, out=n == 199, how="no") for n in range(200))
    data = message(Round(ways=ways, own=()))
    assert len(data) <= LONGEST
    told = json.loads(data)
    assert told["tried"] == 200
    assert told["ways"][0][0].startswith("way 199")


def test_the_command_tells_by_its_message_and_exit_code(
    tmp_path: Path, listening: Target, shut: Target
) -> None:
    said = tmp_path / "message"
    for target, code in ((shut, 0), (listening, 1)):
        canary = msgspec.json.encode(Canary(targets=(target,), own=(listening,))).decode()
        words = ("recovery", "canary", "--patience", "0", "--message", str(said))
        done = wayfare(*words, WAYFARE_CANARY=canary)
        assert done.returncode == code, done.stderr
        told = json.loads(said.read_bytes())
        assert told["ways"][0][:2] == [target.what, bool(code)]


@pytest.mark.parametrize("text", ["", "{", '{"targets": 1}'])
def test_without_being_told_it_refuses(text: str) -> None:
    done = wayfare("recovery", "canary", WAYFARE_CANARY=text)
    assert done.returncode not in (0, 1)
    assert "WAYFARE_CANARY" in done.stderr
