"""Who may act, and when each site was last heard of, as anybody who can read the store sees it.

For those who decide nothing by it but what to show and whom to wake: the right to act itself is
the engine's, which takes, checks and waits (`lease/`). These are the same objects, read only.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Generic, Literal, TypeVar

import msgspec

from wayfare_engine.decoding import known
from wayfare_engine.objectstore import ObjectStore, paths
from wayfare_engine.runs.problems import NotAsRecorded, RecordDamaged

T = TypeVar("T")
S = TypeVar("S", bound=msgspec.Struct)

#: Seconds on a clock that goes on through suspend and that no one can set.
_boottime = partial(time.clock_gettime, time.CLOCK_BOOTTIME)

State = Literal["Acting", "Waiting", "NotTaken"]


class _Lease(msgspec.Struct, frozen=True, kw_only=True):
    plan: str
    epoch: int
    site: str
    nonce: str
    reason: str
    at: datetime


class _Acting(msgspec.Struct, frozen=True, kw_only=True):
    nonce: str
    at: datetime


class SeenBeat(msgspec.Struct, frozen=True, kw_only=True):
    """What a site's worker said last. `writer` and `number` make each different from the one
    before; `at` is the writer's clock, only shown."""

    site: str
    epoch: int
    awake: bool
    at: datetime
    writer: str
    number: int
    sealed_seq: int
    unsealed: int
    oldest_unsealed_at: datetime | None = None


@dataclass(frozen=True)
class Authority:
    """Waiting: the epoch is taken, and its holder may not act yet. `since`: when it might.
    NotTaken: nobody ever took one; then `epoch` is 0 and `site` None."""

    state: State
    epoch: int
    site: str | None
    reason: str = ""
    taken: datetime | None = None
    since: datetime | None = None


def read(store: ObjectStore, plan: str, *, seen: int = 0) -> Authority:
    """Who holds the highest epoch. `seen`: one that this reader knows was taken (0: none); with
    it nothing is listed.

    Raises NotAsRecorded when the store does not know `seen`, RecordDamaged, StoreProblem.
    """
    lease = _lease(store, plan, seen) if seen else None
    if seen and lease is None:
        raise NotAsRecorded(
            paths.lease(plan, seen),
            f"epoch {seen} of plan {plan} was taken, and the store does not hold it; it is "
            "another bucket or prefix, or lease objects were deleted",
        )
    if not seen:
        prefix = paths.leases(plan)
        names = (listed.path.removeprefix(prefix) for listed in store.list(prefix))
        last = max((int(name) for name in names if name.isdecimal()), default=0)
        lease = _lease(store, plan, last) if last else None
    # Listings may lag; a read of the next object does not.
    while (following := _lease(store, plan, lease.epoch + 1 if lease else 1)) is not None:
        lease = following
    if lease is None:
        return Authority("NotTaken", 0, None)
    acting = _decoded(store, paths.acting(plan, lease.epoch), _Acting)
    begun = acting is not None and acting.nonce == lease.nonce
    return Authority(
        "Acting" if begun else "Waiting",
        lease.epoch,
        lease.site,
        lease.reason,
        lease.at,
        acting.at if begun and acting is not None else None,
    )


def _lease(store: ObjectStore, plan: str, epoch: int) -> _Lease | None:
    path = paths.lease(plan, epoch)
    found = _decoded(store, path, _Lease)
    if found is not None and (found.plan, found.epoch) != (plan, epoch):
        raise RecordDamaged(path, f"speaks of epoch {found.epoch} of plan {found.plan}")
    return found


def beat(store: ObjectStore, plan: str, site: str) -> SeenBeat | None:
    """A site's newest beat; None when it never wrote one. Raises RecordDamaged, StoreProblem."""
    return _decoded(store, paths.beat(plan, site), SeenBeat)


def _decoded(store: ObjectStore, path: str, kind: type[S]) -> S | None:
    data = store.get(path)
    if data is None:
        return None
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise RecordDamaged(path, f"is not what belongs there ({error})") from None


class Watch(Generic[T]):
    """How long a thing has been the newest of its kind, on this reader's own clock."""

    def __init__(self, boottime: Callable[[], float] = _boottime) -> None:
        self._boottime = boottime
        self._newest: T | None = None
        self._since: float | None = None
        self._changed = False

    def saw(self, thing: T | None) -> None:
        """Note what a read answered; call it only after an answer."""
        if self._since is None or thing != self._newest:
            self._changed = self._since is not None
            self._newest, self._since = thing, self._boottime()

    @property
    def newest(self) -> T | None:
        """The newest that was seen."""
        return self._newest

    @property
    def changed(self) -> bool:
        """Whether it was seen to come, so that its age is its whole age."""
        return self._changed

    def age(self) -> float | None:
        """Seconds since the newest was first seen: at most what it is really old. None before the
        first answer."""
        return None if self._since is None else self._boottime() - self._since


known(_Lease, _Acting, SeenBeat)
