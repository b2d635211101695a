"""Every projection, declared once: its table, its key, and how its columns are settled.

A projection is a set of *parts*. A part is some columns that are settled together, by one of three
rules, each of which gives the same result in whatever order rows arrive:

- `SUM`: its one column is the sum of what rows add;
- `LOWEST`, `HIGHEST`: of all rows that say something, the one whose first `order` columns are
  lowest or highest gives all columns of the part. The order is total, because it ends in the id of
  the ledger's row (or its columns are all of the part).

SQL, folding in memory, digests and the docs all follow from these declarations.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from wayfare_engine.ledger.row import Kind

Type = Literal["text", "json", "uuid", "bigint", "int", "boolean", "timestamptz", "date"]


class Rule(StrEnum):
    """How a part is settled."""

    SUM = "sum"
    LOWEST = "lowest"
    HIGHEST = "highest"


@dataclass(frozen=True)
class Column:
    """A column; `absent` is what stands there before its part has come."""

    name: str
    type: Type
    absent: int | None = None


@dataclass(frozen=True)
class Part:
    """Columns that are settled together; the first `order` of them decide."""

    rule: Rule
    columns: tuple[Column, ...]
    order: int = 1


@dataclass(frozen=True)
class Projection:
    """One table. `customer` is the column by which erasure finds a row (None: of no customer).

    `retained_by` is the column that a retention cutoff compares; only where it is settled by
    HIGHEST alone, or belongs to the key, is the result independent of the order of arrival.
    """

    name: str
    key: tuple[Column, ...]
    parts: tuple[Part, ...]
    kinds: tuple[Kind, ...]
    in_words: str
    customer: str | None = "customer_id"
    retained_by: str | None = None

    @property
    def table(self) -> str:
        """Its name in SQL."""
        return f"wayfare.{self.name}"

    @property
    def columns(self) -> tuple[Column, ...]:
        """Key columns first, then those of the parts, in order."""
        return self.key + tuple(column for part in self.parts for column in part.columns)

    def place(self, name: str) -> int:
        """The position of a column among `columns`."""
        return next(i for i, column in enumerate(self.columns) if column.name == name)


def text(name: str) -> Column:
    """A text column, ordered by its bytes."""
    return Column(name, "text")


VERSIONED = (Column("version", "bigint"), Column("epoch", "bigint"), Column("row_id", "uuid"))


def newest(*columns: Column) -> tuple[Part, ...]:
    """The one part of a keyed state: the highest version wins; between sites, the later epoch."""
    return (Part(Rule.HIGHEST, (*VERSIONED, *columns), order=3),)


PROJECTIONS: tuple[Projection, ...] = (
    Projection(
        "profile_changes",
        key=(text("customer_id"), text("name")),
        parts=newest(Column("value", "json")),
        kinds=(Kind.ATTRIBUTE,),
        in_words="Single changes of attributes: the highest version of (customer, name).",
    ),
    Projection(
        "identities",
        key=(text("kind"), text("value"), text("customer_id")),
        parts=newest(),
        kinds=(Kind.IDENTITY,),
        in_words="For each identifier and customer the highest version that joined them; the "
        "identifier leads to the customer whose version is highest. The customer is part of the "
        "key, so that erasing one leaves what is known of the other.",
    ),
    Projection(
        "event_windows",
        key=(text("customer_id"), text("name"), Column("hour", "timestamptz")),
        parts=(
            Part(Rule.SUM, (Column("events", "bigint"),)),
            Part(Rule.LOWEST, (Column("first_at", "timestamptz"),)),
            Part(Rule.HIGHEST, (Column("last_at", "timestamptz"),)),
        ),
        kinds=(Kind.EVENT,),
        in_words="How many events of a name a customer had in an hour (UTC), and the first and "
        "last of their times.",
        retained_by="hour",
    ),
    Projection(
        "list_members",
        key=(text("list"), text("customer_id")),
        parts=newest(Column("member", "boolean")),
        kinds=(Kind.LIST_MEMBER,),
        in_words="Whether a customer is on a list: the highest version.",
    ),
    Projection(
        "opt_outs",
        key=(text("customer_id"), text("channel")),
        parts=newest(Column("out", "boolean")),
        kinds=(Kind.OPT_OUT,),
        in_words="What a customer wants no more, a channel (`*`: nothing at all): the highest "
        "version.",
    ),
    Projection(
        "contacts",
        key=(text("send_key"),),
        parts=(
            Part(
                Rule.HIGHEST,
                (
                    Column("at", "timestamptz"),
                    Column("epoch", "bigint"),
                    Column("row_id", "uuid"),
                    text("site"),
                    text("customer_id"),
                    text("channel"),
                ),
                order=3,
            ),
        ),
        kinds=(Kind.DISPATCH,),
        in_words="One row a send that was dispatched, with its latest dispatch; the authority for "
        "caps.",
        retained_by="at",
    ),
    Projection(
        "counters",
        key=(text("customer_id"), text("journey"), Column("day", "date")),
        parts=(Part(Rule.SUM, (Column("shown", "bigint"),)),),
        kinds=(Kind.DECISION,),
        in_words="How often a journey won a slot for a customer on a day (UTC).",
        retained_by="day",
    ),
    Projection(
        "journey_instances",
        key=(text("instance"),),
        parts=newest(
            text("customer_id"),
            text("journey"),
            text("node"),
            Column("visit", "int"),
            text("state"),
            text("entry_key"),
            Column("due", "timestamptz"),
        ),
        kinds=(Kind.TRANSITION,),
        in_words="Where a customer's instance of a journey is: the highest version.",
    ),
    Projection(
        "outbox",
        key=(text("send_key"),),
        parts=(
            # Always the same for a send: the key is a hash of the customer, among others.
            Part(Rule.HIGHEST, (text("customer_id"),)),
            Part(
                Rule.HIGHEST,
                (
                    Column("intent_epoch", "bigint", absent=0),
                    Column("intent_id", "uuid"),
                    Column("planned_at", "timestamptz"),
                    text("instance"),
                    text("journey"),
                    text("node"),
                    Column("visit", "int"),
                    text("channel"),
                    Column("due", "timestamptz"),
                    Column("expires", "timestamptz"),
                    text("guard"),
                    Column("payload", "json"),
                    Column("test", "boolean"),
                    text("address"),
                ),
                order=2,
            ),
            Part(
                Rule.HIGHEST,
                (
                    Column("attempt", "int", absent=0),
                    Column("dispatch_epoch", "bigint"),
                    Column("dispatch_id", "uuid"),
                    Column("dispatched_at", "timestamptz"),
                    text("dispatch_site"),
                    text("dispatch_channel"),
                    text("dispatch_guard"),
                ),
                order=3,
            ),
            Part(
                Rule.HIGHEST,
                (
                    Column("outcome_rank", "bigint", absent=0),
                    Column("outcome_epoch", "bigint"),
                    Column("outcome_id", "uuid"),
                    text("outcome"),
                    Column("outcome_attempt", "int", absent=0),
                    Column("outcome_at", "timestamptz"),
                    text("detail"),
                    text("provider_id"),
                    text("fallback"),
                    text("cause"),
                ),
                order=3,
            ),
            # The state follows from its rank, so rank and time settle everything.
            Part(
                Rule.HIGHEST,
                (
                    Column("receipt_rank", "int", absent=0),
                    Column("receipt_at", "timestamptz"),
                    text("receipt"),
                ),
                order=2,
            ),
            # From then on a provider may have seen the key.
            Part(Rule.LOWEST, (Column("first_dispatched_at", "timestamptz"),)),
        ),
        kinds=(Kind.INTENT, Kind.DISPATCH, Kind.OUTCOME, Kind.RECEIPT, Kind.RULING),
        in_words="A send: its intent (of the highest epoch), its dispatch (of the highest "
        "attempt) and when it was first dispatched, its outcome and its receipt (of the highest "
        "rank).",
    ),
    Projection(
        "rulings",
        key=(text("send_key"),),
        parts=(
            Part(
                Rule.HIGHEST,
                (
                    Column("epoch", "bigint"),
                    Column("number", "int"),
                    Column("row_id", "uuid"),
                    text("customer_id"),
                    text("action"),
                    Column("attempt", "int"),
                    Column("at", "timestamptz"),
                    text("by"),
                    text("reason"),
                    text("statement"),
                    Column("expires", "timestamptz"),
                    text("outcome"),
                    text("ended"),
                    text("detail"),
                    text("cause"),
                ),
                order=3,
            ),
        ),
        kinds=(Kind.RULING,),
        in_words="What a person said last of a send that ended without effect, or is unknown: of "
        "the latest epoch, the highest number.",
    ),
    Projection(
        "tasks",
        key=(text("send_key"),),
        parts=(
            Part(Rule.HIGHEST, (text("customer_id"),)),
            Part(
                Rule.HIGHEST,
                (
                    Column("made_epoch", "bigint", absent=0),
                    Column("made_id", "uuid"),
                    Column("made_at", "timestamptz"),
                    text("channel"),
                    Column("script", "json"),
                    Column("outcomes", "json"),
                    text("on_due"),
                    text("hand_back_to"),
                    Column("expires", "timestamptz"),
                ),
                order=2,
            ),
            Part(
                Rule.HIGHEST,
                (
                    Column("rank", "int", absent=0),
                    Column("version", "bigint", absent=0),
                    Column("epoch", "bigint"),
                    Column("row_id", "uuid"),
                    Column("changed_at", "timestamptz"),
                    text("state"),
                    text("assignee"),
                    Column("due", "timestamptz"),
                    text("holder"),
                    text("by"),
                    text("outcome"),
                    Column("note", "json"),
                ),
                order=4,
            ),
        ),
        kinds=(Kind.TASK, Kind.TASK_STATE),
        in_words="A work item for a person: what it is (of the highest epoch), and where it "
        "stands: `Closed` above all else, then the highest version.",
    ),
    Projection(
        "assignments",
        key=(text("experiment"), text("customer_id")),
        parts=newest(text("arm")),
        kinds=(Kind.ASSIGNMENT,),
        in_words="The arm of an experiment that a customer has: the highest version.",
    ),
    Projection(
        "approvals",
        key=(text("subject"),),
        parts=newest(text("decision"), text("by"), text("comment")),
        kinds=(Kind.APPROVAL,),
        in_words="The newest word on a subject: the highest version.",
        customer=None,
    ),
    Projection(
        "merged_rows",
        key=(Column("origin_id", "uuid"),),
        parts=(
            Part(
                Rule.LOWEST,
                (
                    Column("epoch", "bigint"),
                    Column("row_id", "uuid"),
                    text("origin_site"),
                    Column("origin_epoch", "bigint"),
                    text("kind"),
                    text("resolution"),
                    text("rule"),
                ),
                order=2,
            ),
        ),
        kinds=(Kind.MERGED,),
        in_words="Each stranded row that a merge put back, once, what became of it, and by which "
        "rule.",
        customer=None,
    ),
    Projection(
        "merges",
        key=(text("tail"),),
        parts=(
            Part(
                Rule.LOWEST,
                (
                    Column("epoch", "bigint"),
                    Column("row_id", "uuid"),
                    text("origin_site"),
                    Column("origin_epoch", "bigint"),
                    Column("rows", "bigint"),
                ),
                order=2,
            ),
        ),
        kinds=(Kind.MERGE,),
        in_words="Each stranded tail that was merged whole.",
        customer=None,
    ),
    Projection(
        "erased",
        key=(text("customer_id"),),
        parts=(),
        kinds=(Kind.ERASURE,),
        in_words="Customers that were erased: no other projection has a row of theirs, ever again.",
        customer=None,
    ),
    Projection(
        "retention_cutoffs",
        key=(text("projection"),),
        parts=(Part(Rule.HIGHEST, (Column("before", "timestamptz"),)),),
        kinds=(Kind.RETENTION,),
        in_words="For each projection that has a retention, the latest cutoff.",
        customer=None,
    ),
)

BY_NAME: dict[str, Projection] = {projection.name: projection for projection in PROJECTIONS}
