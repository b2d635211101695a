"""What the operator reports of an engine."""

from __future__ import annotations

from pydantic import Field

from .fields import Digest, atomic_list
from .model import Observed
from .status import LongText, Moment, ResourceStatus, StatusText


class PlanStatus(Observed):
    """The plan that was published last."""

    digest: Digest | None = Field(None, description="Digest of the plan.")
    published_at: Moment | None = Field(None, description="When it was published.")
    journeys: int | None = Field(None, ge=0, description="How many journeys it holds.")
    segments: int | None = Field(None, ge=0, description="How many segments it holds.")


class PodsStatus(Observed):
    """The serve pods."""

    serving: int | None = Field(None, ge=0, description="How many are ready.")
    acknowledged: int | None = Field(
        None, ge=0, description="How many of these have said that they serve the plan."
    )


class CompileError(Observed):
    """One object that did not compile."""

    kind: StatusText = Field(description="Kind of the object.")
    name: StatusText = Field(description="The object, as namespace/name.")
    path: StatusText | None = Field(None, description="Which field.")
    line: int | None = Field(None, ge=0, description="Line in the field.")
    column: int | None = Field(None, ge=0, description="Column in the line.")
    reason: StatusText = Field(description="What kind of mistake.")
    message: LongText | None = Field(None, description="What is wrong.")


class StoreStatus(Observed):
    """One store, as the worker sees it."""

    ok: bool | None = Field(None, description="Whether it answers.")
    version: StatusText | None = Field(None, description="Its version.")
    grade: StatusText | None = Field(
        None, description="Evaluation for managed stores, External for stores of your own."
    )
    message: LongText | None = Field(None, description="What is wrong, if something is.")


class StoresStatus(Observed):
    """The stores, as the worker sees them."""

    postgresql: StoreStatus | None = Field(None, description="The PostgreSQL.")
    valkey: StoreStatus | None = Field(None, description="The Valkey or Redis.")


class Endpoints(Observed):
    """Where the engine is reached."""

    decisions: StatusText | None = Field(
        None, description="Address of the HTTP API inside the cluster."
    )
    node_port: int | None = Field(None, ge=0, description="Port on every node, if there is one.")


class EngineStatus(ResourceStatus):
    """What the engine serves now."""

    plan: PlanStatus | None = Field(None, description="The plan that was published last.")
    pods: PodsStatus | None = Field(None, description="The serve pods.")
    customers: int | None = Field(None, ge=0, description="How many customers are known.")
    compile_errors: tuple[CompileError, ...] = Field(
        (),
        description="Objects that did not compile, at most 20.",
        max_length=20,
        json_schema_extra=atomic_list(),
    )
    stores: StoresStatus | None = Field(None, description="The stores.")
    endpoints: Endpoints | None = Field(None, description="Where the engine is reached.")
