"""What the operator knows of the cluster, kept from watches: parsed specs, children, namespaces.

Everything here can be lost and read again; nothing is decided from it that a stale entry could
make wrong for longer than until the next event.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from wayfare_engine.resources import (
    AnyResource,
    Channel,
    Engine,
    Journey,
    RecoveryPlan,
    RecoveryRun,
    ResourceError,
    Segment,
    parse,
    spec_digest,
)
from wayfare_operator.desired.metadata import (
    CHANNEL_LABEL,
    DESIRED_ANNOTATION,
    ENGINE_LABEL,
    PLAN_LABEL,
    RUN_LABEL,
)
from wayfare_operator.kube.kinds import RECOVERY_RUN, Kind, Object, Ref, ref_of

_KEPT_METADATA = (
    "name",
    "namespace",
    "uid",
    "generation",
    "resourceVersion",
    "labels",
    "annotations",
    "deletionTimestamp",
    "ownerReferences",
    "creationTimestamp",
)
_PARSED_METADATA = ("name", "namespace", "uid", "generation", "annotations", "creationTimestamp")
"""What the models of our own kinds are given of it."""


def version_of(obj: Object) -> int:
    """The resource version; versions of one kind grow, which tells stale news from new ones."""
    return int(obj["metadata"].get("resourceVersion") or 0)


@dataclass(slots=True)
class Entry:
    """One object of our kinds; `resource` is None when it does not parse, then `error` says why."""

    ref: Ref
    uid: str
    generation: int
    version: int
    deleting: bool
    resource: AnyResource | None
    error: ResourceError | None
    spec_digest: str | None
    status: Object = field(default_factory=dict)


def _entry(ref: Ref, obj: Object, previous: Entry | None) -> Entry:
    metadata = obj["metadata"]
    generation = int(metadata.get("generation") or 0)
    status: Object = obj.get("status") or {}
    uid = metadata["uid"]
    if previous is not None and (previous.uid, previous.generation) == (uid, generation):
        # The spec is the same: keep what was parsed.
        resource, error, digest = previous.resource, previous.error, previous.spec_digest
    else:
        resource, error, digest = None, None, None
        try:
            kept = {key: metadata[key] for key in _PARSED_METADATA if key in metadata}
            resource = parse(
                {
                    "apiVersion": obj["apiVersion"],
                    "kind": obj["kind"],
                    "metadata": kept,
                    "spec": obj.get("spec") or {},
                }
            )
            digest = spec_digest(resource.spec)
        except ResourceError as refused:
            error = refused
    return Entry(
        ref=ref,
        uid=uid,
        generation=generation,
        version=version_of(obj),
        deleting=metadata.get("deletionTimestamp") is not None,
        resource=resource,
        error=error,
        spec_digest=digest,
        status=status,
    )


class Cache:
    """All that watches brought. Not thread-safe: the event loop alone writes it."""

    def __init__(self) -> None:
        self._entries: dict[Ref, Entry] = {}
        self._children: dict[Ref, Object] = {}
        self._by_owner: dict[Ref, set[Ref]] = {}
        self.namespaces: dict[str, dict[str, str]] = {}

    # -- our kinds ------------------------------------------------------------------------------

    def put(self, kind: Kind, obj: Object) -> Entry | None:
        """Take an object in; None when it is older than what is known."""
        ref = ref_of(kind, obj)
        previous = self._entries.get(ref)
        if (
            previous is not None
            and previous.uid == obj["metadata"]["uid"]
            and previous.version > version_of(obj)
        ):
            return None
        entry = _entry(ref, obj, previous)
        self._entries[ref] = entry
        return entry

    def get(self, ref: Ref) -> Entry | None:
        """The entry, if there is one."""
        return self._entries.get(ref)

    def remove(self, ref: Ref, uid: str | None = None) -> Entry | None:
        """Forget an object; with `uid`, only if it is that one."""
        entry = self._entries.get(ref)
        if entry is None or (uid is not None and entry.uid != uid):
            return None
        return self._entries.pop(ref)

    def entries(self, kind: Kind) -> Iterator[Entry]:
        """All entries of a kind."""
        return (entry for ref, entry in self._entries.items() if ref.kind == kind.name)

    def engine(self, namespace: str, name: str) -> Engine | None:
        """The engine's model, if it is there, parses and is not being deleted."""
        entry = self._entries.get(Ref("Engine", namespace, name))
        if entry is None or entry.deleting or not isinstance(entry.resource, Engine):
            return None
        return entry.resource

    def referring(self, kind: Kind, namespace: str, name: str) -> Iterator[Entry]:
        """Entries of a kind whose engineRef leads to that engine."""
        for entry in self.entries(kind):
            if entry.resource is not None and engine_of(entry.resource) == (namespace, name):
                yield entry

    def recovery_plan(self, namespace: str, name: str) -> RecoveryPlan | None:
        """The plan's model, if it is there and parses."""
        entry = self._entries.get(Ref("RecoveryPlan", namespace, name))
        resource = entry.resource if entry is not None else None
        return resource if isinstance(resource, RecoveryPlan) else None

    def runs_of(self, namespace: str, plan: str) -> Iterator[Entry]:
        """Entries of runs whose planRef leads to that plan."""
        for entry in self.entries(RECOVERY_RUN):
            run = entry.resource
            if (
                isinstance(run, RecoveryRun)
                and entry.ref.namespace == namespace
                and run.spec.plan_ref.name == plan
            ):
                yield entry

    # -- children and what else is observed -------------------------------------------------------

    def put_child(self, kind: Kind, obj: Object) -> Ref | None:
        """Take a child in, trimmed; None when it is older than what is known."""
        ref = ref_of(kind, obj)
        present = self._children.get(ref)
        if (
            present is not None
            and present["metadata"]["uid"] == obj["metadata"]["uid"]
            and version_of(present) > version_of(obj)
        ):
            return None
        metadata = obj["metadata"]
        trimmed = {
            **obj,
            "apiVersion": kind.api_version,
            "kind": kind.name,
            "metadata": {key: metadata[key] for key in _KEPT_METADATA if key in metadata},
        }
        self._children[ref] = trimmed
        owner = owner_of_child(trimmed)
        if owner is not None:
            self._by_owner.setdefault(owner, set()).add(ref)
        return ref

    def child(self, ref: Ref) -> Object | None:
        """The child as it was last seen."""
        return self._children.get(ref)

    def remove_child(self, ref: Ref, uid: str | None = None) -> bool:
        """Forget a child; with `uid`, only if it is that one."""
        present = self._children.get(ref)
        if present is None or (uid is not None and present["metadata"]["uid"] != uid):
            return False
        del self._children[ref]
        owner = owner_of_child(present)
        if owner is not None:
            self._by_owner.get(owner, set()).discard(ref)
        return True

    def children(self, kind: Kind, namespace: str, engine: str) -> list[Object]:
        """An engine's children of a kind."""
        return self.owned(kind, Ref("Engine", namespace, engine))

    def owned(self, kind: Kind, owner: Ref) -> list[Object]:
        """The children of a kind that an Engine or a Channel has."""
        return [
            self._children[ref]
            for ref in sorted(self._by_owner.get(owner, ()))
            if ref.kind == kind.name
        ]

    def refs(self, kind: Kind) -> Iterator[tuple[Ref, str]]:
        """(ref, uid) of everything known of a kind, ours or not."""
        for ref, entry in self._entries.items():
            if ref.kind == kind.name:
                yield ref, entry.uid
        for ref, obj in self._children.items():
            if ref.kind == kind.name:
                yield ref, obj["metadata"]["uid"]


def engine_of(resource: AnyResource) -> tuple[str, str]:
    """(namespace, name) of the engine that a resource refers to; of an Engine, itself."""
    if isinstance(resource, Engine):
        return resource.metadata.namespace, resource.metadata.name
    if isinstance(resource, RecoveryPlan):
        return resource.metadata.namespace, resource.spec.engine_ref.name
    assert isinstance(resource, Segment | Journey | Channel)
    reference = resource.spec.engine_ref
    return reference.namespace or resource.metadata.namespace, reference.name


_OWNERS = (
    ("Engine", ENGINE_LABEL),
    ("Channel", CHANNEL_LABEL),
    ("RecoveryRun", RUN_LABEL),
    ("RecoveryPlan", PLAN_LABEL),
)


def owner_of_child(obj: Object) -> Ref | None:
    """The Engine, Channel, RecoveryRun or RecoveryPlan that a child's label names."""
    metadata = obj["metadata"]
    labels = metadata.get("labels") or {}
    for kind, label in _OWNERS:
        if label in labels:
            return Ref(kind, metadata.get("namespace", ""), labels[label])
    return None


def applied_digest(obj: Object) -> str | None:
    """The digest that was put on a child when it was applied."""
    value: str | None = (obj["metadata"].get("annotations") or {}).get(DESIRED_ANNOTATION)
    return value
