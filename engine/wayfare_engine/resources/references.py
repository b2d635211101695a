"""How objects refer to each other, and who may refer to whom."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints

from .fields import Label, ObjectName, ShortText, atomic_list
from .model import Model, Rule


class EngineRef(Model):
    """The engine that this object belongs to. It cannot change."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="self == oldSelf",
            message="engineRef cannot change: make a new object for the other engine",
        ),
    )

    name: ObjectName = Field(description="Name of the Engine.")
    namespace: Label | None = Field(
        None,
        description="Namespace of the Engine; absent means this object's own. Another namespace "
        "needs a grant in the Engine's allowedNamespaces.",
    )


class SegmentRef(Model):
    """A Segment of the same engine."""

    name: ObjectName = Field(description="Name of the Segment.")
    namespace: Label | None = Field(
        None, description="Namespace of the Segment; absent means this object's own."
    )


class ChannelRef(Model):
    """A Channel of the same engine."""

    name: ObjectName = Field(description="Name of the Channel.")
    namespace: Label | None = Field(
        None, description="Namespace of the Channel; absent means this object's own."
    )


class TemplateRef(Model):
    """A JourneyTemplate."""

    name: ObjectName = Field(description="Name of the JourneyTemplate.")
    namespace: Label | None = Field(
        None, description="Namespace of the JourneyTemplate; absent means this object's own."
    )


SecretKey = Annotated[
    str, StringConstraints(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$")
]


class SecretKeyRef(Model):
    """One key of a Secret in this object's namespace. Pods mount it; the operator never reads."""

    name: ObjectName = Field(description="Name of the Secret.")
    key: SecretKey = Field(description="Key in the Secret.")


LabelValue = Annotated[str, StringConstraints(max_length=63)]
LabelKey = Annotated[str, StringConstraints(min_length=1, max_length=317)]


class LabelRequirement(Model):
    """One requirement on a label."""

    key: LabelKey = Field(description="The label's key.")
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"] = Field(
        description="How the label is compared with the values."
    )
    values: tuple[LabelValue, ...] = Field(
        (),
        description="Values for In and NotIn.",
        max_length=64,
        json_schema_extra=atomic_list(),
    )


class LabelSelector(Model):
    """Which namespaces, by their labels; all of what is written must hold."""

    match_labels: dict[str, LabelValue] = Field(
        default_factory=dict, description="Labels and their exact values.", max_length=32
    )
    match_expressions: tuple[LabelRequirement, ...] = Field(
        (),
        description="Requirements on labels.",
        max_length=32,
        json_schema_extra=atomic_list(),
    )

    def matches(self, labels: dict[str, str]) -> bool:
        """Whether a namespace with these labels is selected."""
        if any(labels.get(key) != value for key, value in self.match_labels.items()):
            return False
        return all(_holds(requirement, labels) for requirement in self.match_expressions)


def _holds(requirement: LabelRequirement, labels: dict[str, str]) -> bool:
    present = requirement.key in labels
    match requirement.operator:
        case "In":
            return present and labels[requirement.key] in requirement.values
        case "NotIn":
            return not present or labels[requirement.key] not in requirement.values
        case "Exists":
            return present
        case "DoesNotExist":
            return not present


class AllowedNamespaces(Model):
    """From which namespaces other objects may refer to this one."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="has(self.selector) == (self.from == 'Selector')",
            holds=lambda it: (it.selector is not None) == (it.from_ == "Selector"),
            message="write a selector with from: Selector, and with nothing else",
        ),
    )

    from_: Literal["Same", "Selector", "All"] = Field(
        "Same",
        alias="from",
        description="Same: this object's own namespace only. Selector: also those that the "
        "selector picks. All: every namespace.",
    )
    selector: LabelSelector | None = Field(
        None, description="Which namespaces, by their labels; with from: Selector only."
    )

    def permits(self, own: str, asking: str, asking_labels: dict[str, str]) -> bool:
        """Whether an object in namespace `asking` may refer to one in namespace `own`."""
        if own == asking or self.from_ == "All":
            return True
        return self.selector is not None and self.selector.matches(asking_labels)


class Tenant(Model):
    """What a group of namespaces may use of a shared engine."""

    name: Label = Field(description="Name of the tenant.")
    namespaces: tuple[Label, ...] = Field(
        description="Namespaces of the tenant.",
        min_length=1,
        max_length=64,
        json_schema_extra=atomic_list(),
    )
    min_priority: int = Field(0, ge=0, le=1000, description="Lowest priority of its journeys.")
    max_priority: int = Field(1000, ge=0, le=1000, description="Highest priority of its journeys.")
    slots: tuple[ShortText, ...] | None = Field(
        None,
        description="Slots that its journeys may fill; absent means all.",
        max_length=128,
        json_schema_extra=atomic_list(),
    )
    max_journeys: int | None = Field(None, ge=0, description="Most journeys it may have.")
    max_segments: int | None = Field(None, ge=0, description="Most segments it may have.")
    max_contacts_per_day: int | None = Field(
        None,
        ge=0,
        description="Most contacts a day, over all of its customers. Accepted; kept to by a later "
        "version.",
    )

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="self.minPriority <= self.maxPriority",
            holds=lambda it: it.min_priority <= it.max_priority,
            message="minPriority must not be above maxPriority",
        ),
    )
