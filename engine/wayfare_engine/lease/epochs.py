"""Epochs: taking one is creating one object, which is never changed or deleted.

Whoever created `lease/<plan>/<N>` holds epoch N; everything that is known of who held what, and
why, is in these objects. That the taker's wait is over is an object too (`acting/…`): a process
that starts later needs no deadline from another machine to know that it may act.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

import msgspec

from wayfare_engine.crashpoints import crash_point
from wayfare_engine.decoding import known
from wayfare_engine.lease.problems import EpochTaken, LeaseDamaged, LeaseLost, NotNextEpoch
from wayfare_engine.objectstore import ObjectStore, StoreProblem, StoreUnavailable, paths

FORMAT = 1

_before_put = crash_point("lease.take.before_put", "nothing yet: the lease object comes next")
_after_put = crash_point("lease.take.put", "the lease object is in the store")


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """A person's word that the other site is off or cut off. `read` is what they were shown."""

    text: str
    by: str
    read: tuple[str, ...] = ()


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """The object of an epoch. `at` is the taker's wall clock: for people, never for decisions.
    `run` is the number of the recovery run that took it, if one did."""

    plan: str
    epoch: int
    site: str
    nonce: str
    reason: str
    at: datetime
    statement: Statement | None = None
    run: int | None = None
    format: int = FORMAT


class Acting(msgspec.Struct, frozen=True, kw_only=True):
    """The wait after taking `epoch` with `nonce` is over. `at` is for people."""

    epoch: int
    nonce: str
    at: datetime
    format: int = FORMAT


_T = TypeVar("_T", Lease, Acting)


@dataclass(frozen=True)
class Taken:
    """An epoch that is ours; `created` is False when an earlier call of ours had created it."""

    lease: Lease
    created: bool


@dataclass(frozen=True)
class Held:
    """One line of the history; `until` is when the next epoch was taken."""

    lease: Lease
    acting_since: datetime | None
    until: datetime | None


def take(
    store: ObjectStore,
    *,
    plan: str,
    site: str,
    epoch: int,
    nonce: str,
    reason: str,
    at: datetime,
    statement: Statement | None = None,
    run: int | None = None,
) -> Taken:
    """Take `epoch` with put-if-absent. It gives no right to act yet: see `TakeEpoch` for the wait.

    Repeating it with the same nonce is safe, and is the answer to StoreUnavailable: that leaves
    unknown whether the write took effect, or will when it arrives late. Raises EpochTaken when
    another has it, NotNextEpoch when the epoch before was never taken.
    """
    # model: TAKE
    wanted = Lease(
        plan=plan,
        epoch=epoch,
        site=site,
        nonce=nonce,
        reason=reason,
        at=at,
        statement=statement,
        run=run,
    )
    path = paths.lease(plan, epoch)
    if epoch > 1 and read(store, plan, epoch - 1) is None:
        raise NotNextEpoch(plan, epoch)
    present = read(store, plan, epoch)
    if present is None:
        _before_put()
        try:
            created = store.put_if_absent(path, msgspec.json.encode(wanted))
        except StoreUnavailable as unknown:
            present = read(store, plan, epoch)
            if present is None:
                raise type(unknown)(
                    store.url,
                    f"whether epoch {epoch} was taken is not known ({unknown.cause})",
                    f"{unknown.hint}; then run it again: it goes on with the same nonce",
                ) from None
        else:
            _after_put()
            if created:
                return Taken(wanted, created=True)
            present = read(store, plan, epoch)
    if present is None:
        raise StoreProblem(
            store.url,
            f"{path} exists for a write and not for a read",
            "the store must let a read see what was written",
        )
    if present.nonce != nonce:
        raise EpochTaken(plan, epoch, present.site, f"{present.at:%Y-%m-%d %H:%M:%S} UTC")
    return Taken(present, created=False)


def read(store: ObjectStore, plan: str, epoch: int) -> Lease | None:
    """The lease object of an epoch, by a strongly consistent read; None when nobody took it."""
    path = paths.lease(plan, epoch)
    data = store.get(path)
    if data is None:
        return None
    lease = _decode(data, Lease, path)
    if (lease.plan, lease.epoch) != (plan, epoch):
        raise LeaseDamaged(path, f"it speaks of epoch {lease.epoch} of plan {lease.plan}")
    return lease


def read_acting(store: ObjectStore, plan: str, epoch: int) -> Acting | None:
    """Whether, and since when, the wait after taking this epoch is over."""
    path = paths.acting(plan, epoch)
    data = store.get(path)
    return None if data is None else _decode(data, Acting, path)


def put_acting(store: ObjectStore, lease: Lease, *, at: datetime) -> None:
    """Say that the wait is over; only its taker does, after waiting. Repeating it is safe."""
    said = Acting(epoch=lease.epoch, nonce=lease.nonce, at=at)
    store.put_if_absent(paths.acting(lease.plan, lease.epoch), msgspec.json.encode(said))


def highest(store: ObjectStore, plan: str, *, seen: int = 1) -> Lease | None:
    """The lease of the highest epoch; None when the plan has none yet.

    `seen` is the highest that the ledger knows (`wayfare.site_epoch.highest_seen`, which starts
    at 1): a store that knows less is refused with LeaseLost.
    """
    prefix = paths.leases(plan)
    epoch = 0
    for listed in store.list(prefix):
        name = listed.path.removeprefix(prefix)
        if name.isdecimal():
            epoch = max(epoch, int(name))
    epoch = max(epoch, seen if read(store, plan, seen) else 0)
    lease = read(store, plan, epoch) if epoch else None
    # Listings may lag; a read of the next object does not.
    while (following := read(store, plan, epoch + 1)) is not None:
        lease, epoch = following, epoch + 1
    if epoch < seen and seen > 1:
        raise LeaseLost(store.url, plan, seen, epoch)
    return lease


def history(store: ObjectStore, plan: str, *, seen: int = 1) -> list[Held]:
    """Who held which epoch, since when and why, from the first one on."""
    last = highest(store, plan, seen=seen)
    leases = list(_all(store, plan, last.epoch if last else 0))
    ends = [*(lease.at for lease in leases[1:]), None]
    found = []
    for lease, until in zip(leases, ends, strict=False):
        acting = read_acting(store, plan, lease.epoch)
        found.append(Held(lease, acting.at if acting else None, until))
    return found


def _all(store: ObjectStore, plan: str, last: int) -> Iterator[Lease]:
    for epoch in range(1, last + 1):
        lease = read(store, plan, epoch)
        if lease is None:
            raise LeaseLost(store.url, plan, last, epoch - 1)
        yield lease


def _decode(data: bytes, kind: type[_T], path: str) -> _T:
    try:
        found = msgspec.json.decode(data, type=kind)
    except msgspec.DecodeError as error:
        raise LeaseDamaged(path, f"is not a lease object ({error})") from None
    if found.format > FORMAT:
        raise LeaseDamaged(path, f"is of format {found.format}; this version reads {FORMAT}")
    return found


known(Lease, Acting)
