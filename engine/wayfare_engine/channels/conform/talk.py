"""What a worker says to a host, for the conformance test; every send is marked as a test."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar
from urllib.parse import quote

import httpx
import msgspec

from wayfare_engine.channels.contract import (
    CLOCK_HEADER,
    STATUS,
    VERSION,
    Answer,
    Description,
    Key,
    Query,
)

T = TypeVar("T")
_LONGEST_CLOCK = 1024


class Wrong(Exception):
    """The host does not keep the contract; the text says what it did."""


class Skip(Exception):
    """The check is not for this host; the text says why."""


class Talk:
    """A client of one host. `prefix` makes this run's keys its own; `payload` and `address` are
    what every send carries."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        *,
        prefix: str,
        payload: Mapping[str, Any],
        address: str | None,
    ) -> None:
        self._client = client
        self._prefix = prefix
        self._common = {"payload": dict(payload), "address": address}
        self._found: Description | None = None
        self.without_clock: list[str] = []
        self.answers = 0

    @property
    def description(self) -> Description:
        """What the host says that it is. Raises Skip when that cannot be read."""
        if self._found is None:
            raise Skip("describe cannot be read")
        return self._found

    @description.setter
    def description(self, found: Description) -> None:
        self._found = found

    def needs(self, kind: type[Key] | type[Query]) -> None:
        """Raises Skip unless the host's dedupe is of this class."""
        if not isinstance(self.description.dedupe, kind):
            raise Skip(f"its dedupe is not {kind.__name__}")

    def key(self, name: str) -> str:
        """A send key of this run."""
        return f"{self._prefix}-{name}"

    async def ask(self, method: str, path: str, **given: Any) -> httpx.Response:
        """One request. Raises Wrong when there is no answer."""
        try:
            answer = await self._client.request(method, path, **given)
        except httpx.HTTPError as error:
            raise Wrong(f"no answer to {method} {path}: {type(error).__name__}") from None
        self.answers += 1
        clock = answer.headers.get(CLOCK_HEADER, "")
        if not clock or len(clock) > _LONGEST_CLOCK:
            self.without_clock.append(f"{method} {path} ({answer.status_code})")
        return answer

    async def reading(self) -> str:
        """The host's clock, now. Raises Wrong."""
        answer = await self.ask("GET", f"/{VERSION}/clock")
        clock: str = answer.headers.get(CLOCK_HEADER, "")
        if answer.status_code != 200 or not clock:
            raise Wrong(f"GET /{VERSION}/clock: {answer.status_code}, and no {CLOCK_HEADER}")
        return clock

    async def hand_over(self, name: str, **changes: Any) -> dict[str, Any]:
        """A hand-over as JSON, with a reading of now unless `changes` has another."""
        clock = changes.pop("clock", None)
        return {
            "send_key": self.key(name),
            "customer": "conformance-test",
            "channel": "conformance/test",
            "site": "conformance",
            "epoch": 1,
            "attempt": 1,
            "remaining": 5.0,
            "clock": await self.reading() if clock is None else clock,
            "test": True,
            **self._common,
            **changes,
        }

    async def send(self, name: str, **changes: Any) -> Answer:
        """Hand one over. Raises Wrong for what is no answer of the contract."""
        what = await self.hand_over(name, **changes)
        return declared(await self.ask("POST", f"/{VERSION}/send", json=what))

    async def accepted(self, name: str) -> Answer:
        """Hand one over that the provider takes. Raises Skip when it does not."""
        answer = await self.send(name)
        if answer.result != "Accepted":
            raise Skip(f"its provider took no test send: {answer.result}: {answer.detail}")
        return answer

    async def took_effect(self, name: str) -> bool:
        """What the host says of a key, of class Query. Raises Wrong."""
        path = f"/{VERSION}/query/{quote(self.key(name), safe='')}"
        said = read(await self.ask("GET", path), dict[str, bool])
        if "accepted" not in said:
            raise Wrong(f"{path}: no field accepted")
        return said["accepted"]


def read(answer: httpx.Response, kind: type[T]) -> T:
    """The body of a 200. Raises Wrong."""
    asked = f"{answer.request.method} {answer.request.url.path}"
    if answer.status_code != 200:
        raise Wrong(f"{asked}: {answer.status_code} instead of 200")
    try:
        return msgspec.json.decode(answer.content, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Wrong(f"{asked}: {error}") from None


def declared(answer: httpx.Response) -> Answer:
    """An answer with one of the four results under its status. Raises Wrong."""
    try:
        said = msgspec.json.decode(answer.content, type=Answer)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Wrong(f"status {answer.status_code}, and no answer to a send: {error}") from None
    if STATUS[said.result] != answer.status_code:
        raise Wrong(f"{said.result} with status {answer.status_code}, not {STATUS[said.result]}")
    return said
