"""The programs of tests/peers/pom.xml, fetched once by Maven into the user's cache."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.servers.require import need

POM = Path(__file__).resolve().parents[1] / "peers" / "pom.xml"


def java() -> str:
    """Path of java; skips (fails in CI) where there is none."""
    found = shutil.which("java")
    need(found, "java: apt-get install default-jdk-headless")
    assert found is not None
    return found


def jars() -> Path:
    """The folder with all jars; skips (fails in CI) where they are not there and cannot be had."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "wayfare" / "jars"
    folder = cache / hashlib.sha256(POM.read_bytes()).hexdigest()[:16]
    if folder.exists():
        return folder
    maven = shutil.which("mvn")
    need(maven, "Maven, to fetch what tests talk to: apt-get install maven")
    assert maven is not None
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            _fetch(maven, folder)
    return folder


def _fetch(maven: str, folder: Path) -> None:
    partial = folder.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    done = subprocess.run(
        [
            maven,
            "--quiet",
            "--batch-mode",
            "--strict-checksums",
            f"--file={POM}",
            "dependency:copy-dependencies",
            f"-DoutputDirectory={partial}",
            "-DincludeScope=runtime",
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    if done.returncode != 0:
        pytest.fail(f"Maven could not fetch {POM}: {done.stdout[-2000:]}", pytrace=False)
    partial.rename(folder)
