"""Plugins that misbehave as the switch of their folder says, each in a host of its own."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import ClassVar, Self

from tests.misbehaving.records import Folder, Record
from wayfare_engine.channels.contract import Answer, HandOver, Key, NoDedupe, Query
from wayfare_engine.channels.plugin import ChannelPlugin, NotAccepted, Rejected, Settings

ENTRIES = """[wayfare.channels]
misbehaving-key = tests.misbehaving.plugins:WithKey
misbehaving-none = tests.misbehaving.plugins:WithNone
"""
_MEGABYTE = 1024 * 1024
#: As a shell has it of a process that the kernel killed because the memory was all used.
_KILLED = 137


class WithNone(ChannelPlugin):
    """The switch: `hang`, `crash N` (each N-th call ends the process), `leak N` (megabytes a call),
    `slow N` (takes it and answers after N seconds), `die` (takes it and ends before it answers),
    `raise`, `reject`, `refuse` (with a text that tells all it knows); else it behaves."""

    name: ClassVar[str] = "misbehaving-none"

    def __init__(self, settings: Settings) -> None:
        self._folder = Folder(Path(settings.config["folder"]))
        self._record = Record(self._folder, dedupe=isinstance(self.dedupe, Key))
        self._secrets = settings.secrets
        self._calls = 0
        self._kept: list[bytearray] = []

    @classmethod
    def open(cls, settings: Settings) -> Self:
        """See `ChannelPlugin.open`."""
        return cls(settings)

    async def send(self, what: HandOver) -> Answer:
        """Do as the switch says."""
        self._record.begun(what.send_key, what.customer, what.attempt)
        match self._folder.switched():
            case ["hang"]:
                await asyncio.Event().wait()
            case ["crash", number]:
                self._calls += 1
                if self._calls % int(number) == 0:
                    os._exit(1)
            case ["leak", megabytes]:
                self._leak(int(megabytes))
            case ["slow", seconds]:
                self._effect(what)
                await asyncio.sleep(float(seconds))
            case ["die"]:
                self._effect(what)
                os._exit(1)
            case ["raise"]:
                raise RuntimeError(self._all(what))
            case ["reject"]:
                raise Rejected(self._all(what))
            case ["refuse"]:
                raise NotAccepted(self._all(what))
        self._effect(what)
        return Answer(result="Accepted", provider_id=f"p-{what.send_key[:16]}")

    def _effect(self, what: HandOver) -> None:
        self._record.effect(what.send_key, what.customer, what.attempt)

    def _leak(self, megabytes: int) -> None:
        try:
            leaked = bytearray(megabytes * _MEGABYTE)
        except MemoryError:
            os._exit(_KILLED)
        for place in range(0, len(leaked), 4096):
            leaked[place] = 1
        self._kept.append(leaked)

    def _all(self, what: HandOver) -> str:
        return f"{dict(self._secrets)} {what.address} {what.payload}"


class WithKey(WithNone):
    """The same, and a key takes effect once."""

    name: ClassVar[str] = "misbehaving-key"
    dedupe: ClassVar[Key | Query | NoDedupe] = Key(window=3600.0)
