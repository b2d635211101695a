"""Receipts in disorder, at scale: through the endpoint of a real serving pod, over a real database.

    python -m tests.chaos.receipts --receipts 100000 --seed 1

Each send comes to three states. Of the receipts, 10 % come twice and 10 % out of order, by our key
and by the provider's in turn; of the calls, 1 % more are forged and would end sends badly. Four
callers are at it at a time. In the end the forged ones were refused and all else is counted once.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import random
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg

from tests.servers import web
from tests.servers.engine import engine_processes
from tests.servers.postgresql import PostgresqlServer, running_postgresql
from tests.servers.wait import until
from wayfare_engine.clock import new_id, now
from wayfare_engine.ledger import Kind, bodies, fence
from wayfare_engine.outbox.facts import Origin, record
from wayfare_engine.projections.ranks import RECEIPTS
from wayfare_engine.receipts.signatures import signature

CHANNEL = "bank/sms"
STATES = ("sent", "delivered", "read")
IN_A_CALL, CALLERS = 100, 4


@dataclass(frozen=True)
class Call:
    """The receipts of one call; `forged`: signed with a key that is not the channel's."""

    receipts: tuple[tuple[str, str, bool], ...]
    forged: bool = False


@dataclass(frozen=True)
class Figures:
    """What came of it. `rate` is receipts a second, forged ones left out."""

    sends: int
    receipts: int
    repeats: int
    forged: int
    again: int
    seconds: float

    @property
    def rate(self) -> float:
        """Receipts a second."""
        return self.receipts / self.seconds


def calls(sends: Sequence[str], dice: random.Random) -> list[Call]:
    """Every call, in the order in which they are made."""
    said = [(key, state, bool(n % 2)) for state in STATES for n, key in enumerate(sends)]
    for one in dice.sample(said, len(said) // 10):
        said.insert(dice.randrange(len(said) + 1), one)
    for _ in range(len(said) // 20):
        first, second = dice.sample(range(len(said)), 2)
        said[first], said[second] = said[second], said[first]
    made = [Call(tuple(said[at : at + IN_A_CALL])) for at in range(0, len(said), IN_A_CALL)]
    for _ in range(max(1, len(made) // 100)):
        some = dice.sample(sends, min(IN_A_CALL, len(sends)))
        forged = Call(tuple((key, "complained", False) for key in some), forged=True)
        made.insert(dice.randrange(len(made) + 1), forged)
    return made


def run(server: PostgresqlServer, receipts: int, seed: int) -> Figures:
    """Write the sends, make the calls, and look. Raises AssertionError."""
    dice = random.Random(seed)
    key = os.urandom(32)
    dsn = server.database()
    sends = [uuid.UUID(int=dice.getrandbits(128)).hex for _ in range(receipts // len(STATES))]
    hand_over(dsn, sends)
    with serving(dsn, key) as url:
        made = calls(sends, dice)
        began = time.monotonic()
        with ThreadPoolExecutor(CALLERS) as pool:
            lines = [made[n::CALLERS] for n in range(CALLERS)]
            told = [
                one for line in pool.map(lambda some: caller(url, key, some), lines) for one in line
            ]
        seconds = time.monotonic() - began
    look(dsn, sends)
    honest = [one for one in told if not one.forged]
    assert {one.status for one in told if one.forged} == {401}, "a forged call was let in"
    assert all(one.matched == one.receipts for one in honest), "a receipt matched no send"
    figures = Figures(
        sends=len(sends),
        receipts=sum(one.receipts for one in honest),
        repeats=sum(one.repeats for one in honest),
        forged=sum(one.receipts for one in told if one.forged),
        again=sum(one.again for one in told),
        seconds=seconds,
    )
    distinct = len(sends) * len(STATES)
    # A call that was not answered may have been written: made again, it is a repeat.
    assert figures.again or figures.repeats == figures.receipts - distinct
    return figures


@dataclass(frozen=True)
class Told:
    """What a call came to; `again` is how often it had to be made again."""

    forged: bool
    status: int
    receipts: int
    matched: int
    repeats: int
    again: int


def caller(url: str, key: bytes, made: Sequence[Call]) -> list[Told]:
    """One provider's caller: a call after the other, each until it is answered."""
    told = []
    with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
        for call in made:
            again = 0
            while (answer := post(client, bytes(32) if call.forged else key, call)) is None:
                again += 1
                assert again < 100, "the endpoint stays away"
                time.sleep(0.05)
            found = answer.json().get("receipts", []) if answer.status_code == 200 else []
            told.append(
                Told(
                    call.forged,
                    answer.status_code,
                    len(call.receipts),
                    sum(one["matched"] for one in found),
                    sum(one["repeat"] for one in found),
                    again,
                )
            )
    return told


def post(client: httpx.Client, key: bytes, call: Call) -> httpx.Response | None:
    """One call; None when it has to be made again."""
    raw = json.dumps(
        [
            {"provider_id" if by_theirs else "send_key": f"p-{name}" if by_theirs else name}
            | {"state": state}
            for name, state, by_theirs in call.receipts
        ]
    ).encode()
    name, stamp = uuid.uuid4().hex, str(int(time.time()))
    headers = {
        "webhook-id": name,
        "webhook-timestamp": stamp,
        "webhook-signature": f"v1,{signature(key, name, stamp, raw)}",
    }
    answer = client.post(f"/v1/receipts/{CHANNEL}", content=raw, headers=headers)
    assert answer.status_code in (200, 401, 503), answer.text
    return None if answer.status_code == 503 else answer


def hand_over(dsn: str, sends: Sequence[str]) -> None:
    """As a worker writes sends that went out."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        for start in range(0, len(sends), 2000):
            with connection.transaction():
                origin = Origin("east", fence.enter_present(connection), new_id, now)
                at = now()
                rows = []
                for key in sends[start : start + 2000]:
                    dispatch = bodies.Dispatch(send_key=key, attempt=1, channel=CHANNEL)
                    outcome = bodies.Outcome(
                        send_key=key, attempt=1, result="Accepted", provider_id=f"p-{key}"
                    )
                    rows.append(origin.row(Kind.DISPATCH, f"c-{key}", dispatch, at))
                    rows.append(origin.row(Kind.OUTCOME, f"c-{key}", outcome, at))
                record(connection, rows)
        connection.execute("ANALYZE wayfare.outbox")


@contextmanager
def serving(dsn: str, key: bytes) -> Iterator[str]:
    """A serving pod that takes the channel's receipts; its URL."""
    with tempfile.TemporaryDirectory(prefix="wayfare-receipts-") as folder:
        secret = f"whsec_{base64.b64encode(key).decode()}"
        Path(folder, CHANNEL.replace("/", ".")).write_text(secret)
        with engine_processes(dsn) as processes:
            pod = processes.start("serve", WAYFARE_RECEIPT_SECRETS_DIR=folder)
            until(
                lambda: web.get(f"{pod.url}/livez").status_code == 200,
                what="a serving pod",
                seconds=120,
                ignoring=(httpx.HTTPError,),
            )
            yield pod.url


def look(dsn: str, sends: Sequence[str]) -> None:
    """Each state is once in the ledger, and the projection is what the ledger says."""
    with psycopg.connect(dsn, autocommit=True) as connection:

        def ask(query: str) -> list[tuple[Any, ...]]:
            return connection.execute(query.encode()).fetchall()

        counted = ask(
            "SELECT body->>'state', count(*)::int, count(DISTINCT body->>'send_key')::int "
            "FROM wayfare.ledger WHERE kind = 'receipt' GROUP BY 1"
        )
        assert {state: (n, keys) for state, n, keys in counted} == dict.fromkeys(
            STATES, (len(sends), len(sends))
        )
        furthest: dict[str, str] = {}
        for key, state in ask(
            "SELECT body->>'send_key', body->>'state' FROM wayfare.ledger WHERE kind = 'receipt'"
        ):
            if RECEIPTS[state] > RECEIPTS.get(furthest.get(key, ""), 0):
                furthest[key] = state
        assert dict(ask("SELECT send_key, receipt FROM wayfare.outbox")) == furthest
        assert Counter(furthest.values()) == {"read": len(sends)}
        assert ask("SELECT count(*)::int FROM wayfare.opt_outs") == [(0,)]
        assert ask("SELECT count(*)::int FROM wayfare.unmatched_receipts") == [(0,)]


def main() -> int:
    """Run it and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--receipts", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with running_postgresql() as server:
        found = run(server, given.receipts, given.seed)
    print(
        f"{found.receipts:,} receipts of {found.sends:,} sends in {found.seconds:.1f} s: "
        f"{found.rate:,.0f} a second; {found.repeats:,} repeats, {found.forged:,} forged ones "
        f"refused, {found.again} calls made again; ledger and projection are exact"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
