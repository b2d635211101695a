"""Ending a chain: after `Closed`, nothing of that site and epoch counts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from wayfare_engine.crashpoints import crash_point
from wayfare_engine.journal.chain import Links, last_object, opened
from wayfare_engine.journal.segment import FORMAT, Closed, Segment, encode_closed
from wayfare_engine.objectstore import paths
from wayfare_engine.objectstore.store import ObjectStore

before_put = crash_point("journal.close.before", "a chain's end was found, Closed is not there yet")
after_put = crash_point("journal.close.put", "Closed is in the store")


def read_end(store: ObjectStore, site: str, epoch: int) -> Segment | Closed | None:
    """A chain's last object, without bodies. Raises ChainProblem where it is not whole: such a
    chain cannot be ended, and whoever is about to take the epoch after it should know before."""
    last = last_object(store, site, epoch)
    return None if last is None else opened(last.path, store.get(last.path), bodies=False)


def close_chain(
    store: ObjectStore, site: str, epoch: int, *, plan: str, by: int, clock: Callable[[], datetime]
) -> Closed:
    """End the chain of this site and epoch, because epoch `by` was taken; returns what ends it,
    which may be an earlier call's. Safe to repeat, and from several places at once.

    The chain's last part is read: on each race lost to its sealer, one segment more. Raises
    ChainProblem, NewerFormat, StoreProblem; StoreUnavailable when the outcome is unknown, and then
    the call is to be repeated.
    """
    links = Links(site, epoch)
    # Only the end matters here: `verify` and catch-up check every link.
    last = read_end(store, site, epoch)
    if isinstance(last, Closed):
        return last
    if last is not None:
        head = last.header
        links = Links(site, epoch, after=head.last, previous=last.digest, plan=head.plan)
    while True:
        closed = Closed(
            format=FORMAT,
            plan=plan,
            site=site,
            epoch=epoch,
            by=by,
            at_seq=links.seq,
            previous=links.previous,
            closed_at=clock().isoformat(),
        )
        path = paths.segment(site, epoch, links.seq + 1)
        # model: CLOSE
        before_put()
        put = store.put_if_absent(path, encode_closed(closed))
        after_put()
        found = opened(path, store.get(path), bodies=False)
        if isinstance(found, Closed):
            return found
        if put:
            raise AssertionError(f"{path} is not what was put there")
        links.add(path, found)
