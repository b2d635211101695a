"""What a channel plugin written in Python is: a class that an entry point of the group
`wayfare.channels` names. Everything around it (clock, deadline, limits, HTTP) is the host's."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self, TypeVar

import msgspec

from wayfare_engine.channels.contract import (
    VERSION,
    Answer,
    Callback,
    Check,
    Description,
    HandOver,
    Key,
    NoDedupe,
    Query,
    Receipt,
    Rendered,
    State,
)
from wayfare_engine.errors import USAGE, SaidToPeople

T = TypeVar("T")

ENTRY_POINTS = "wayfare.channels"


@dataclass(frozen=True)
class Settings:
    """What the Channel resource gives its plugin: `config` as written there, `secrets` by the
    plugin's own names for them."""

    config: Mapping[str, Any]
    secrets: Mapping[str, str]

    def read(self, kind: type[T]) -> T:
        """`config` as a msgspec.Struct or a dataclass; raises BadConfig with the wrong place."""
        try:
            return msgspec.convert(dict(self.config), kind)
        except msgspec.ValidationError as error:
            raise BadConfig(f"config: {error}") from None

    def secret(self, name: str) -> str:
        """A secret that must be there; raises BadConfig."""
        found = self.secrets.get(name)
        if not found:
            raise BadConfig(f"there is no secret {name!r}: give it in the Channel's secretRefs")
        return found


class Rejected(Exception):
    """The provider refused for good; nothing took effect. The text says why."""


class NotAccepted(Exception):
    """Nothing took effect, for certain, and it may be tried again: no connection, a full queue."""


class InDoubt(Exception):
    """It may have taken effect, and it cannot be known. The text says what was seen. Any other
    exception means the same, but people are told its class only: its text may hold a secret."""


class BadConfig(SaidToPeople):
    """The settings cannot be used. The text says which, and what to do; no secret is in it."""

    exit_code = USAGE


class ChannelPlugin(ABC):
    """A way out. One object lives as long as its host; `send` runs many times at once.

    `send` returns what was accepted, raises Rejected or NotAccepted when it is certain that nothing
    took effect, and InDoubt or anything else when it is not certain. Its time is
    `remaining`, counted from the call: it is cancelled when that is over, and must neither go on in
    the background nor hold up the event loop.
    """

    name: ClassVar[str]
    version: ClassVar[str] = "1"
    dedupe: ClassVar[Key | Query | NoDedupe] = NoDedupe()
    batch_size: ClassVar[int] = 1
    receipt_states: ClassVar[tuple[State, ...]] = ()
    permanent_errors: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def description(cls) -> Description:
        """What its host says of it."""
        return Description(
            contract=VERSION,
            plugin=cls.name,
            version=cls.version,
            dedupe=cls.dedupe,
            batch_size=cls.batch_size,
            receipt_states=cls.receipt_states,
            permanent_errors=cls.permanent_errors,
        )

    @classmethod
    @abstractmethod
    def open(cls, settings: Settings) -> Self:
        """A plugin with these settings; connects to nothing yet. Raises BadConfig."""

    async def begin(self) -> None:  # noqa: B027 - most connect when they send
        """Called once, when the host begins. Does not wait for anything outside."""

    @abstractmethod
    async def send(self, what: HandOver) -> Answer:
        """Hand one send to the provider."""

    async def send_batch(self, sends: Sequence[HandOver]) -> list[Answer | Exception]:
        """Hand several over, of plugins whose `batch_size` is above 1: an answer a send, or what
        `send` would have raised for it."""
        raise NotImplementedError

    async def query(self, send_key: str) -> bool:
        """Whether the key took effect, of plugins whose `dedupe` is Query."""
        raise NotImplementedError

    async def receipts(self, callback: Callback) -> list[Receipt]:
        """What a provider's call says. Raises ValueError for a call that it did not make."""
        raise NotImplementedError

    async def preview(self, what: HandOver) -> Rendered:
        """What the customer would see; nothing leaves."""
        return Rendered(parts={name: str(value) for name, value in what.payload.items()})

    async def check(self) -> Check:
        """Ask the provider whether it is there and knows us, without sending anything."""
        return Check(ok=True)

    async def close(self) -> None:  # noqa: B027 - most have nothing to let go of
        """Let go of connections."""
