"""The object stores of engines, as the operator reads and writes them, and what was last seen.

Calls of a store block: they are made in threads. Credentials come from the operator's own
environment, never from a Secret that it would read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ParamSpec, TypeVar

from wayfare_engine.objectstore import ObjectStore, open_store
from wayfare_engine.resources import Engine, RunKind
from wayfare_engine.resources.phases import RunTrace
from wayfare_engine.runs import Beacon, Keys, Run
from wayfare_engine.runs.authority import SeenBeat, Watch
from wayfare_operator.settings import OperatorSettings

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class OpenRun:
    """The run of a plan that has not ended, as it was last seen in the store. `uid` is its
    RecoveryRun's; `waiting`: a person has to decide."""

    number: int
    name: str
    uid: str
    kind: RunKind
    target: str
    step: str | None = None
    waiting: bool = False


@dataclass(frozen=True, slots=True)
class Judged:
    """What became of an Approval: whether it counted, and why or why not."""

    counted: bool
    message: str


@dataclass
class Recovery:
    """Shared by all reconciles of recovery. Everything but the settings can be read again."""

    settings: OperatorSettings
    _stores: dict[str, ObjectStore] = field(default_factory=dict)
    _open: dict[str, OpenRun] = field(default_factory=dict)
    judged: dict[str, Judged] = field(default_factory=dict)
    """By the Approval's uid."""
    known: dict[tuple[str, int], dict[str, Any]] = field(default_factory=dict)
    """Records that were read, by plan and number of the run, and path."""
    messages: dict[tuple[str, str], str] = field(default_factory=dict)
    """What the running steps say, by the run's uid and the step."""
    taken: dict[str, Run] = field(default_factory=dict)
    """Records of runs that this site drives, by the uid of the RecoveryRun."""
    newest: dict[str, int] = field(default_factory=dict)
    """The highest number of a run that was seen, by plan."""
    problems: dict[str, str] = field(default_factory=dict)
    """What was wrong with the requests of a plan last; empty when nothing was."""
    woken: set[str] = field(default_factory=set)
    """Runs, by uid, whose step Wake found something asleep."""
    beacons: dict[tuple[str, str], Watch[Beacon]] = field(default_factory=dict)
    """How long the newest beacon of a site has been the newest, by plan and site."""
    moves: dict[tuple[str, int], Watch[Any]] = field(default_factory=dict)
    """How long nothing has happened in a planned move away from here, by plan and number."""
    ended: dict[str, dict[int, RunTrace]] = field(default_factory=dict)
    """What the phase follows from, by plan and number of the run."""
    beats: dict[tuple[str, str], Watch[SeenBeat]] = field(default_factory=dict)
    """The same of a site's beats."""

    probe_keys: dict[str, str] = field(default_factory=dict, repr=False)
    """API keys to ask for a decision with, by the run's uid; they live for some minutes."""

    @cached_property
    def keys(self) -> Keys | None:
        """What requests between the sites are signed with; None without a key. Raises BadKey."""
        secret = self.settings.recovery_key
        return None if secret is None else Keys.of(secret.get_secret_value())

    def store(self, engine: Engine) -> ObjectStore | None:
        """The engine's store; None when it has none. Raises StoreProblem for a wrong URL.

        Requests are not retried: the next reconcile does that.
        """
        declared = engine.spec.stores.object_store
        if declared is None:
            return None
        opened = self._stores.get(declared.url)
        if opened is None:
            timeout = self.settings.object_store_timeout_seconds
            opened = open_store(declared.url, timeout_seconds=timeout, retries=0)
            self._stores[declared.url] = opened
        return opened

    def open_run(self, plan: str) -> OpenRun | None:
        """The plan's run that has not ended, as it was last seen."""
        return self._open.get(plan)

    def forget(self, plan: str) -> None:
        """Drop what was read of the plan's runs: none is open."""
        for key in [key for key in self.known if key[0] == plan]:
            del self.known[key]
        self.forget_moves(plan)
        self.probe_keys.clear()

    def forget_moves(self, plan: str) -> None:
        """Count anew for how long nothing has happened: none is open, or the store was away, and
        who said nothing meanwhile could not."""
        for key in [key for key in self.moves if key[0] == plan]:
            del self.moves[key]

    def saw(self, plan: str, run: OpenRun | None) -> None:
        """Note what the store said."""
        if run is None:
            self._open.pop(plan, None)
        else:
            self._open[plan] = run


def plan_id(engine: Engine) -> str:
    """The plan's name in the store: that of its engine."""
    return f"{engine.metadata.namespace}.{engine.metadata.name}"


async def call(function: Callable[P, R], *arguments: P.args, **named: P.kwargs) -> R:
    """Call something that waits for the store, in a thread."""
    return await asyncio.to_thread(function, *arguments, **named)
