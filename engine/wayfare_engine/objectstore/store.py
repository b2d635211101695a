"""One object store, addressed by URL: `s3://bucket/prefix`, `gs://`, `az://`, `file:///folder`.

The client is obstore; this module fixes what the rest relies on: put-if-absent, reads of what was
written, bounded times, and errors of two kinds (`StoreUnavailable`: try again later, the outcome
is unknown; `StoreProblem`: a person has to do something).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, NotFoundError, PreconditionError
from obstore.store import from_url

from wayfare_engine.objectstore.causes import (
    WRITTEN,
    bucket_gone,
    conflict_in_flight,
    first_line,
    panicked,
    problem_of,
)
from wayfare_engine.objectstore.problems import StoreProblem, StoreUnavailable

SCHEMES = ("s3", "s3a", "gs", "az", "azure", "abfs", "abfss", "adl", "file")


@dataclass(frozen=True)
class Listed:
    """An object in a listing; `size` in bytes."""

    path: str
    size: int


class ObjectStore:
    """Synchronous; safe to use from several threads."""

    def __init__(self, url: str, client: Any) -> None:
        self.url = url
        self._client = client
        parts = urlsplit(url)
        #: Where the objects are, for `file://`; a listing of files has no order.
        self.folder = Path(parts.path) if parts.scheme == "file" else None

    def put_if_absent(self, path: str, body: bytes) -> bool:
        """Create the object; False when one is there already (perhaps from a call of ours whose
        answer was lost: compare what it holds, or use `create`). Raises StoreProblem or
        StoreUnavailable."""
        with self._said(f"writing {path}"):
            try:
                obstore.put(self._client, path, body, mode="create", use_multipart=False)
            except (AlreadyExistsError, PreconditionError) as error:
                if conflict_in_flight(error):
                    raise StoreUnavailable(
                        self.url, f"writing {path}: another write of it is under way", "try again"
                    ) from None
                return False
        return True

    def create(self, path: str, body: bytes) -> bytes | None:
        """Create the object, also again after an unknown outcome.

        None when it now holds `body`, by this call or an earlier one; what it holds otherwise.
        Raises StoreProblem or StoreUnavailable.
        """
        if self.put_if_absent(path, body):
            return None
        present = self.get(path)
        if present is None:
            raise StoreUnavailable(
                self.url, f"{path} exists for a write and not yet for a read", "try again"
            )
        return None if present == body else present

    def put(self, path: str, body: bytes) -> None:
        """Create or replace the object. Raises StoreProblem or StoreUnavailable."""
        with self._said(f"writing {path}"):
            obstore.put(self._client, path, body)

    def put_file(self, path: str, file: Path) -> None:
        """`put` of a file's content in parts, with bounded memory."""
        with self._said(f"writing {path}"):
            obstore.put(self._client, path, file, use_multipart=True)

    def get(self, path: str, *, most: int | None = None) -> bytes | None:
        """The object's bytes, or None when there is none; at most the first `most` of them."""
        with self._said(f"reading {path}"):
            try:
                found = obstore.get(self._client, path)
                if most is not None and found.meta["size"] > most:
                    return bytes(obstore.get_range(self._client, path, start=0, length=most))
                return bytes(found.bytes())
            except (NotFoundError, FileNotFoundError) as error:
                self._check_absent(error)
                return None

    def get_range(self, path: str, start: int, length: int) -> bytes | None:
        """`length` bytes from `start`; None when there is no such object."""
        with self._said(f"reading {path}"):
            try:
                return bytes(obstore.get_range(self._client, path, start=start, length=length))
            except (NotFoundError, FileNotFoundError) as error:
                self._check_absent(error)
                return None

    def exists(self, path: str) -> bool:
        """Whether the object is there: a strongly consistent read.

        By GET without its body: a HEAD that answers 404 does not say whether the whole bucket is
        gone, and "no such epoch" must not follow from that.
        """
        with self._said(f"reading {path}"):
            try:
                obstore.get(self._client, path)
            except (NotFoundError, FileNotFoundError) as error:
                self._check_absent(error)
                return False
        return True

    def size(self, path: str) -> int | None:
        """The object's size in bytes, or None when there is none."""
        with self._said(f"reading {path}"):
            try:
                return int(obstore.head(self._client, path)["size"])
            except (NotFoundError, FileNotFoundError) as error:
                self._check_absent(error)
                return None

    def list(self, prefix: str, *, after: str | None = None) -> Iterator[Listed]:
        """Objects below `prefix` in the order of their paths, those after `after` only.

        Pages are read as they are needed, so a long listing takes little memory; a folder of files
        is listed whole. Raises StoreProblem or StoreUnavailable while it is read.
        """
        found = self._pages(prefix, after)
        if self.folder is not None:
            found = iter(sorted(found, key=lambda m: m.path))
        last = ""
        for listed in found:
            if listed.path <= last:
                raise StoreProblem(
                    self.url, f"listing {prefix}: not in order", "use a store that lists in order"
                )
            last = listed.path
            # Some stores ignore `offset`.
            if after is None or listed.path > after:
                yield listed

    def folders(self, prefix: str) -> tuple[str, ...]:
        """The names of the folders right below `prefix`, in order, however much is in them.

        Files and SeaweedFS go on naming a folder when all that was in it is removed.
        """
        with self._said(f"listing {prefix}"):
            try:
                found = obstore.list_with_delimiter(self._client, prefix.rstrip("/"))
            except (NotFoundError, FileNotFoundError) as error:
                self._check_absent(error)
                return ()
        names = (str(path).rstrip("/").rpartition("/")[2] for path in found["common_prefixes"])
        return tuple(sorted(names))

    def _pages(self, prefix: str, after: str | None) -> Iterator[Listed]:
        with self._said(f"listing {prefix}"):
            try:
                for page in obstore.list(self._client, prefix.rstrip("/"), offset=after):
                    yield from (Listed(str(m["path"]), int(m["size"])) for m in page)
            except (NotFoundError, FileNotFoundError) as error:
                self._check_absent(error)

    def delete(self, path: str) -> None:
        """Remove the object; nothing when there is none."""
        with self._said(f"removing {path}"):
            try:
                obstore.delete(self._client, path)
            except (NotFoundError, FileNotFoundError) as error:
                self._check_absent(error)

    def _check_absent(self, error: Exception) -> None:
        """A "not found" counts only while the place where it would be is there."""
        if bucket_gone(error):
            raise error
        if self.folder is not None and not self.folder.is_dir():
            raise StoreUnavailable(
                self.url, "the folder is gone", "is its file system mounted?"
            ) from None

    @contextmanager
    def _said(self, doing: str) -> Iterator[None]:
        try:
            yield
        except (BaseError, OSError, ValueError) as error:
            raise problem_of(self.url, doing, error) from None
        except BaseException as error:
            # The client's panics derive from BaseException and have no class to import.
            if type(error).__name__ == "PanicException":
                raise panicked(self.url, doing, error) from None
            raise


def open_store(
    url: str,
    *,
    options: Mapping[str, str] | None = None,
    timeout_seconds: float = 30.0,
    retries: int = 3,
) -> ObjectStore:
    """Open the store of `url`; no call is made yet. Raises StoreProblem for a URL that no client
    understands.

    Credentials and endpoint come from `options` or the environment, by the names that the
    providers use (`AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT_URL`, `AWS_REGION`, ...). A lease or guard
    opens its own with `retries=0` and a timeout of a quarter of the TTL.
    """
    parts = urlsplit(url)
    if parts.scheme not in SCHEMES:
        raise StoreProblem(url, f"no store is addressed by {parts.scheme or 'that'}", WRITTEN)
    given: dict[str, Any] = {}
    try:
        if parts.scheme == "file":
            if parts.netloc:
                raise StoreProblem(url, "a folder is written with three slashes", "file:///FOLDER")
            Path(parts.path).mkdir(parents=True, exist_ok=True)
        else:
            given["client_options"] = {
                "timeout": timedelta(seconds=timeout_seconds),
                "connect_timeout": timedelta(seconds=min(timeout_seconds, 5.0)),
                "allow_http": True,
            }
            given["retry_config"] = {
                "max_retries": retries,
                "retry_timeout": timedelta(seconds=timeout_seconds),
            }
            given |= _checked(url, options or {})
        return ObjectStore(url, from_url(url, **given))
    except (BaseError, ValueError, OSError) as error:
        problem = problem_of(url, "opening it", error)
        if isinstance(problem, StoreUnavailable):  # no call was made: waiting does not help
            problem = StoreProblem(url, first_line(error), f"write {WRITTEN}")
        raise problem from None
    except BaseException as error:
        if type(error).__name__ == "PanicException":
            raise panicked(url, "opening it", error) from None
        raise


def _checked(url: str, options: Mapping[str, str]) -> dict[str, str]:
    """The options in the client's spelling; what would make it panic is refused in words."""
    for name, value in [*_environment(), *options.items()]:
        if re.search(r"[\x00-\x1f\x7f]", value):
            raise StoreProblem(url, f"{name} has a line break or another control character in it")
        if "endpoint" in name.lower() and (
            urlsplit(value).scheme not in ("http", "https") or not urlsplit(value).hostname
        ):
            raise StoreProblem(url, f"{name} is {value!r}", "write http://HOST:PORT or https://…")
    # `allow_http` belongs to the client's options; beside them it makes the client panic.
    return {k.lower(): v for k, v in options.items() if "allow_http" not in k.lower()}


def _environment() -> Iterator[tuple[str, str]]:
    """What the client reads by itself and cannot always digest."""
    for name, value in os.environ.items():
        if name.startswith(("AWS_", "AZURE_", "GOOGLE_")) and value:
            yield name, value
