"""Two PostgreSQL servers, emptied for each history, a folder as the store, and the zygote."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.crash.children import Children, running_children
from tests.crash.scenario import Place
from tests.crash.sending import WINDOW
from tests.servers.emptying import empty, remember
from tests.servers.postgresql import PostgresqlServer, running_postgresql
from tests.servers.receivers import Dedupe, Receiver, running_receivers

_COUNTS = pytest.StashKey[Counter[str]]()


@pytest.fixture(scope="package")
def counts(pytestconfig: pytest.Config) -> Counter[str]:
    """How many children were killed at a crash point so far, and how many stopped."""
    return pytestconfig.stash.setdefault(_COUNTS, Counter())


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    counts = config.stash.get(_COUNTS, None)
    if counts:
        terminalreporter.write_line(
            f"crash points: {counts['killed']} processes killed, {counts['stopped']} stopped"
        )


@pytest.fixture(scope="package")
def children(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Children]:
    with running_children(tmp_path_factory.mktemp("children")) as started:
        yield started


def _server() -> Iterator[PostgresqlServer]:
    with running_postgresql() as started:
        with psycopg.connect(started.database(), autocommit=True) as connection:
            remember(connection)
        yield started


live_server = pytest.fixture(scope="package")(_server)
dr_server = pytest.fixture(scope="package")(_server)


@pytest.fixture
def receivers(tmp_path: Path) -> Iterator[dict[Dedupe, Receiver]]:
    with running_receivers(tmp_path / "receivers", limit=WINDOW) as running:
        yield running


@pytest.fixture
def place(
    live_server: PostgresqlServer,
    dr_server: PostgresqlServer,
    receivers: dict[Dedupe, Receiver],
    tmp_path: Path,
) -> Place:
    """Both databases and the store are empty."""
    empty(live_server.dsn)
    empty(dr_server.dsn)
    hosts = {kind: receiver.url for kind, receiver in receivers.items()}
    return Place(live_server.dsn, dr_server.dsn, f"file://{tmp_path}/store", tmp_path, hosts)
