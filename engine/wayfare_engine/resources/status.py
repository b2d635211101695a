"""What the operator reports: conditions, as kstatus reads them, and the shared status fields."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from .fields import list_map
from .model import Observed

StatusText = Annotated[str, StringConstraints(max_length=256)]
LongText = Annotated[str, StringConstraints(max_length=32768)]
Moment = Annotated[datetime, Field(json_schema_extra={"maxLength": 64})]


class Condition(Observed):
    """One statement on the object's state."""

    type: Annotated[str, StringConstraints(min_length=1, max_length=316)] = Field(
        description="What the statement is about: Ready, Reconciling, Stalled and others."
    )
    status: Literal["True", "False", "Unknown"] = Field(description="Whether it holds.")
    reason: Annotated[str, StringConstraints(min_length=1, max_length=1024)] = Field(
        description="Why, in one word for machines."
    )
    message: LongText = Field("", description="Why, in a sentence for people.")
    observed_generation: int = Field(
        0, ge=0, description="Generation of the spec that the statement is about."
    )
    last_transition_time: Moment = Field(description="When the status last changed.")


class ResourceStatus(Observed):
    """The part of status that all kinds share."""

    observed_generation: int | None = Field(
        None, ge=0, description="Generation of the spec that this status is about."
    )
    conditions: tuple[Condition, ...] = Field(
        (),
        description="Ready, Reconciling and Stalled, and what else is worth telling.",
        max_length=16,
        json_schema_extra=list_map("type"),
    )

    def condition(self, condition_type: str) -> Condition | None:
        """The condition of that type, if there is one."""
        return next((each for each in self.conditions if each.type == condition_type), None)

    def to_object(self) -> dict[str, Any]:
        """Status as it is written to the API server."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)
