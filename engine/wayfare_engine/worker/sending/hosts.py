"""Asking hosts what they are. What they said last is kept, because a host that is away now has to
be known all the same: its sends wait for it, or go on through its fallback."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx
import msgspec
import structlog
from psycopg import Connection

from wayfare_engine.channels.contract import VERSION, Description
from wayfare_engine.plan import PlanChannel
from wayfare_engine.store import channel_reports
from wayfare_engine.worker.sending.built_in import description

log = structlog.get_logger(__name__)

_SECONDS = 1.0
_LONGEST = 64 * 1024
#: A host that has described itself is asked again after this, in case it was replaced.
_AGAIN_SECONDS = 10.0


@dataclass(frozen=True)
class Known:
    """What is known of a host: what it said last, and why it says nothing now, if so."""

    description: Description | None
    problem: str | None = None


class Hosts:
    """The hosts of a plan's channels. Used from one thread. `addresses`: of the plan, to those that
    are asked instead."""

    def __init__(
        self,
        addresses: Mapping[str, str],
        *,
        clock: Callable[[], datetime],
        monotonic: Callable[[], float],
    ) -> None:
        self._addresses = addresses
        self._clock = clock
        self._monotonic = monotonic
        self._pool = ThreadPoolExecutor(8, thread_name_prefix="describe")
        self._client = httpx.Client(timeout=_SECONDS, trust_env=False, follow_redirects=False)
        self._known: dict[str, Known] = {}
        self._asked: dict[str, tuple[str, float]] = {}

    def close(self) -> None:
        """End."""
        self._pool.shutdown(wait=True)
        self._client.close()

    def know(
        self, connection: Connection[Any], channels: Mapping[str, PlanChannel]
    ) -> Mapping[str, Known]:
        """Ask those that are due, and tell of all."""
        stored = channel_reports.descriptions(connection)
        now = self._monotonic()
        own = {name: description(channel) for name, channel in channels.items()}
        for name, says in own.items():
            if says is not None:
                self._told(connection, stored, name, "", says)
        due = {
            name: channel.url
            for name, channel in channels.items()
            if own[name] is None and self._due(name, channel.url, now)
        }
        answers = dict(zip(due, self._pool.map(self._ask, due.values()), strict=True))
        for name, (answer, problem) in answers.items():
            url = due[name]
            self._asked[name] = (url, now)
            if answer is not None:
                self._told(connection, stored, name, url, answer)
                continue
            self._known[name] = Known(_earlier(stored.get(name), url), problem)
        self._known = {name: known for name, known in self._known.items() if name in channels}
        return self._known

    def _told(
        self,
        connection: Connection[Any],
        stored: Mapping[str, tuple[str, Any]],
        name: str,
        url: str,
        says: Description,
    ) -> None:
        said = msgspec.to_builtins(says)
        if stored.get(name) != (url, said):
            channel_reports.describe(connection, name, url, said, self._clock())
        self._known[name] = Known(says)

    def _due(self, name: str, url: str, now: float) -> bool:
        known, (asked, at) = self._known.get(name), self._asked.get(name, ("", 0.0))
        if known is None or asked != url or known.problem is not None:
            return True
        return now - at >= _AGAIN_SECONDS

    def _ask(self, url: str) -> tuple[Description | None, str | None]:
        try:
            address = self._addresses.get(url, url)
            status, body = self._read(f"{address}/{VERSION}/describe")
        except httpx.HTTPError as error:
            return None, f"its host does not answer: {type(error).__name__}"
        except ValueError as error:
            return None, f"its host's address: {error}"
        if status != httpx.codes.OK:
            return None, f"its host answers with status {status}"
        try:
            found = msgspec.json.decode(body, type=Description)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            return None, f"its host does not describe itself: {str(error)[:200]}"
        if found.contract != VERSION:
            return None, f"its host speaks contract {found.contract!r}, and not {VERSION!r}"
        return found, None

    def _read(self, url: str) -> tuple[int, bytes]:
        """Status and body, cut where it is too long. The client's timeout is of each read: one that
        comes byte by byte ends here."""
        end = self._monotonic() + _SECONDS
        body = b""
        with self._client.stream("GET", url) as answer:
            for part in answer.iter_raw():
                body += part
                if len(body) > _LONGEST:
                    break
                if self._monotonic() > end:
                    raise httpx.ReadTimeout("the description does not end")
            return answer.status_code, body[:_LONGEST]


def _earlier(stored: tuple[str, Any] | None, url: str) -> Description | None:
    if stored is None or stored[0] != url:
        return None
    try:
        return msgspec.convert(stored[1], Description)
    except msgspec.ValidationError:
        return None
