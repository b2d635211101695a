"""Files to and from the store in pieces, for objects that do not fit into memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from wayfare_engine.objectstore.problems import StoreUnavailable
from wayfare_engine.objectstore.store import ObjectStore

PIECE = 8 * 1024 * 1024


def pieces(store: ObjectStore, path: str) -> Iterator[bytes] | None:
    """The object in pieces of at most 8 MiB, or None when there is none.

    Raises StoreProblem, and StoreUnavailable when the object went away or shrank meanwhile.
    """
    size = store.size(path)
    return None if size is None else _read(store, path, size)


def _read(store: ObjectStore, path: str, size: int) -> Iterator[bytes]:
    for start in range(0, size, PIECE):
        length = min(PIECE, size - start)
        piece = store.get_range(path, start, length)
        if piece is None or len(piece) != length:
            raise StoreUnavailable(store.url, f"{path} changed while it was read")
        yield piece


def upload(store: ObjectStore, path: str, file: Path) -> None:
    """Write a file as an object whose bytes its name fixes; nothing when it is there already.

    Bodies above one piece go up in parts, with bounded memory. An object appears as a whole or not
    at all, and a second writer writes the same bytes. Raises StoreProblem or StoreUnavailable.
    """
    size = file.stat().st_size
    if store.size(path) == size:
        return
    if size <= PIECE:
        store.put_if_absent(path, file.read_bytes())
    else:
        store.put_file(path, file)
