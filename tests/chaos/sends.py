"""Many sends through two workers that are killed, to a receiver that fails: what took effect?

python -m tests.chaos.sends --sends 100000 --kills 20 --seed 1

The receiver refuses 10 % for certain, answers 10 % with a plain 500, and takes 5 % without ever
answering. Workers are killed with SIGKILL and started again. Two variants: a receiver that takes
each key once, at which nothing may be missing, and one that cannot tell a repeat, at which what is
missing must be listed as unknown. Every dispatch goes through the object store first.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Literal, cast

import msgspec
import psycopg

from tests.misbehaving.records import Line
from tests.misbehaving.stage import Bad, Stage, planned, stage
from tests.servers.faultstore import FaultStore, running_faults
from tests.servers.objects import running_objects
from wayfare_engine.clock import new_id
from wayfare_engine.journal.chain import chains, read
from wayfare_engine.journal.segment import Closed
from wayfare_engine.objectstore import open_store, paths
from wayfare_engine.outbox import Origin, PlannedSend, plan_send
from wayfare_engine.outbox.in_doubt import unknown_sends

Dedupe = Literal["Key", "None"]
_FAILURES = "random 10 10 5"
#: Of a customer: so many sends, one after the other.
_EACH = 4
_BATCH = 1000
_BREAKER = {"window": "10s", "minimumCalls": 100, "openFor": "1s", "longestOpen": "2s"}
_QUIET_SECONDS = 60.0


@dataclass
class Happened:
    """What a run left: the receiver's lines, the outcomes, where each dispatch stands in the store
    and when that object was there (CLOCK_MONOTONIC), and the sends that are listed as unknown."""

    sends: list[PlannedSend]
    lines: list[Line]
    outcomes: dict[str, str | None]
    journaled: dict[tuple[str, int], float]
    unknown: set[str]
    kills: int
    seconds: float

    def effects(self) -> Counter[str]:
        """How often each key took effect."""
        return Counter(line.send_key for line in self.lines if line.what == "effect")


def run(
    dedupe: Dedupe,
    *,
    sends: int,
    kills: int,
    seed: int,
    claims: Mapping[str, Any] | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Happened:
    """Play it to the end. `claims`: what the Channel says of the receiver beside the truth."""
    dice = random.Random(seed)
    with _engine(dedupe, seed, claims or {}) as (made, host, faults, url):
        host.folder.switch(_FAILURES)
        began = time.monotonic()
        given = planned(host.channel, sends, f"seed-{seed}", each=_EACH)
        _plan(made, given)
        say(f"{sends} planned in {time.monotonic() - began:.1f} s")
        killed = 0
        for number in range(kills):
            share = (number + dice.random()) / kills
            _wait(made, int(sends * share * 0.95))
            victim = made.workers.pop(dice.randrange(len(made.workers)))
            victim.kill()
            made.workers.append(made.processes.start("worker"))
            killed += 1
            ended = _ended(made)
            rate = ended / (time.monotonic() - began)
            say(f"{killed} killed, {ended} ended, {rate:.0f} a second")
        _wait(made, sends)
        seconds = time.monotonic() - began
        say(f"all ended: {sends / seconds:.0f} a second over {seconds:.0f} s")
        with psycopg.connect(made.dsn) as connection:
            listed = {one.send_key for one in unknown_sends(connection, limit=sends)}
        return Happened(
            given,
            host.folder.lines(),
            made.outcomes(),
            _journaled(faults, url),
            listed,
            killed,
            seconds,
        )


@contextmanager
def _engine(
    dedupe: Dedupe, seed: int, claims: Mapping[str, Any]
) -> Iterator[tuple[Stage, Bad, FaultStore, str]]:
    with running_objects() as objects, running_faults(objects) as faults:
        url = objects.url()
        settings = {
            "WAYFARE_OBJECT_STORE_URL": url,
            "WAYFARE_LEASE_TAKE_FIRST": "true",
            "WAYFARE_LEASE_TTL_SECONDS": "3",
            "WAYFARE_SEAL_SECONDS": "0.1",
            **faults.options("east"),
        }
        with stage(environment=settings) as made:
            host = made.host("receiver", "raw", dedupe, seed=seed)
            made.start(workers=2, serve=False)
            made.publish(made.way(host, breaker=_BREAKER, limits={"concurrency": 48}, **claims))
            yield made, host, faults, url


def _plan(made: Stage, sends: Sequence[PlannedSend]) -> None:
    origin = Origin("east", 1, new_id, lambda: datetime.now(UTC))
    with psycopg.connect(made.dsn, autocommit=True) as connection:
        for start in range(0, len(sends), _BATCH):
            plan_send(connection, sends[start : start + _BATCH], origin)


def _wait(made: Stage, count: int) -> None:
    """Until so many have ended; as long as it goes on."""
    seen = -1
    while (ended := _ended(made)) < count:
        if ended > seen:
            seen, since = ended, time.monotonic()
        stuck = time.monotonic() - since
        assert stuck < _QUIET_SECONDS, f"{ended} of {count} ended, none for {stuck:.0f} s"
        time.sleep(0.2)


def _ended(made: Stage) -> int:
    with psycopg.connect(made.dsn) as connection:
        found = connection.execute(
            "SELECT count(*) FROM wayfare.outbox WHERE attempt <= outcome_attempt "
            "AND outcome IN ('Accepted', 'Rejected', 'Unknown', 'Expired')"
        ).fetchone()
    return cast(tuple[int], found)[0]


def _journaled(faults: FaultStore, url: str) -> dict[tuple[str, int], float]:
    bucket_and_prefix = url.removeprefix("s3:/")
    store = open_store(url, options=faults.options("east"))
    put_at = faults.put_at()
    found: dict[tuple[str, int], float] = {}
    for site, epoch in chains(store):
        for part in read(store, site, epoch):
            if isinstance(part, Closed):
                break
            assert part.rows is not None
            path = f"{bucket_and_prefix}/{paths.segment(site, epoch, part.header.first)}"
            kinds, bodies = part.rows["kind"].to_pylist(), part.rows["body"].to_pylist()
            for kind, body in zip(kinds, bodies, strict=True):
                if kind == "dispatch":
                    said: dict[str, Any] = msgspec.json.decode(body)
                    found[said["send_key"], said["attempt"]] = put_at[path]
    return found


def no_key_took_effect_twice(happened: Happened) -> None:
    """Of either receiver."""
    twice = {key: count for key, count in happened.effects().items() if count > 1}
    assert not twice, f"took effect more than once: {twice}"


def none_is_missing(happened: Happened) -> None:
    """Of a receiver that takes each key once."""
    missing = {send.key for send in happened.sends} - set(happened.effects())
    assert not missing, f"{len(missing)} never took effect: {sorted(missing)[:5]}"
    ends = Counter(happened.outcomes.values())
    assert set(ends) == {"Accepted"}, ends


def what_is_missing_is_listed(happened: Happened) -> None:
    """Of a receiver that cannot tell a repeat: nothing else is missing, nothing else is listed."""
    effects = set(happened.effects())
    missing = {send.key for send in happened.sends} - effects
    silent = missing - happened.unknown
    assert not silent, f"missing, and not listed: {sorted(silent)[:5]}"
    ends = Counter(happened.outcomes.values())
    assert set(ends) <= {"Accepted", "Unknown"}, ends
    assert ends["Unknown"] == len(happened.unknown)
    accepted = {key for key, outcome in happened.outcomes.items() if outcome == "Accepted"}
    assert accepted <= effects, f"accepted, without an effect: {sorted(accepted - effects)[:5]}"


def what_is_in_doubt_is_not_repeated(happened: Happened) -> None:
    """Of a receiver that cannot tell a repeat: handed over again only after a definite no."""
    open_: set[str] = set()
    for line in happened.lines:
        if line.what == "begun":
            assert line.send_key not in open_, f"handed over again while in doubt: {line}"
            open_.add(line.send_key)
        elif line.what == "refused":
            open_.discard(line.send_key)


def every_hand_over_was_in_the_store(happened: Happened) -> None:
    """The object with its dispatch was there when the hand-over began."""
    for line in happened.lines:
        if line.what == "begun":
            there = happened.journaled.get((line.send_key, line.attempt))
            assert there is not None, f"its dispatch is in no segment: {line}"
            assert there <= line.monotonic, f"begun {there - line.monotonic:.3f} s early: {line}"


def a_customers_sends_have_their_order(happened: Happened) -> None:
    """Nothing begins before what is due earlier has ended for good, tries and repeats included."""
    due = {send.key: send.due for send in happened.sends}
    last: dict[str, Line] = {}
    for line in happened.lines:
        if line.what == "begun":
            before = last.get(line.customer)
            assert before is None or due[before.send_key] <= due[line.send_key], (
                f"before its turn: {before}, and then {line}"
            )
            last[line.customer] = line


def and_it_was_hard(happened: Happened) -> None:
    """Faults were drawn, and met."""
    begun = sum(line.what == "begun" for line in happened.lines)
    assert any(line.what == "refused" for line in happened.lines)
    assert begun > len(set(happened.effects())), "every hand-over took effect at once"


_ALWAYS = (
    no_key_took_effect_twice,
    every_hand_over_was_in_the_store,
    a_customers_sends_have_their_order,
    and_it_was_hard,
)
INVARIANTS: dict[Dedupe, tuple[Callable[[Happened], None], ...]] = {
    "Key": (*_ALWAYS, none_is_missing),
    "None": (*_ALWAYS, what_is_missing_is_listed, what_is_in_doubt_is_not_repeated),
}


def _say(dedupe: Dedupe, text: str) -> None:
    print(f"{dedupe}: {text}", flush=True)


def main() -> int:
    """Command line; 1 when something is not as promised."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sends", type=int, default=100_000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--receiver", choices=("Key", "None"), help="one variant; both by default")
    given = parser.parse_args()
    print(f"seed {given.seed}: {given.sends} sends, {given.kills} kills", flush=True)
    for dedupe in ("Key", "None") if given.receiver is None else (given.receiver,):
        happened = run(
            dedupe,
            sends=given.sends,
            kills=given.kills,
            seed=given.seed,
            say=partial(_say, dedupe),
        )
        for invariant in INVARIANTS[dedupe]:
            try:
                invariant(happened)
            except AssertionError as error:
                print(f"seed {given.seed}: {dedupe}: {invariant.__name__}: {error}", flush=True)
                return 1
        what = Counter(line.what for line in happened.lines)
        print(
            f"{dedupe}: as promised: {dict(what)}, {len(happened.unknown)} unknown, "
            f"{len(happened.sends) / happened.seconds:.0f} sends a second",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
