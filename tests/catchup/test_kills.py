"""SIGKILL at every crash point of catch-up, restore, history and snapshots; then once more."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from tests.catchup.databases import random_rows, reset, tables, write_and_seal
from tests.catchup.test_history import ledger
from tests.journal.making import PLAN
from wayfare_engine.clock import now
from wayfare_engine.crashpoints import VARIABLE, registered
from wayfare_engine.journal import history, restoring, snapshots  # noqa: F401 - their crash points
from wayfare_engine.journal.catch_up import catch_up
from wayfare_engine.journal.snapshot import take
from wayfare_engine.objectstore import ObjectStore

CATCH_UP = ("journal.catch_up.", "journal.restore.", "journal.history.")
SNAPSHOT = ("journal.snapshot.",)


def points(prefixes: tuple[str, ...]) -> list[str]:
    """Those of the registry, the first and the third pass of each."""
    found = sorted(name for name in registered() if name.startswith(prefixes))
    return [place for name in found for place in (name, f"{name}:3")]


def wayfare(*words: str, crash: str = "", first: str = "pass") -> int:
    """The command's exit code, negative for a signal; `first` is run before it."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("WAYFARE_")}
    run = f"import sys; {first}; from wayfare_engine.cli import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", run, *words],
        env=clean | ({VARIABLE: crash} if crash else {}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode


@pytest.fixture
def sealed(live: str, dr: str, store: ObjectStore) -> ObjectStore:
    """Five segments, a snapshot, and five more; `dr` is empty."""
    write_and_seal(live, store, random_rows(100, 1), segments=5)
    catch_up(dr, store, plan=PLAN)
    take(dr, store, plan=PLAN, snapshot="s1", clock=now)
    write_and_seal(live, store, random_rows(100, 2), segments=5)
    reset(dr)
    return store


@pytest.mark.parametrize("point", points(CATCH_UP))
def test_catch_up_killed_goes_on(live: str, dr: str, sealed: ObjectStore, point: str) -> None:
    words = ("journal", "catch-up", "--dsn", dr, "--store", sealed.url, "--plan", PLAN, "--history")
    # A batch an object, so that there is a third pass.
    small = "import wayfare_engine.journal.reading_ahead as r; r.BATCH_OBJECTS = 1"
    killed = wayfare(*words, crash=point, first=small)
    assert killed in (-signal.SIGKILL, 0), "a point that is passed once has no third pass"
    assert killed == -signal.SIGKILL or ":" in point
    assert wayfare(*words) == 0
    assert tables(dr) == tables(live)
    assert ledger(dr) == ledger(live)


@pytest.mark.parametrize("point", points(SNAPSHOT))
def test_a_snapshot_killed_is_no_snapshot_or_a_whole_one(
    live: str, dr: str, sealed: ObjectStore, point: str
) -> None:
    catch_up(dr, sealed, plan=PLAN)
    take_ = ("journal", "snapshot", "take", "--dsn", dr, "--store", sealed.url, "--plan", PLAN)
    prune_ = ("journal", "snapshot", "prune", "--store", sealed.url, "--keep", "1")
    assert wayfare(*take_) == 0
    code = wayfare(*(prune_ if "unlisted" in point else take_), crash=point)
    assert code == -signal.SIGKILL or ":" in point
    reset(dr)
    assert catch_up(dr, sealed, plan=PLAN).snapshot is not None
    assert tables(dr) == tables(live)
    assert wayfare(*prune_) == 0
    reset(dr)
    assert catch_up(dr, sealed, plan=PLAN).snapshot is not None
    assert tables(dr) == tables(live)
