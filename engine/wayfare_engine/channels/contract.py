"""What a worker and a channel host say to each other, over HTTP, version 1.

A host answers to these, and every answer carries its own clock in the header `Wayfare-Clock`:

    GET  /v1/describe            Description
    GET  /v1/clock               {}; for its header
    POST /v1/send                HandOver -> Answer, with a status of STATUS
    POST /v1/send-batch          [HandOver] -> [Answer | null], 200, in their order; null where the
                                 send is in doubt
    GET  /v1/query/{send_key}    {"accepted": bool}, of hosts whose dedupe is Query
    POST /v1/receipt             Callback -> [Receipt]
    POST /v1/preview             HandOver -> Rendered; nothing leaves
    POST /v1/check               {} -> Check; whether the provider is there and knows us

A body of more than MOST_BYTES is refused with 413, and what is no JSON of the right shape with 400;
nothing starts then. A plugin's failure is a plain 500, a time that is over a plain 504.

Any program that speaks this is a channel; it need not be Python. `wayfare channel conform URL`
tries it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final, Literal

import msgspec

VERSION: Final = "v1"
CLOCK_HEADER: Final = "Wayfare-Clock"

#: The longest body that a host must take.
MOST_BYTES: Final = 1024 * 1024
MOST_IN_KEY: Final = 256

Result = Literal["Accepted", "Rejected", "NotAccepted", "Late"]
#: The status of an answer to one send. Anything else, a plain 500 too, leaves the send in doubt.
STATUS: Final[dict[str, int]] = {
    "Accepted": 200,
    "Rejected": 422,
    "NotAccepted": 503,
    "Late": 408,
}
#: Of an answer to a send without a result: the body could not be read, so nothing started, and the
#: same will not be read later either. Nothing is in doubt.
UNREADABLE: Final = (400, 413)
State = Literal[
    "accepted",
    "sent",
    "delivered",
    "read",
    "clicked",
    "bounced",
    "complained",
    "failed",
    "expired",
]
ShortText = Annotated[str, msgspec.Meta(max_length=1024)]
SendKey = Annotated[str, msgspec.Meta(min_length=1, max_length=MOST_IN_KEY)]


class Model(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A JSON object. Fields that are not known are ignored: newer workers may say more."""


class HandOver(Model, frozen=True):
    """One send. The host starts it no later than `remaining` seconds after `clock`, which is what
    its own clock header said, and nothing takes effect later than that.

    `send_key` is the idempotency key; `payload` is the journey's content; `test` marks a send that
    no customer asked for.
    """

    send_key: SendKey
    customer: ShortText
    channel: ShortText
    site: ShortText
    epoch: int
    attempt: int
    remaining: float
    clock: ShortText
    payload: dict[str, Any]
    address: ShortText | None = None
    test: bool = False


class Answer(Model, frozen=True):
    """What became of a send. `Rejected` is for good, `NotAccepted` may be tried again, `Late` was
    not started. `provider_id` is the provider's own name for it, which receipts may refer to."""

    result: Result
    detail: ShortText = ""
    provider_id: ShortText | None = None


class Key(Model, frozen=True, tag="Key", tag_field="by"):
    """The provider takes an idempotency key and remembers it for `window` seconds."""

    window: Annotated[float, msgspec.Meta(gt=0)]


class Query(Model, frozen=True, tag="Query", tag_field="by"):
    """The provider can be asked whether a key took effect."""


class NoDedupe(Model, frozen=True, tag="None", tag_field="by"):
    """The provider can neither tell a repeat nor be asked."""


class Description(Model, frozen=True):
    """What a host is. `batch_size` 1: it takes no batches. `permanent_errors` are the details with
    which its provider's definite refusals begin, for people to read."""

    contract: str
    plugin: ShortText
    version: ShortText
    dedupe: Key | Query | NoDedupe
    batch_size: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 1
    receipt_states: tuple[State, ...] = ()
    permanent_errors: tuple[ShortText, ...] = ()


class Callback(Model, frozen=True):
    """What a provider called us with: the raw request."""

    headers: dict[str, str]
    query: dict[str, str] = {}
    body: str = ""


class Receipt(Model, frozen=True):
    """What a provider says of an earlier send, by its key or by the provider's own name for it.
    `opt_out`: the customer wants nothing more of this channel."""

    state: State
    at: datetime
    send_key: SendKey | None = None
    provider_id: ShortText | None = None
    detail: ShortText = ""
    opt_out: bool = False


class Rendered(Model, frozen=True):
    """What a customer would see: a part's name to its text."""

    parts: dict[str, str]


class Check(Model, frozen=True):
    """Whether the provider is there. `problem` says what is wrong and what to do."""

    ok: bool
    problem: ShortText = ""
