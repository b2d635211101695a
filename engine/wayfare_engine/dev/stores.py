"""The embedded stores of `wayfare dev`: where their data lies, their passwords, a key."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path

from wayfare_engine.store.embedded import EmbeddedPostgresql, EmbeddedValkey, StoreError
from wayfare_engine.store.embedded.process import free_port, reachable, unprivileged


def data_folder(wanted: Path) -> Path:
    """`wanted`, or a folder below the temporary one when we are root and the account that the
    stores then run as could not reach `wanted`. Made, and ours alone to write."""
    folder = wanted.resolve()
    account = unprivileged()
    if not reachable(folder.parent, account):
        name = hashlib.sha256(str(folder).encode()).hexdigest()[:12]
        folder = Path(tempfile.gettempdir()) / f"wayfare-dev-{os.geteuid()}-{name}"
    folder.mkdir(mode=0o711, parents=True, exist_ok=True)
    if folder.stat().st_uid != os.geteuid() or folder.is_symlink():
        raise StoreError("stores", f"{folder} belongs to somebody else; give another --data")
    folder.chmod(0o711)
    return folder


def secret(folder: Path, name: str) -> str:
    """A random word that is kept in the folder, readable by us alone."""
    path = folder / name
    with contextlib.suppress(FileNotFoundError):
        return path.read_text().strip()
    made = secrets.token_urlsafe(24)
    write_private(path, made)
    return made


def write_private(path: Path, text: str) -> None:
    """Write a file that only we can read."""
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_text(text + "\n")


@contextlib.contextmanager
def running_stores(folder: Path) -> Iterator[tuple[EmbeddedPostgresql, EmbeddedValkey]]:
    """Both stores, on free ports of loopback, ended in any case. Call from the main thread."""
    with _only_one(folder):
        postgresql = EmbeddedPostgresql(
            folder / "postgresql", port=free_port(), password=secret(folder, "postgresql-password")
        )
        valkey = EmbeddedValkey(
            folder / "valkey", port=free_port(), password=secret(folder, "valkey-password")
        )
        try:
            postgresql.start(log=folder / "postgresql.log")
            valkey.start(log=folder / "valkey.log")
            yield postgresql, valkey
        finally:
            valkey.stop()
            postgresql.stop()


@contextlib.contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreError("stores", f"another `wayfare dev` uses {folder}") from None
        yield
