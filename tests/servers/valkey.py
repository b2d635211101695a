"""A Valkey that tests start, kill and start again at the same address."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.ports import free_port
from wayfare_engine.store.embedded import EmbeddedValkey

PASSWORD = "a-test-password"


@contextmanager
def running_valkey() -> Iterator[EmbeddedValkey]:
    """A server in a folder of its own, both gone afterwards; its password is PASSWORD."""
    folder = Path(tempfile.mkdtemp(prefix="wayfare-valkey-"))
    folder.chmod(0o711)
    server = EmbeddedValkey(folder / "data", port=free_port(), password=PASSWORD)
    try:
        server.start(log=folder / "valkey.log")
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
