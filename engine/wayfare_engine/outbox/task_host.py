"""Task: a channel whose sends are work items for people. To hand one over is to make the item, once
for a send key; what people do with it is in `wayfare_engine.tasks`.

The host is this site's own database. A repeat finds the item there, and one that was made at a site
that is lost is made again under the same key, which a merge makes one item. So the dedupe class is
`Key` without an end, and both sites have one account.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec
import psycopg

from wayfare_engine.errors import SaidToPeople
from wayfare_engine.facts import Draft, Fact, versions, write
from wayfare_engine.ledger import Kind, StaleEpoch, fence
from wayfare_engine.ledger.bodies import Task, TaskState
from wayfare_engine.outbox.channel import (
    Answer,
    HandOver,
    HostUnreachable,
    Key,
    Reading,
    Result,
    Send,
)
from wayfare_engine.outbox.own_line import OwnLine
from wayfare_engine.resources.task_terms import TaskTerms, is_name
from wayfare_engine.store.postgresql import Away, patient

#: The key is in the ledger, which forgets nothing: a hundred years, in seconds.
FOR_EVER = Key(100 * 365.25 * 86400)
LONGEST_SCRIPT = 16 * 1024

_THERE = "SELECT FROM wayfare.tasks WHERE send_key = %s AND made_epoch > 0"
#: The customer's value of an attribute, as text; None when there is none.
AttributeOf = Callable[[str, str], str | None]


class TaskHost:
    """The host of a channel of tasks. `dsn` is of the site's database; `attribute_of` is asked for
    the customer's `assignee_attribute`. Safe to use from several threads.

    A `Channel` with this host has `dedupe=FOR_EVER` and `same_account=True`.
    """

    def __init__(
        self,
        dsn: str,
        *,
        channel: str,
        site: str,
        terms: TaskTerms,
        attribute_of: AttributeOf,
        boottime: Callable[[], float],
        clock: Callable[[], datetime],
        ids: Callable[[], uuid.UUID],
    ) -> None:
        self._dsn = patient(dsn, "wayfare-tasks")
        self._channel = channel
        self._site = site
        self._terms = terms
        self._attribute_of = attribute_of
        self._boottime = boottime
        self._clock = clock
        self._ids = ids
        self._line = OwnLine(patient(dsn, "wayfare-tasks"))

    def reading(self, youngest: float) -> Reading:
        """See `Host.reading`: it is our own clock."""
        now = self._boottime()
        return Reading(repr(now), now)

    def hand_over(self, what: HandOver) -> Answer:
        """Make the item, unless it is there."""
        send = what.send
        try:
            made = self._made(send)
        except (SaidToPeople, psycopg.Error, OSError) as error:
            said = str(error).partition("\n")[0] or type(error).__name__
            return Answer(Result.NOT_ACCEPTED, f"its assignee cannot be found: {said}"[:300])
        if isinstance(made, Answer):
            return made
        if self._boottime() >= float(what.reading.text) + what.remaining:
            return Answer(Result.LATE, "made too late")
        try:
            connection = self._line.connection()
        except Away as error:
            return Answer(Result.NOT_ACCEPTED, f"no connection: {type(error).__name__}")
        try:
            with connection.transaction():
                fence.enter(connection, what.epoch)
                versions.lock_keys(connection, [(Kind.TASK_STATE, (send.send_key,))])
                if connection.execute(_THERE, (send.send_key,)).rowcount == 0:
                    write(connection, made, site=self._site)
        except StaleEpoch as error:
            return Answer(Result.NOT_ACCEPTED, str(error))
        except Away as error:
            self._line.close()
            return Answer(Result.IN_DOUBT, type(error).__name__)
        return Answer(Result.ACCEPTED, provider_id=send.send_key)

    def took_effect(self, send_key: str, seconds: float) -> bool:
        """Whether the item is in this site's database."""
        try:
            with psycopg.connect(self._dsn, autocommit=True) as connection:
                return connection.execute(_THERE, (send_key,)).rowcount > 0
        except Away as error:
            raise HostUnreachable(type(error).__name__) from None

    def _made(self, send: Send) -> list[Draft] | Answer:
        terms = self._terms
        if len(send.payload.encode()) > LONGEST_SCRIPT:
            return Answer(Result.REJECTED, f"its script is longer than {LONGEST_SCRIPT} bytes")
        name = terms.assignee_attribute
        assignee = self._attribute_of(send.customer, name) if name is not None else None
        if assignee is None or not is_name(assignee):
            assignee = terms.assignee
        if assignee is None:
            return Answer(Result.REJECTED, f"the customer has no {name}, and it is for nobody else")
        due = send.due + timedelta(seconds=terms.due_within)
        task = Task(
            send_key=send.send_key,
            channel=self._channel,
            outcomes=terms.outcomes,
            script=msgspec.Raw(send.payload.encode()),
            on_due=terms.on_due,
            hand_back_to=terms.hand_back_to,
            expires=send.expires,
        )
        state = TaskState(
            send_key=send.send_key,
            state="Open",
            assignee=assignee,
            due=due if send.expires is None else min(due, send.expires),
        )
        at = self._clock()
        return [Draft(self._ids(), Fact(body, at, send.customer)) for body in (task, state)]
