"""`sink`: takes every send and calls nobody. For drills, tests, and trying a journey."""

from __future__ import annotations

import os
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, ClassVar, Self

import msgspec

from wayfare_engine.channels.contract import Answer, HandOver, Key, NoDedupe, Query
from wayfare_engine.channels.plugin import BadConfig, ChannelPlugin, NotAccepted, Settings

_WINDOW = 86_400.0
_MOST_KEYS = 1_000_000


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`file`: where each send that takes effect becomes a line of JSON. It holds what was sent, so
    that only its owner may read it. `keep`: how many sends are in memory."""

    file: Annotated[str, msgspec.Meta(min_length=1)] | None = None
    keep: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 100


class Taken(msgspec.Struct, frozen=True):
    """A send that took effect, as it stands in the file. `at` is the wall clock, in seconds."""

    at: float
    provider_id: str
    what: HandOver


class Sink(ChannelPlugin):
    """Remembers each key for a day, over a restart too when it has a file; a repeat has the first
    answer and no effect."""

    name: ClassVar[str] = "sink"
    dedupe: ClassVar[Key | Query | NoDedupe] = Key(window=_WINDOW)
    batch_size: ClassVar[int] = 100

    def __init__(self, config: Config, *, clock: Callable[[], float] = time.time) -> None:
        self.sends: deque[Taken] = deque(maxlen=config.keep)
        self._clock = clock
        self._known: OrderedDict[str, tuple[float, str]] = OrderedDict()
        self._count = 0
        self._file: int | None = None
        if config.file is not None:
            self._remember(Path(config.file))
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
            self._file = os.open(config.file, flags, 0o600)

    @classmethod
    def open(cls, settings: Settings) -> Self:
        """See `ChannelPlugin.open`."""
        config = settings.read(Config)
        try:
            return cls(config)
        except OSError as error:
            raise BadConfig(f"config: file {config.file}: {error.strerror}") from None

    async def send(self, what: HandOver) -> Answer:
        """Take it. Raises NotAccepted when no more keys can be remembered for their window."""
        now = self._clock()
        self._forget(now)
        known = self._known.get(what.send_key)
        if known is not None:
            return Answer(result="Accepted", detail="a repeat", provider_id=known[1])
        if len(self._known) >= _MOST_KEYS:
            raise NotAccepted(f"the sink holds {_MOST_KEYS} keys of the last day")
        taken = Taken(at=now, provider_id=f"sink-{self._count + 1}", what=what)
        if self._file is not None:
            _append(self._file, msgspec.json.encode(taken) + b"\n")
        self._take(taken)
        return Answer(result="Accepted", provider_id=taken.provider_id)

    async def send_batch(self, sends: Sequence[HandOver]) -> list[Answer | Exception]:
        """Each in its turn."""
        answers: list[Answer | Exception] = []
        for what in sends:
            try:
                answers.append(await self.send(what))
            except NotAccepted as error:
                answers.append(error)
        return answers

    async def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _take(self, taken: Taken) -> None:
        self._count += 1
        self._known[taken.what.send_key] = (taken.at, taken.provider_id)
        self.sends.append(taken)

    def _forget(self, now: float) -> None:
        while self._known:
            key, (at, _) = next(iter(self._known.items()))
            if now - at < _WINDOW:
                return
            del self._known[key]

    def _remember(self, file: Path) -> None:
        """Take what an earlier life of this host wrote. A last line that was cut short took no
        effect that anybody was told of: it goes."""
        if not file.exists():
            return
        decoder = msgspec.json.Decoder(Taken)
        whole = 0
        with file.open("rb") as lines:
            for line in lines:
                if not line.endswith(b"\n"):
                    break
                try:
                    self._take(decoder.decode(line))
                except msgspec.MsgspecError:
                    raise BadConfig(f"config: file {file} is no record of a sink") from None
                whole += len(line)
        os.truncate(file, whole)


def _append(file: int, line: bytes) -> None:
    """The whole line or nothing of it. Raises NotAccepted."""
    before = os.fstat(file).st_size
    try:
        if os.write(file, line) == len(line):
            return
        os.ftruncate(file, before)
        why = "no space is left"
    except OSError as error:
        why = error.strerror or type(error).__name__
    raise NotAccepted(f"the sink's file: {why}")
