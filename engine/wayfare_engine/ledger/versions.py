"""Versions of bodies: which shapes a kind has had, and reading an old one as the newest.

Any change of a shape that was written by a release is a new version: its class is added behind the
older ones, and the older one gets `upgrade()`, which makes the next version of itself. A reader
that is older than a body refuses it: leaving out what it does not know would be another fact.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from wayfare_engine.errors import SaidToPeople


class Body(msgspec.Struct, frozen=True, omit_defaults=True):
    """What all bodies have in common: `v`, the version of its shape. Version 1 is not written."""

    v: int = 1


@dataclass(eq=False)
class NewerBody(SaidToPeople):
    """A body that a newer Wayfare wrote; `newest` 0 when its kind is not known at all."""

    kind: str
    version: int
    newest: int

    def __str__(self) -> str:
        if self.newest:
            what = f"a row of kind {self.kind!r} has a body of version {self.version}, and this "
            what += f"Wayfare reads versions up to {self.newest}"
        else:
            what = f"there is a row of kind {self.kind!r}, which this Wayfare does not know"
        return f"{what}; upgrade it before it reads this ledger or journal"


@dataclass(eq=False)
class WrongBody(SaidToPeople):
    """A body that is not of the shape that its kind and version say."""

    kind: str
    reason: str

    def __str__(self) -> str:
        return f"a row of kind {self.kind!r} has a body that cannot be read: {self.reason}"


class _Version(msgspec.Struct, frozen=True):
    v: int = 1


_version = msgspec.json.Decoder(_Version)
_encoder = msgspec.json.Encoder()


class Bodies:
    """The shapes of each kind, the oldest first; all but the last have `upgrade`."""

    def __init__(self, shapes: Mapping[str, tuple[type[Any], ...]]) -> None:
        for kind, versions in shapes.items():
            for number, shape in enumerate(versions[:-1], 1):
                if not callable(getattr(shape, "upgrade", None)):
                    raise TypeError(f"version {number} of {kind} has no way to the next")
        self._shapes = dict(shapes)
        self._decoders = {
            kind: [msgspec.json.Decoder(shape) for shape in versions]
            for kind, versions in shapes.items()
        }

    @property
    def shapes(self) -> Mapping[str, tuple[type[Any], ...]]:
        """Every shape that can be read."""
        return self._shapes

    def newest(self, kind: str) -> int:
        """The version that is written today; 0 for a kind that is not known."""
        return len(self._shapes.get(kind, ()))

    def decode(self, kind: str, text: str | bytes) -> Any:
        """The body as the newest shape of its kind. Raises NewerBody and WrongBody."""
        decoders = self._decoders.get(kind)
        if decoders is None:
            raise NewerBody(kind, _version_of(kind, text), 0)
        newest = len(decoders)
        try:
            body = decoders[-1].decode(text)
            if body.v == newest:
                return body
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            problem = str(error) or type(error).__name__
        else:
            problem = ""
        # Not of the newest shape: an older one, a newer one, or damaged.
        version = _version_of(kind, text)
        if version > newest:
            raise NewerBody(kind, version, newest)
        if not 1 <= version < newest:
            raise WrongBody(kind, problem or f"there is no version {version}")
        try:
            body = decoders[version - 1].decode(text)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise WrongBody(kind, str(error) or type(error).__name__) from None
        for _ in range(version, newest):
            body = body.upgrade()
        return body

    def require_readable(self, kind: str, version: int) -> None:
        """Raise NewerBody when this Wayfare cannot read such bodies."""
        if version > self.newest(kind):
            raise NewerBody(kind, version, self.newest(kind))


def encode(body: Body) -> str:
    """A body as the compact JSON text that a row holds."""
    return _encoder.encode(body).decode()


def _version_of(kind: str, text: str | bytes) -> int:
    try:
        return _version.decode(text).v
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise WrongBody(kind, str(error) or type(error).__name__) from None
