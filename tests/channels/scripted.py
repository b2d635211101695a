"""Plugins that do what a send's payload says, and write down what took effect."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, Self

from wayfare_engine.channels.contract import (
    Answer,
    Callback,
    Check,
    HandOver,
    Key,
    NoDedupe,
    Query,
    Receipt,
    Rendered,
    State,
)
from wayfare_engine.channels.plugin import (
    BadConfig,
    ChannelPlugin,
    InDoubt,
    NotAccepted,
    Rejected,
    Settings,
)

SECRET = "hunter2-do-not-tell"


class Scripted(ChannelPlugin):
    """`payload.do`: accept (default), sleep, hang, stay, reject, refuse, doubt, fail, nonsense."""

    name: ClassVar[str] = "scripted"

    def __init__(self, effects: Path) -> None:
        self.effects = effects
        self.known: set[str] = set()

    @classmethod
    def open(cls, settings: Settings) -> Self:
        if "effects" not in settings.config:
            raise BadConfig("config: effects: name a file")
        return cls(Path(settings.config["effects"]))

    async def send(self, what: HandOver) -> Answer:
        self.write("begun", what)
        match what.payload.get("do"):
            case "sleep":
                await asyncio.sleep(float(what.payload["seconds"]))
            case "hang":
                await asyncio.Event().wait()
            case "stay":
                while not os.access(what.payload["until"], os.F_OK):
                    try:
                        await asyncio.sleep(0.01)
                    except asyncio.CancelledError:
                        self.write("told to end", what)
            case "reject":
                raise Rejected("no such number")
            case "refuse":
                raise NotAccepted("their queue is full")
            case "doubt":
                raise InDoubt("they said maybe")
            case "fail":
                raise RuntimeError(f"{SECRET} {what.payload} {what.address}")
            case "nonsense":
                return "yes"  # type: ignore[return-value]
        self.known.add(what.send_key)
        self.write("effect", what)
        return Answer(result="Accepted", provider_id=f"p-{what.send_key}")

    def write(self, kind: str, what: HandOver) -> None:
        with self.effects.open("a") as file:
            file.write(f"{kind} {what.send_key} {what.remaining:.6f}\n")

    async def preview(self, what: HandOver) -> Rendered:
        if what.payload.get("do") == "fail":
            raise ValueError(SECRET)
        if what.payload.get("do") == "nonsense":
            return {"text": SECRET}  # type: ignore[return-value]
        return Rendered(parts={"text": str(what.payload.get("text"))})

    async def check(self) -> Check:
        return Check(ok=False, problem="wrong password: set the secret `token`")


class Asked(Scripted):
    """The same, and it can be asked, takes batches and knows receipts."""

    name: ClassVar[str] = "asked"
    dedupe: ClassVar[Key | Query | NoDedupe] = Query()
    batch_size: ClassVar[int] = 5
    receipt_states: ClassVar[tuple[State, ...]] = ("delivered",)

    async def send_batch(self, sends: Sequence[HandOver]) -> list[Answer | Exception]:
        answers: list[Any] = []
        for what in sends:
            if what.payload.get("do") == "short":
                return answers
            try:
                answers.append(await self.send(what))
            except Exception as error:
                answers.append(error)
        return answers

    async def query(self, send_key: str) -> bool:
        return send_key in self.known

    async def receipts(self, callback: Callback) -> list[Receipt]:
        if callback.headers.get("token") != "right":
            raise ValueError(SECRET)
        return [Receipt(state="delivered", at=datetime(2026, 1, 1, tzinfo=UTC), send_key="k-1")]
