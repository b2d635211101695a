"""Random rows of every kind, of few keys and customers, so that they meet."""

from __future__ import annotations

import random
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from wayfare_engine.ledger import Kind, LedgerRow, bodies

CUSTOMERS = ("ada", "bo", "çelik", "dan\U0001f600")
SENDS = {f"send-{i}": CUSTOMERS[i % len(CUSTOMERS)] for i in range(6)}
INSTANCES = {f"instance-{i}": CUSTOMERS[i % len(CUSTOMERS)] for i in range(4)}
CHAINS = (("east", 1), ("west", 2), ("east", 3), ("west", 1))
START = datetime(2026, 3, 1, 22, 30, tzinfo=UTC)
OUTCOMES = ("Accepted", "Rejected", "NotAccepted", "Unknown", "Expired", "Held")
RECEIPTS = (
    "accepted",
    "sent",
    "delivered",
    "read",
    "clicked",
    "bounced",
    "complained",
    "failed",
    "expired",
)
ORDINARY = tuple(
    kind
    for kind in Kind
    if kind not in (Kind.LOAD, Kind.SEGMENT_REFRESH, Kind.ERASURE, Kind.RETENTION, Kind.MERGED)
)


def draw(source: random.Random, kinds: tuple[Kind, ...] = ORDINARY) -> LedgerRow:
    """One row; ids, times and versions are as random as the rest, so ties and disorder occur."""
    kind = source.choice(kinds)
    site, epoch = source.choice(CHAINS)
    at = START + timedelta(microseconds=source.randrange(5 * 3_600_000_000))
    customer = source.choice(CUSTOMERS)
    key: str | None = None
    version: int | None = None
    send = source.choice(tuple(SENDS))
    body: Any
    match kind:
        case Kind.DECISION:
            winner = (
                {"journey": source.choice("ab"), "node": "n"} if source.random() < 0.8 else None
            )
            body = {
                "customer": customer,
                "slot": "s",
                "context": {"x": [1, {"winner": "not this"}]},
                "at": at,
                "plan": "p",
                "customers_version": 1,
                "winner": winner,
                "reason": "won",
                "degraded": [],
                "row": "00ff",
            }
        case Kind.EVENT:
            body = bodies.Event(customer=customer, name=source.choice(("buy", "zero\x00byte")))
        case Kind.INTENT:
            customer = SENDS[send]
            body = bodies.Intent(
                send_key=send,
                instance="i",
                journey="j",
                node=source.choice("nm"),
                visit=source.randrange(3),
                channel=source.choice(("sms", "mail")),
                due=at + timedelta(hours=1),
                expires=None if source.random() < 0.5 else at + timedelta(days=1),
                payload=msgspec.Raw(b'{"b": 1, "a": "\\u0000"}'),
                test=source.random() < 0.2,
                address=None if source.random() < 0.8 else "+4917000\x00",
            )
        case Kind.DISPATCH:
            customer = SENDS[send]
            body = bodies.Dispatch(
                send_key=send,
                attempt=source.randrange(1, 4),
                channel=source.choice(("sms", "mail")),
            )
        case Kind.OUTCOME:
            customer = SENDS[send]
            body = bodies.Outcome(
                send_key=send,
                attempt=source.randrange(1, 4),
                result=source.choice(OUTCOMES),  # type: ignore[arg-type]
                detail=source.choice(("", "why\x00")),
                provider_id=source.choice((None, "p1", "p2")),
                fallback=source.choice((None, "mail")),
                cause=source.choice((None, "Channel", "Rule")),
            )
        case Kind.RULING:
            customer = SENDS[send]
            body = bodies.Ruling(
                send_key=send,
                number=source.randrange(1, 4),
                action=source.choice(("Replay", "Drop", "Undo")),
                attempt=source.randrange(1, 4),
                by="x",
                reason=source.choice(("", "why\x00")),
                statement=source.choice((None, "asked")),
                expires=None if source.random() < 0.5 else at,
                outcome=source.choice((None, "NotAccepted", "Unknown")),
                ended=source.choice(("Rejected", "Unknown")),
                detail=source.choice(("", "why\x00")),
            )
        case Kind.RECEIPT:
            customer = SENDS[send]
            body = bodies.Receipt(send_key=send, state=source.choice(RECEIPTS))  # type: ignore[arg-type]
        case Kind.TASK:
            customer = SENDS[send]
            body = bodies.Task(
                send_key=send,
                channel=source.choice(("branch", "call")),
                outcomes=("reached", "not reached"),
                script=msgspec.Raw(b'{"text": "call", "zero": "\\u0000"}'),
                on_due=source.choice(("Expire", "HandBack")),
                hand_back_to=source.choice((None, "team\x00")),
                expires=None if source.random() < 0.5 else at,
            )
        case Kind.TASK_STATE:
            customer = SENDS[send]
            version = source.randrange(1, 5)
            body = bodies.TaskState(
                send_key=send,
                state=source.choice(("Open", "Taken", "Expired", "Closed")),
                assignee=source.choice(("b1", "b\x002")),
                due=None if source.random() < 0.5 else at,
                holder=source.choice((None, "eve")),
                by=source.choice(("", "eve")),
                outcome=source.choice((None, "reached")),
                note=msgspec.Raw(b'"n"'),
            )
        case Kind.TRANSITION:
            key = source.choice(tuple(INSTANCES))
            customer = INSTANCES[key]
            version = source.randrange(1, 5)
            body = bodies.Transition(
                instance=key,
                journey="j",
                node=source.choice("nm"),
                visit=source.randrange(3),
                state=source.choice(("Active", "Waiting", "Completed", "Exited")),
                due=None if source.random() < 0.5 else at,
            )
        case Kind.ATTRIBUTE:
            version = source.randrange(1, 5)
            value = source.choice(
                (b"1", b'"x"', b'{"kid":"k","nonce":"n","ciphertext":"c"}', b"null")
            )
            body = bodies.AttributeChange(
                customer=customer, name=source.choice(("age", "ort")), value=msgspec.Raw(value)
            )
        case Kind.IDENTITY:
            version = source.randrange(1, 5)
            body = bodies.Identity(
                kind="email", value=source.choice(("x@y", "z@y")), customer=customer
            )
        case Kind.LIST_MEMBER:
            version = source.randrange(1, 5)
            body = bodies.ListMember(
                list=source.choice(("vip", "test")), customer=customer, member=source.random() < 0.5
            )
        case Kind.OPT_OUT:
            version = source.randrange(1, 5)
            body = bodies.OptOut(
                customer=customer, channel=source.choice(("*", "sms")), out=source.random() < 0.5
            )
        case Kind.ASSIGNMENT:
            version = source.randrange(1, 5)
            body = bodies.Assignment(experiment="e", customer=customer, arm=source.choice("abc"))
        case Kind.APPROVAL:
            version = source.randrange(1, 5)
            body = bodies.Approval(
                subject=source.choice(("s1", "s2")),
                decision=source.choice(("Approved", "Rejected", "Withdrawn")),
                by="x",
            )
        case Kind.ID_BLOCK:
            body = bodies.IdBlock(first=source.randrange(5) * 100, size=100)
        case Kind.ERASURE:
            body = bodies.Erasure(customer=customer)
        case Kind.RETENTION:
            body = bodies.Retention(
                projection=source.choice(("contacts", "counters", "event_windows", "outbox")),
                before=START + timedelta(minutes=source.randrange(400)),
            )
        case Kind.MERGED:
            inner = draw(source, (*ORDINARY, Kind.ERASURE, Kind.RETENTION))
            body = bodies.Merged(
                origin_site=inner.site,
                origin_epoch=inner.epoch,
                origin_id=str(inner.id),
                kind=inner.kind,
                key=inner.key,
                version=inner.version,
                customer=inner.customer_id,
                at=inner.at,
                body=msgspec.Raw(inner.body.encode()),
                resolution=source.choice(("applied", "applied", "kept")),
            )
        case Kind.CHECKPOINT:
            body = bodies.Checkpoint(watermark={"east/1": 3}, tables={})
        case Kind.MERGE:
            body = bodies.Merge(
                origin_site="east", origin_epoch=1, digest="d", rows=0, resolutions={}
            )
        case _:
            raise AssertionError(kind)
    return LedgerRow(
        id=uuid.UUID(int=source.getrandbits(128)),
        site=site,
        epoch=epoch,
        kind=kind,
        key=key,
        version=version,
        customer_id=None if kind in (Kind.APPROVAL, Kind.ID_BLOCK, Kind.MERGED) else customer,
        at=at,
        body=msgspec.json.encode(body).decode(),
    )
