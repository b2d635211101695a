"""What a Channel of tasks declares of them: its `plugin.config`. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from wayfare_engine.errors import SaidToPeople

from .fields import parse_duration

MOST_OUTCOMES, LONGEST_NAME = 32, 128


@dataclass(eq=False)
class BadTaskConfig(SaidToPeople):
    """A channel's configuration of its tasks cannot be used."""

    channel: str
    path: str
    problem: str

    def __str__(self) -> str:
        return f"channel {self.channel}: {self.path} {self.problem}"


@dataclass(frozen=True)
class TaskTerms:
    """What a channel declares of its tasks.

    `assignee_attribute` names the customer's attribute with who is to do it, such as `branch` or
    `adviser`; `assignee` has the tasks of customers without one. `due_within` is the time from when
    the send was due, in seconds. `on_due`: a task that nobody has closed by then is `Expired`, or
    is handed back: open again, for `hand_back_to` (else for whom it was for), until the send
    expires.
    """

    outcomes: tuple[str, ...]
    due_within: float
    assignee_attribute: str | None = None
    assignee: str | None = None
    on_due: Literal["Expire", "HandBack"] = "Expire"
    hand_back_to: str | None = None

    @classmethod
    def from_config(cls, channel: str, config: Mapping[str, Any]) -> TaskTerms:
        """From a Channel's `plugin.config`: `outcomes`, `dueWithin`, `assigneeAttribute`,
        `assignee`, `onDue`, `handBackTo`. Raises BadTaskConfig."""
        try:
            said = msgspec.convert(dict(config), _Config)
        except msgspec.ValidationError as error:
            message, _, path = str(error).partition(" - at `$.")
            where = f"config.{path.rstrip('`')}" if path else "config"
            raise BadTaskConfig(channel, where, message) from None
        try:
            within = parse_duration(said.dueWithin).total_seconds()
        except (ValueError, OverflowError):
            problem = "is no duration such as 30m or 2d"
            raise BadTaskConfig(channel, "config.dueWithin", problem) from None
        if within <= 0:
            raise BadTaskConfig(channel, "config.dueWithin", "must be longer than nothing")
        if len(set(said.outcomes)) < len(said.outcomes):
            raise BadTaskConfig(channel, "config.outcomes", "names one outcome twice")
        if said.assigneeAttribute is None and said.assignee is None:
            problem = "names nobody: give assigneeAttribute, assignee, or both"
            raise BadTaskConfig(channel, "config", problem)
        if said.handBackTo is not None and said.onDue != "HandBack":
            problem = "has a meaning with onDue: HandBack only"
            raise BadTaskConfig(channel, "config.handBackTo", problem)
        return cls(
            said.outcomes,
            within,
            said.assigneeAttribute,
            said.assignee,
            said.onDue,
            said.handBackTo,
        )


class _Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    outcomes: tuple[str, ...]
    dueWithin: str
    assigneeAttribute: str | None = None
    assignee: str | None = None
    onDue: Literal["Expire", "HandBack"] = "Expire"
    handBackTo: str | None = None

    def __post_init__(self) -> None:
        names = (*self.outcomes, self.assignee, self.assigneeAttribute, self.handBackTo)
        if not 1 <= len(self.outcomes) <= MOST_OUTCOMES:
            raise ValueError(f"1 to {MOST_OUTCOMES} outcomes are declared")
        if any(name is not None and not is_name(name) for name in names):
            raise ValueError(f"a name has 1 to {LONGEST_NAME} characters, none a control character")


def is_name(text: str) -> bool:
    """Whether a person or a team can be called so."""
    return 1 <= len(text) <= LONGEST_NAME and not any(char < " " for char in text)
