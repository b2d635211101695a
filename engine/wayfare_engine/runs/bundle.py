"""The format of a configuration bundle: our objects, without what differs from site to site (pure).

A bundle is the canonical JSON of a list of normalised objects in the order of kind, namespace and
name, so that equal configuration has an equal digest. No Secret is ever in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from wayfare_engine.runs.evidence import digest as digest_of
from wayfare_engine.runs.objects import canonical
from wayfare_engine.runs.problems import ConfigConflict, NotForBundles

Object: TypeAlias = Mapping[str, Any]

GROUP = "wayfare.dev"
STAYS = frozenset({"RecoveryRun", "Approval"})
"""Our kinds that belong to one site's history and do not travel."""

_ANNOTATIONS_DROPPED = (
    "kubectl.kubernetes.io/",
    "deployment.kubernetes.io/",
    "meta.helm.sh/",
    "argocd.argoproj.io/",
    "kustomize.toolkit.fluxcd.io/",
    "helm.toolkit.fluxcd.io/",
    "reconcile.fluxcd.io/",
)
_LABELS_DROPPED = (
    "app.kubernetes.io/managed-by",
    "app.kubernetes.io/instance",
    "helm.sh/chart",
    "argocd.argoproj.io/",
    "kustomize.toolkit.fluxcd.io/",
    "helm.toolkit.fluxcd.io/",
)

_TRACKED = (
    ("argocd.argoproj.io/", "Argo CD"),
    ("kustomize.toolkit.fluxcd.io/", "Flux"),
    ("helm.toolkit.fluxcd.io/", "Flux"),
)
_MANAGERS = {
    "argocd-controller": "Argo CD",
    "argocd-application-controller": "Argo CD",
    "kustomize-controller": "Flux",
    "helm-controller": "Flux",
}


@dataclass(frozen=True)
class Override:
    """What one site has otherwise in one object: the part of its spec that it sets (`spec`)."""

    kind: str
    name: str
    spec: Mapping[str, Any]


def export(objects: Iterable[Object], overrides: Iterable[Override] = ()) -> list[dict[str, Any]]:
    """The normalised objects of a bundle, in its order. `overrides`: those of every site: what
    one of them sets is in no bundle.

    Raises NotForBundles for an object that is not of our kinds.
    """
    local: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for one in overrides:
        local.setdefault((one.kind, one.name), []).append(one.spec)
    made = [_without(normalise(one), local) for one in objects]
    return sorted(made, key=identity)


def normalise(one: Object) -> dict[str, Any]:
    """An object as it was written by people: without status, and without metadata that an API
    server, a client or a GitOps tool keeps. Raises NotForBundles."""
    kind, metadata = one.get("kind", ""), one.get("metadata") or {}
    version = one.get("apiVersion", "")
    if version.partition("/")[0] != GROUP or kind in STAYS:
        raise NotForBundles(str(kind or version), str(metadata.get("name", "")))
    kept = {"name": metadata["name"], "namespace": metadata.get("namespace", "")}
    labels = _kept(metadata.get("labels"), _LABELS_DROPPED)
    annotations = _kept(metadata.get("annotations"), _ANNOTATIONS_DROPPED)
    if labels:
        kept["labels"] = labels
    if annotations:
        kept["annotations"] = annotations
    return {"apiVersion": version, "kind": kind, "metadata": kept, "spec": one.get("spec") or {}}


def _kept(given: Mapping[str, str] | None, dropped: Sequence[str]) -> dict[str, str]:
    return {k: v for k, v in (given or {}).items() if not k.startswith(tuple(dropped))}


def _without(
    one: dict[str, Any], local: Mapping[tuple[str, str], Sequence[Mapping[str, Any]]]
) -> dict[str, Any]:
    spec: Any = one["spec"]
    for override in local.get((one["kind"], one["metadata"]["name"]), ()):
        spec = removed(spec, override)
    return {**one, "spec": spec}


def removed(value: Any, override: Mapping[str, Any]) -> Any:
    """`value` without what `override` sets: objects are gone through, all else is one value."""
    if not isinstance(value, Mapping):
        return value
    left: dict[str, Any] = {}
    for key, part in value.items():
        if key not in override:
            left[key] = part
            continue
        inner = override[key]
        if isinstance(inner, Mapping) and inner and isinstance(part, Mapping):
            rest = removed(part, inner)
            if rest:
                left[key] = rest
    return left


def placed(one: Object, overrides: Iterable[Override]) -> dict[str, Any]:
    """An object of a bundle as it is applied at a site: with what the site's overrides set."""
    spec: Any = one["spec"]
    for override in overrides:
        if (override.kind, override.name) == (one["kind"], one["metadata"]["name"]):
            spec = merged(spec, override.spec)
    return {**one, "spec": spec}


def merged(value: Any, override: Mapping[str, Any]) -> dict[str, Any]:
    """`value` with what `override` sets (RFC 7396: an object is merged, null removes, all else
    replaces)."""
    made = dict(value) if isinstance(value, Mapping) else {}
    for key, part in override.items():
        if part is None:
            made.pop(key, None)
        elif isinstance(part, Mapping):
            made[key] = merged(made.get(key), part)
        else:
            made[key] = part
    return made


def identity(one: Object) -> tuple[str, str, str]:
    """Kind, namespace and name of an object."""
    metadata = one["metadata"]
    return one["kind"], metadata.get("namespace", ""), metadata["name"]


def encoded(exported: Sequence[Object]) -> bytes:
    """The bytes of a bundle. Raises ValueError when an object is in it twice."""
    names = [identity(one) for one in exported]
    if len(set(names)) < len(names):
        raise ValueError("an object is in the bundle twice")
    return canonical(sorted(exported, key=identity))


def digest(exported: Sequence[Object]) -> str:
    """`sha256:<64 hex>` of a bundle."""
    return digest_of(encoded(exported))


def tracked_by(one: Object) -> str | None:
    """Which GitOps tool keeps this object, "Argo CD" or "Flux"; None when none is seen to.

    Seen by the tools' own labels and annotations, and by who manages its fields. The label
    app.kubernetes.io/instance alone says nothing: charts and people set it too.
    """
    metadata = one.get("metadata") or {}
    names = [*(metadata.get("labels") or {}), *(metadata.get("annotations") or {})]
    for prefix, tool in _TRACKED:
        if any(name.startswith(prefix) for name in names):
            return tool
    managers = (entry.get("manager", "") for entry in metadata.get("managedFields") or ())
    return next((_MANAGERS[name] for name in managers if name in _MANAGERS), None)


def refuse_tracked(objects: Iterable[Object]) -> None:
    """Raise ConfigConflict when a GitOps tool keeps one of them: two would write it in turn."""
    found = [(tool, *identity(one)) for one in objects if (tool := tracked_by(one)) is not None]
    if found:
        raise ConfigConflict(tuple(found))
