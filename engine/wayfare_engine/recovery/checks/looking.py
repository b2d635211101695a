"""What a check looks at: this site's database, the object store, the other site, serving pods.

What is not given is not there, and a check that needs it answers Unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import Connection

from wayfare_engine.objectstore import ObjectStore

if TYPE_CHECKING:
    from wayfare_engine.privacy import MasterKeys
    from wayfare_engine.settings import Settings


class Source(StrEnum):
    """Something that a check asks; the words are those of a message."""

    DATABASE = "this site's database"
    STORE = "the object store"
    OTHER = "the other site's name"
    ENGINE = "the address of a serving pod"


@dataclass(frozen=True)
class EngineAt:
    """Serving pods, by the addresses at which they answer (`http://HOST:PORT`), and an API key."""

    urls: tuple[str, ...]
    api_key: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Objectives:
    """Where a figure stops being good.

    lag_seconds: how far this database may be behind a chain. latency_ms: of 99 in 100 requests.
    replay_sample, replay_seed: how many decisions are decided again, and which; replay_newest,
    replay_others: of how many of a chain's newest objects, and of how many others. chain_objects:
    of all chains, how many of the newest objects are read. settle_seconds: how long what the sites
    said may differ, because one of them has just woken and says it again every few seconds.
    """

    lag_seconds: float = 60.0
    latency_ms: float = 50.0
    replay_sample: int = 2000
    replay_seed: int = 0
    replay_newest: int = 500
    replay_others: int = 500
    chain_objects: int = 20_000
    settle_seconds: float = 30.0


def _quietly(text: str) -> None:
    """Nobody watches."""


@dataclass(frozen=True, kw_only=True)
class Looking:
    """Where, and as what, a check looks.

    plan: the recovery plan's id in the store. other: the other site. run, kind: of which run, None
    when it is none. dsn: a direct address of this site's database. gates: the plan's names of
    gates; None means each check's own default. secrets: those that both sites need. source_lost:
    the other site is taken to be dead, so that what it said last may be old. say: told what goes
    on, in short sentences. kept: what one check has read and another one needs, too.
    """

    plan: str
    site: str
    clock: Callable[[], datetime]
    dsn: str | None = None
    store: ObjectStore | None = None
    other: str | None = None
    run: int | None = None
    kind: str | None = None
    settings: Settings | None = None
    gates: frozenset[str] | None = None
    secrets: tuple[str, ...] = ()
    engine: EngineAt | None = None
    source_lost: bool = False
    objectives: Objectives = field(default_factory=Objectives)
    masters: MasterKeys | None = field(default=None, repr=False)
    say: Callable[[str], None] = _quietly
    kept: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    def has(self, source: Source) -> bool:
        """Whether this source was given."""
        given: dict[Source, object] = {
            Source.DATABASE: self.dsn,
            Source.STORE: self.store,
            Source.OTHER: self.other,
            Source.ENGINE: self.engine.urls if self.engine is not None else None,
        }
        return bool(given[source])

    @contextmanager
    def database(self) -> Iterator[Connection[Any]]:
        """A read-only transaction over one snapshot of the database. Raises psycopg.Error."""
        assert self.dsn is not None, "a check says that it needs the database"
        with (
            psycopg.connect(self.dsn, autocommit=True, application_name="wayfare-check") as opened,
            opened.transaction(),
        ):
            opened.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            yield opened

    @property
    def objects(self) -> ObjectStore:
        """The store, for a check that says that it needs it."""
        assert self.store is not None, "a check says that it needs the store"
        return self.store
