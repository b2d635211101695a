"""Blobs as files beside a process, so that columns can be read from them without holding all."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from wayfare_engine.errors import SaidToPeople

_KEPT = 4


@dataclass(eq=False)
class BlobDamaged(SaidToPeople):
    """What was read is not what the digest names."""

    digest: str
    seen: str
    where: str

    def __str__(self) -> str:
        return (
            f"blob {self.digest[:16]}… in {self.where} has other bytes than its name says "
            f"(SHA-256 {self.seen[:16]}…); restore it from the other site's copy, or load again"
        )


@dataclass(eq=False)
class BlobMissing(SaidToPeople):
    """It is neither here nor in a store."""

    digest: str
    where: str

    def __str__(self) -> str:
        return (
            f"blob {self.digest[:16]}… is not in {self.where}; the object store that its site "
            "wrote to has it (WAYFARE_OBJECT_STORE_URL)"
        )


class Assembly:
    """A blob that comes in pieces: written to a file and hashed on the way."""

    def __init__(self, file_number: int) -> None:
        self._file_number = file_number
        self._hash = hashlib.sha256()
        self.size = 0

    def write(self, piece: bytes | memoryview) -> None:
        """The next piece."""
        self._hash.update(piece)
        self.size += len(piece)
        left = memoryview(piece)
        while left:
            left = left[os.write(self._file_number, left) :]

    def hexdigest(self) -> str:
        """SHA-256 of what came so far."""
        return self._hash.hexdigest()


class BlobCache:
    """A folder with the few blobs that were read last; a file's name is its digest.

    Several processes may share it: files appear by renaming, whole and checked.
    """

    def __init__(self, folder: Path | None = None) -> None:
        """`folder` is made when it is not there; by default one of this user's."""
        self.folder = folder or Path(tempfile.gettempdir()) / f"wayfare-blobs-{os.getuid()}"

    def find(self, digest: str) -> Path | None:
        """The file of a blob, when it is here."""
        path = self.folder / digest
        try:
            os.utime(path)
        except FileNotFoundError:
            return None
        return path

    @contextmanager
    def adding(self, digest: str, where: str) -> Iterator[Assembly]:
        """Write the pieces of a blob; it is in the folder when the block ends without an error.

        Raises BlobDamaged when the pieces are not what `digest` says; `where` is for its text.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        number, name = tempfile.mkstemp(prefix="new-", dir=self.folder)
        try:
            assembly = Assembly(number)
            yield assembly
            if assembly.hexdigest() != digest:
                raise BlobDamaged(digest, assembly.hexdigest(), where)
            os.rename(name, self.folder / digest)
        finally:
            os.close(number)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)
        self._trim()

    @contextmanager
    def making(self) -> Iterator[Path]:
        """A file in the folder to write to, for `adopt`; gone after the block otherwise."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        number, name = tempfile.mkstemp(prefix="new-", dir=self.folder)
        os.close(number)
        try:
            yield Path(name)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)

    def adopt(self, path: Path, digest: str) -> None:
        """Keep a file of `making` as the blob `digest`, which its maker has computed."""
        os.rename(path, self.folder / digest)
        self._trim()

    def _trim(self) -> None:
        """Remove all but the last few; whoever has one open goes on reading it."""
        found = []
        for path in self.folder.iterdir():
            with contextlib.suppress(FileNotFoundError):
                if not path.name.startswith("new-"):
                    found.append((path.stat().st_mtime_ns, path))
        for _, path in sorted(found, reverse=True)[_KEPT:]:
            path.unlink(missing_ok=True)
