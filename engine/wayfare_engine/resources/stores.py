"""Where an engine keeps its data: stores that the operator makes, or somebody's own."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints

from .fields import ObjectName, StorageSize
from .model import Model, Rule
from .references import SecretKeyRef

_KEPT_VOLUME = (
    Rule(
        cel="self.size == oldSelf.size",
        message="the size of an evaluation store's volume cannot change: use stores of your own, "
        "or make a new Engine",
    ),
    Rule(
        cel="has(self.storageClass) == has(oldSelf.storageClass) && "
        "(!has(self.storageClass) || self.storageClass == oldSelf.storageClass)",
        message="storageClass cannot change: the volume exists already",
    ),
)


class ManagedPostgresql(Model):
    """An evaluation-grade PostgreSQL."""

    rules: ClassVar[tuple[Rule, ...]] = _KEPT_VOLUME

    size: StorageSize = Field("10Gi", description="Size of its volume. It cannot change.")
    storage_class: ObjectName | None = Field(
        None, description="Storage class of its volume; absent means the default. It cannot change."
    )


class ManagedValkey(Model):
    """An evaluation-grade Valkey."""

    rules: ClassVar[tuple[Rule, ...]] = _KEPT_VOLUME

    size: StorageSize = Field("1Gi", description="Size of its volume. It cannot change.")
    storage_class: ObjectName | None = Field(
        None, description="Storage class of its volume; absent means the default. It cannot change."
    )


class ManagedStores(Model):
    """Stores that the operator makes: one pod each, for evaluation, not for production."""

    postgresql: ManagedPostgresql = Field(
        default_factory=ManagedPostgresql,
        description="The PostgreSQL.",
        json_schema_extra={"default": {}},
    )
    valkey: ManagedValkey = Field(
        default_factory=ManagedValkey,
        description="The Valkey.",
        json_schema_extra={"default": {}},
    )


class ExternalPostgresql(Model):
    """A PostgreSQL of your own."""

    secret_ref: SecretKeyRef = Field(description="Where the connection string is.")
    direct_secret_ref: SecretKeyRef | None = Field(
        None,
        description="Where the connection string past a transaction pooler is; needed for LISTEN "
        "when secretRef leads to a pooler.",
    )


class ExternalValkey(Model):
    """A Valkey or Redis of your own."""

    secret_ref: SecretKeyRef = Field(description="Where the URL is.")


ObjectStoreUrl = Annotated[
    str, StringConstraints(max_length=512, pattern=r"^(s3|gs|az|abfs)://[^?#\s]+$")
]


class ExternalObjectStore(Model):
    """The object store that holds the journal and the right to act."""

    url: ObjectStoreUrl = Field(description="Bucket and prefix, such as s3://recovery/retail.")
    secret_name: ObjectName | None = Field(
        None,
        description="A Secret whose keys become environment variables of the pods that use it, "
        "such as AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_ENDPOINT_URL and AWS_REGION; "
        "absent where the pods' own identity is enough.",
    )


def _managed_or_own(stores: Stores) -> bool:
    if stores.managed is not None:
        return stores.postgresql is None and stores.valkey is None
    return stores.postgresql is not None and stores.valkey is not None


class Stores(Model):
    """Where the engine keeps its data: `managed`, or `postgresql` and `valkey` of your own."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="has(self.managed) ? !has(self.postgresql) && !has(self.valkey) : "
            "has(self.postgresql) && has(self.valkey)",
            holds=_managed_or_own,
            message="stores has either managed, or both postgresql and valkey",
        ),
        Rule(
            cel="has(self.managed) == has(oldSelf.managed)",
            message="an engine cannot move between managed stores and stores of your own: make a "
            "new Engine and import its customers there",
        ),
    )

    managed: ManagedStores | None = Field(
        None, description="Stores that the operator makes, for evaluation only."
    )
    postgresql: ExternalPostgresql | None = Field(None, description="A PostgreSQL of your own.")
    valkey: ExternalValkey | None = Field(None, description="A Valkey or Redis of your own.")
    object_store: ExternalObjectStore | None = Field(
        None,
        description="Where the journal goes. Sends leave only after it has their dispatch, and "
        "another site can take over from it; absent means that there is neither.",
    )
    deletion_policy: Literal["Retain", "Delete"] = Field(
        "Retain",
        description="What becomes of managed stores' volumes when the Engine is deleted.",
    )
