"""What a channel declares of itself, and what a host of one can be asked.

The dedupe class decides what happens to a send whose outcome is not known; see `in_doubt`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Final, Protocol, runtime_checkable

from wayfare_engine.content import Prepared
from wayfare_engine.ledger.bodies import Guard

#: What the customer's id of a test begins with that is no customer's.
NOBODY: Final = "~"


@dataclass(frozen=True)
class Key:
    """The provider takes an idempotency key and remembers it for `window` seconds."""

    window: float


@dataclass(frozen=True)
class Query:
    """The provider can be asked whether a key took effect."""


@dataclass(frozen=True)
class NoDedupe:
    """The provider can neither tell a repeat nor be asked."""


Dedupe = Key | Query | NoDedupe


@dataclass(frozen=True)
class Retry:
    """After a definite non-acceptance: pauses that grow, until there were too many tries or too
    much time has passed.

    Times in seconds; `give_up_after` counts from when the send was due. `attempts` is the number
    of tries of a channel, the first one included (None: time alone decides). `jitter` is the part
    of a pause that is random: 1.0 is full jitter, 0.0 none. `budget`: retries that fail are at
    most this share of the channel's first tries, see `retries`; None: no budget.
    """

    pause: float = 1.0
    longest_pause: float = 300.0
    give_up_after: float = 86400.0
    attempts: int | None = None
    multiplier: float = 2.0
    jitter: float = 1.0
    budget: float | None = 0.2


@dataclass(frozen=True)
class Rate:
    """At most `count` sends in any `per` seconds, of all workers of the site together."""

    count: int
    per: float


@dataclass(frozen=True)
class Send:
    """A send whose turn is being taken. `payload` is JSON text; `attempt` counts dispatches.

    `channel` is the one it goes through now, and `planned` the one it was planned for.
    `partition` is its customer's, see `partitions`. `test` marks what no customer asked for, and
    `address` is where a test goes; of other sends it is known once they are prepared.
    `in_doubt`: an earlier attempt may have taken effect, so that only the provider's word on the
    key can end it; `known_until` is the time up to which the provider surely remembers the key
    then. `tries`: how often its channel definitely did not take it so far. `replayed_at`: a person
    gave it a new turn then, after `replayed_after` attempts: what time it took before counts no
    more.
    """

    send_key: str
    customer: str
    channel: str
    payload: str
    attempt: int
    due: datetime
    expires: datetime | None = None
    partition: int = 0
    planned: str | None = None
    test: bool = False
    address: str | None = None
    in_doubt: bool = False
    known_until: datetime | None = None
    tries: int = 0
    replayed_at: datetime | None = None
    replayed_after: int = 0

    @property
    def moved(self) -> bool:
        """Whether it goes through another channel than it was planned for."""
        return self.planned is not None and self.planned != self.channel

    @property
    def of_nobody(self) -> bool:
        """Whether it is a test that is no customer's: it goes to who asked for it."""
        return self.test and self.customer.startswith(NOBODY)


class Result(Enum):
    """What a hand-over came to, as far as it is known."""

    ACCEPTED = "Accepted"
    REJECTED = "Rejected"
    NOT_ACCEPTED = "NotAccepted"
    LATE = "Late"
    #: It waits for somebody to fetch it: it has no outcome, and is in nobody's hands yet.
    OFFERED = "Offered"
    IN_DOUBT = "InDoubt"
    #: It did not leave, and that is certain: there was something on our side.
    HELD = "Held"


@dataclass(frozen=True)
class Answer:
    """A host's answer, or what its absence means."""

    result: Result
    detail: str = ""
    provider_id: str | None = None


@dataclass(frozen=True)
class Reading:
    """A host's own clock, as it gave it. `received_at` is our CLOCK_BOOTTIME, in seconds."""

    text: str
    received_at: float


@dataclass(frozen=True)
class HandOver:
    """What travels. The host starts no later than `remaining` seconds after `reading`, by its own
    clock, and nothing takes effect after that."""

    send: Send
    site: str
    epoch: int
    reading: Reading
    remaining: float


class HostUnreachable(Exception):
    """The host could not be asked. Nothing was handed over by this call."""


class Host(Protocol):
    """A channel's host. Used from several threads."""

    def reading(self, youngest: float) -> Reading:
        """A reading of its clock, received at `youngest` or later (CLOCK_BOOTTIME seconds).

        Raises HostUnreachable.
        """

    def hand_over(self, what: HandOver) -> Answer:
        """Hand over once; never raises for what the network does: that is IN_DOUBT."""

    def took_effect(self, send_key: str, seconds: float) -> bool:
        """For `Query`: whether the key took effect. Raises HostUnreachable."""


@runtime_checkable
class BatchHost(Protocol):
    """A host that may take several sends in one call."""

    def batch_size(self) -> int:
        """How many it takes at once, as far as it is known; 1: no batches. Never raises."""

    def hand_over_batch(self, what: Sequence[HandOver]) -> Sequence[Answer]:
        """`hand_over` of several that have one reading, in one call: an answer each, in order."""


#: Of a channel of class None: times its concurrency. The way to the store takes a quarter of a
#: second, so this is some hundred hand-overs a second for each worker.
_AHEAD = 16
#: Of a channel that is fetched: what is offered has been asked about already, and waits.
_OFFERED_AHEAD = 1000


@dataclass(frozen=True)
class Channel:
    """A way out, as the outbox sees it.

    `same_account`: both sites use one account at the provider, so that a key or a question from
    either means the same there. `concurrency` is the number of calls of the host at a time (one
    call is one send, or one batch where the host takes them), `at_once` the number of sends in all
    of them together (None: no bound of its own), `queue` how many sends may wait for a place: more
    are not dispatched. `rate` spaces them out. `timeout` is the longest time of one call
    in seconds, where it is less than H.
    `ahead` is how many sends may be dispatched and without an outcome: a worker that dies leaves so
    many in doubt, which for a provider that can neither tell a repeat nor be asked are `Unknown`
    for ever. `fallback` is the channel that goes on with what this one definitely did not take.
    `prepare` makes the message and finds the address right before the hand-over, see `preparing`
    (None: the content goes as it is, without an address).
    `fetched`: its host calls nobody, sends wait to be fetched (see `offers`).
    """

    name: str
    host: Host
    dedupe: Dedupe
    guard: Guard = "Journaled"
    same_account: bool = True
    concurrency: int = 8
    at_once: int | None = None
    ahead: int | None = None
    retry: Retry = field(default_factory=Retry)
    fallback: str | None = None
    queue: int = 10_000
    rate: Rate | None = None
    timeout: float | None = None
    prepare: Callable[[Send], Prepared] | None = None
    fetched: bool = False

    @property
    def most_ahead(self) -> int | None:
        """`ahead`, or what is reasonable for the dedupe class; None: no limit of its own."""
        if self.ahead is None and self.fetched:
            return _OFFERED_AHEAD
        if self.ahead is None and isinstance(self.dedupe, NoDedupe):
            return self.concurrency * _AHEAD
        return self.ahead
