"""Who may refer to whom across namespaces. One answer whether or not the target exists."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeAlias

from wayfare_engine.plan import Schema
from wayfare_engine.plan.cel import Scope, compile_expression
from wayfare_engine.plan.expression import segments_of
from wayfare_engine.plan.problems import ExpressionError
from wayfare_engine.resources import AllowedNamespaces, Journey, Segment

NamespaceLabels: TypeAlias = Mapping[str, Mapping[str, str]]


def permitted(
    target: AllowedNamespaces | None,
    *,
    target_namespace: str,
    source_namespace: str,
    labels: NamespaceLabels,
) -> bool:
    """Whether an object of `source_namespace` may refer to one with this grant."""
    if source_namespace == target_namespace:
        return True
    if target is None or target.from_ == "Same":
        return False
    if target.from_ == "All":
        return True
    return target.selector is not None and target.selector.matches(
        dict(labels.get(source_namespace, {}))
    )


def not_permitted(what: str, namespace: str, name: str) -> str:
    """The sentence for a reference without a grant. It must not tell whether the target exists."""
    return (
        f"{what} {namespace}/{name} does not exist, or its allowedNamespaces does not admit this "
        "namespace"
    )


def foreign_segments(resource: Segment | Journey, schema: Schema) -> Iterator[tuple[str, str, str]]:
    """(path, namespace, name) of each segment of another namespace that the resource names.

    Read from the compiled rules, by the compiler that makes the plan, so that no spelling of a
    name gets past. A rule that does not compile refers to nothing: it is in no plan either.
    """
    own = resource.metadata.namespace
    for path, text, scope in _rules(resource):
        try:
            expression = compile_expression(text, schema, scope)
        except ExpressionError:
            continue
        for reference in sorted(segments_of(expression)):
            namespace, slash, name = reference.partition("/")
            if slash and namespace != own:
                yield path, namespace, name
    if isinstance(resource, Segment) and resource.spec.lookalike is not None:
        seed = resource.spec.lookalike.seed
        if seed.namespace is not None and seed.namespace != own:
            yield "spec.lookalike.seed", seed.namespace, seed.name


def foreign_channels(resource: Segment | Journey) -> Iterator[tuple[str, str, str]]:
    """(path, namespace, name) of each channel of another namespace that the resource names."""
    if not isinstance(resource, Journey):
        return
    own = resource.metadata.namespace
    for index, node in enumerate(resource.spec.nodes or ()):
        for member in ("slot", "send"):
            reference = getattr(getattr(node, member), "channel_ref", None)
            if reference is not None and reference.namespace not in (None, own):
                path = f"spec.nodes[{index}].{member}.channelRef"
                yield path, reference.namespace, reference.name


def _rules(resource: Segment | Journey) -> Iterator[tuple[str, str, Scope]]:
    if isinstance(resource, Segment):
        if resource.spec.rule is not None:
            yield "spec.rule", resource.spec.rule, Scope.CUSTOMER
        return
    if resource.spec.audience is not None:
        yield "spec.audience", resource.spec.audience, Scope.CUSTOMER
    if resource.spec.when is not None:
        yield "spec.when", resource.spec.when, Scope.REQUEST
    for index, node in enumerate(resource.spec.nodes or ()):
        if node.slot is not None and node.slot.when is not None:
            yield f"spec.nodes[{index}].slot.when", node.slot.when, Scope.REQUEST
