"""Rows of a ledger in the mix of a bank's day, as the journal's columns, from a seed.

Of 100 rows 46 are decisions, 20 events, 28 of sends (intent, dispatch, outcome, receipt: 7 each)
and 6 transitions. Customers, journeys and slots repeat as they do there: some are busy, most not.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pyarrow as pa

from wayfare_engine.journal.segment import ROWS

START = datetime(2026, 11, 1, 6, tzinfo=UTC)
PLAN = "3f9a6c1f0b7d4f2aa6f1c5be2d0e4c7791b8a5d3e6f2047c8d19ab53ce70f412"
SLOTS = ("home-banner", "branch-screen", "app-card", "atm-screen", "call-centre")
EVENTS = ("page_viewed", "loan_calculated", "card_used", "logged_in", "form_abandoned")
RECEIPTS = ("accepted", "sent", "delivered", "delivered", "read", "clicked", "bounced")
KINDS = ("decision",) * 46 + ("event",) * 20 + ("send",) * 28 + ("transition",) * 6
SECONDS = 20 * 86_400


def blocks(
    rows: int, *, customers: int, seed: int = 1, at_once: int = 50_000
) -> Iterator[pa.Table]:
    """`rows` rows in tables of `at_once`; ids are UUIDv7 in order, a transaction has 50 rows."""
    made = _Mixture(rows, customers, random.Random(seed))  # noqa: S311 - a workload
    for start in range(0, rows, at_once):
        yield made.table(start, min(at_once, rows - start))


class _Mixture:
    def __init__(self, rows: int, customers: int, dice: random.Random) -> None:
        self._step = timedelta(seconds=SECONDS / rows)
        self._customers = customers
        self._dice = dice
        self._sends: list[tuple[str, str, str, int]] = []  # key, customer, instance, step done
        self._number = 0

    def table(self, first: int, count: int) -> pa.Table:
        columns: list[list[object]] = [[] for _ in range(7)]
        dice = self._dice
        for n in range(first, first + count):
            at = START + n * self._step
            at = at.replace(microsecond=dice.randrange(1_000_000))
            kind, key, version, customer, body = self._row(dice.choice(KINDS), at)
            milliseconds = int(at.timestamp() * 1000).to_bytes(6, "big")
            row_id = milliseconds + b"\x70" + dice.randbytes(9)
            for column, value in zip(
                columns, (row_id, kind, key, version, customer, at, body), strict=True
            ):
                column.append(value)
        ids, *others = columns
        tx = [1000 + n // 50 for n in range(first, first + count)]
        return pa.table([ids, tx, *others], schema=ROWS)

    def _row(self, kind: str, at: datetime) -> tuple[str, str | None, int | None, str, str]:
        dice = self._dice
        busy = dice.random() < 0.3
        number = dice.randrange(self._customers // 20 if busy else self._customers)
        customer = f"C{number:09d}"
        time = f"{at:%Y-%m-%dT%H:%M:%S.%f}Z"
        journey = f"journey-{min(int(dice.expovariate(0.05)), 199)}"
        if kind == "decision":
            won = dice.random() < 0.62
            winner = f'{{"journey":"{journey}","node":"offer"}}' if won else "null"
            reason = "Won" if won else "NoneEligible"
            return (
                kind,
                None,
                None,
                customer,
                f'{{"customer":"{customer}","slot":"{dice.choice(SLOTS)}","context":'
                f'{{"channel":"web","page":"/p/{dice.randrange(40)}","amount":'
                f'{dice.randrange(100, 90_000)}}},"at":"{time}","plan":"{PLAN}",'
                f'"customers_version":41,"winner":{winner},"reason":"{reason}","degraded":[],'
                f'"row":"{dice.getrandbits(64):016x}{number % 4096:032x}"}}',
            )
        if kind == "event":
            return (
                kind,
                None,
                None,
                customer,
                f'{{"customer":"{customer}","name":"{dice.choice(EVENTS)}","properties":'
                f'{{"amount":{dice.randrange(5000)},"product":"P{dice.randrange(30)}"}},'
                f'"client_id":"{dice.getrandbits(96):024x}"}}',
            )
        if kind == "transition":
            instance = f"{dice.getrandbits(40) % (self._customers * 2):032x}"
            version = dice.randrange(1, 6)
            return (
                kind,
                instance,
                version,
                customer,
                f'{{"instance":"{instance}","journey":"{journey}","node":"wait-{version}",'
                f'"visit":1,"state":"Waiting","due":"{time}"}}',
            )
        return self._send(customer, journey, time)

    def _send(
        self, customer: str, journey: str, time: str
    ) -> tuple[str, str | None, int | None, str, str]:
        dice = self._dice
        if self._sends and dice.random() < 0.75:
            place = dice.randrange(len(self._sends))
            key, customer, _, step = self._sends[place]
            if step == 3:
                self._sends[place] = self._sends[-1]
                self._sends.pop()
                return (
                    "receipt",
                    key,
                    None,
                    customer,
                    f'{{"send_key":"{key}","state":"{dice.choice(RECEIPTS)}"}}',
                )
            self._sends[place] = (key, customer, "", step + 1)
            if step == 1:
                return (
                    "dispatch",
                    key,
                    None,
                    customer,
                    f'{{"send_key":"{key}","attempt":1,"channel":"sms"}}',
                )
            return (
                "outcome",
                key,
                None,
                customer,
                f'{{"send_key":"{key}","attempt":1,"result":"Accepted",'
                f'"provider_id":"m-{dice.getrandbits(60):015x}"}}',
            )
        key = f"{dice.getrandbits(256):064x}"
        self._sends.append((key, customer, "", 1))
        return (
            "intent",
            key,
            None,
            customer,
            f'{{"send_key":"{key}","instance":"{dice.getrandbits(128):032x}","journey":'
            f'"{journey}","node":"send","visit":1,"channel":"sms","due":"{time}",'
            f'"payload":{{"template":"t-{dice.randrange(12)}"}}}}',
        )
