"""Engine: a pool of pods that serve decisions and do background work."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints

from .engine_status import EngineStatus
from .fields import (
    Description,
    FreeObject,
    Identifier,
    Label,
    ObjectName,
    Quantity,
    ShortText,
    TimeZone,
    atomic_list,
    list_map,
)
from .model import Model, Resource, Rule
from .references import AllowedNamespaces, SecretKeyRef, Tenant
from .stores import Stores
from .timing import Cap, QuietHours

AttributeType = Literal["string", "int", "double", "bool", "timestamp"]
CEL_KEYWORDS = ("true", "false", "null", "in")


class CustomerAttribute(Model):
    """One thing that is known of every customer."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="!(self.name in ['true', 'false', 'null', 'in'])",
            holds=lambda it: it.name not in CEL_KEYWORDS,
            message="an attribute cannot be called true, false, null or in: rules could not "
            "name it",
        ),
    )

    name: Identifier = Field(description="Name of the attribute; rules say customer.<name>.")
    type: AttributeType = Field(description="Its type; rules are checked against it.")
    sensitive: bool = Field(
        False, description="Whether logs, explanations and look-alikes leave its value out."
    )
    description: Description | None = Field(None, description="What the attribute means.")


class Customers(Model):
    """What is known of customers."""

    attributes: tuple[CustomerAttribute, ...] = Field(
        (),
        description="The declared attributes. Attributes that an import brought and that are not "
        "declared here can be used as well.",
        max_length=512,
        json_schema_extra=list_map("name"),
    )
    master_key_secret_ref: SecretKeyRef | None = Field(
        None,
        description="The file of master keys, under which sensitive attributes are sealed; the "
        "same at every site. Absent: none can be imported.",
    )


class Resources(Model):
    """What a container asks for and may use at most."""

    requests: dict[str, Quantity] = Field(
        default_factory=dict, description="What it asks for: cpu, memory.", max_length=16
    )
    limits: dict[str, Quantity] = Field(
        default_factory=dict, description="What it may use at most: cpu, memory.", max_length=16
    )


class Serve(Model):
    """The pods that answer decision requests."""

    replicas: int = Field(
        2,
        ge=1,
        le=1000,
        description="How many pods there are at first, and at least unless "
        "autoscaling.minReplicas says another number. Afterwards the autoscaler decides.",
    )
    resources: Resources | None = Field(None, description="Resources of the engine's container.")
    pod_overlay: FreeObject | None = Field(
        None,
        description="Merged into the pod template: containers, volumes and env by name, other "
        "fields by replacement. For node selectors, tolerations, annotations and the like.",
    )


class Worker(Model):
    """The pods that do background work: segments, publishing, housekeeping."""

    replicas: int = Field(1, ge=1, le=16, description="How many pods there are.")
    resources: Resources | None = Field(None, description="Resources of the worker's container.")
    pod_overlay: FreeObject | None = Field(
        None, description="Merged into the pod template, as in serve."
    )


class Autoscaling(Model):
    """Between which numbers, and by what, the serve pods are scaled."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="!has(self.minReplicas) || self.minReplicas <= self.maxReplicas",
            holds=lambda it: it.min_replicas is None or it.min_replicas <= it.max_replicas,
            message="minReplicas must not be above maxReplicas",
        ),
    )

    min_replicas: int | None = Field(
        None, ge=1, le=1000, description="Fewest pods; absent means serve.replicas."
    )
    max_replicas: int = Field(10, ge=1, le=1000, description="Most pods.")
    target_cpu_utilization: int = Field(
        70,
        alias="targetCPUUtilization",
        ge=1,
        le=100,
        description="Mean use of the requested CPU, in percent, that the autoscaler aims at.",
    )


AnnotationValue = Annotated[str, StringConstraints(max_length=4096)]


class EngineService(Model):
    """The Service in front of the serve pods."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="!has(self.nodePort) || self.type != 'ClusterIP'",
            holds=lambda it: it.node_port is None or it.type != "ClusterIP",
            message="nodePort needs type: NodePort or LoadBalancer",
        ),
    )

    type: Literal["ClusterIP", "NodePort", "LoadBalancer"] = Field(
        "ClusterIP", description="How the Service is reached."
    )
    node_port: int | None = Field(
        None, ge=1, le=65535, description="Port on every node; absent means one is chosen."
    )
    annotations: dict[str, AnnotationValue] = Field(
        default_factory=dict, description="Annotations of the Service.", max_length=32
    )


class Holdout(Model):
    """Customers whom no journey contacts, to measure against."""

    percent: float = Field(ge=0, le=50, description="Share of all customers, in percent.")
    salt: ShortText = Field("", min_length=0, description="Changing it draws other customers.")


class Governance(Model):
    """Bounds on all journeys of the engine."""

    time_zone: TimeZone = Field("UTC", description="IANA time zone where none is said.")
    time_zone_attribute: Identifier | None = Field(
        None,
        description="The customer's attribute with the IANA time zone that quiet hours are read "
        "in; absent, or unknown for a customer, means the quiet hours' own.",
    )
    caps: tuple[Cap, ...] = Field(
        (),
        description="How often one customer is contacted at most.",
        max_length=32,
        json_schema_extra=list_map("name"),
    )
    quiet_hours: QuietHours | None = Field(None, description="When nobody is contacted.")
    block_lists: tuple[Label, ...] = Field(
        (),
        description="Lists of customers whom nobody contacts; see POST /v1/lists.",
        max_length=32,
        json_schema_extra=atomic_list(),
    )
    allow_lists: tuple[Label, ...] = Field(
        (),
        description="Where there are some, only customers on one of them are contacted.",
        max_length=32,
        json_schema_extra=atomic_list(),
    )
    holdout: Holdout | None = Field(None, description="Customers whom no journey contacts.")


class Authentication(Model):
    """How callers of the engine's HTTP API prove who they are."""

    mode: Literal["APIKey", "None"] = Field(
        "APIKey",
        description="APIKey: every request carries a key. None: anybody may ask, which the "
        "condition AuthenticationDisabled tells.",
    )


class EngineApproval(Model):
    """Four eyes on changes of journeys."""

    required: bool = Field(
        False, description="Whether a changed journey waits for somebody else's approval."
    )
    trusted_authors: tuple[ShortText, ...] = Field(
        (),
        description="Users, mostly service accounts of a GitOps tool, who may name another person "
        "as a change's author.",
        max_length=64,
        json_schema_extra=atomic_list(),
    )


class EngineSpec(Model):
    """What the engine is made of."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="self.serve.replicas <= self.autoscaling.maxReplicas",
            holds=lambda it: it.serve.replicas <= it.autoscaling.max_replicas,
            message="serve.replicas must not be above autoscaling.maxReplicas (10 when absent): "
            "raise it as well",
        ),
    )

    description: Description | None = Field(None, description="What the engine is for.")
    customers: Customers = Field(
        default_factory=Customers,
        description="What is known of customers.",
        json_schema_extra={"default": {}},
    )
    serve: Serve = Field(
        default_factory=Serve,
        description="The pods that answer decision requests.",
        json_schema_extra={"default": {}},
    )
    worker: Worker = Field(
        default_factory=Worker,
        description="The pods that do background work.",
        json_schema_extra={"default": {}},
    )
    autoscaling: Autoscaling = Field(
        default_factory=Autoscaling,
        description="How the serve pods are scaled.",
        json_schema_extra={"default": {}},
    )
    service: EngineService = Field(
        default_factory=EngineService,
        description="The Service in front of the serve pods.",
        json_schema_extra={"default": {}},
    )
    stores: Stores = Field(description="Where the engine keeps its data.")
    governance: Governance | None = Field(
        None,
        description="Bounds on all journeys. Caps, quiet hours and lists count for every send; the "
        "holdout comes with a later version.",
    )
    tenants: tuple[Tenant, ...] = Field(
        (),
        description="What groups of namespaces may use of the engine; a namespace in none is not "
        "bounded, and one in several is bounded by the first.",
        max_length=64,
        json_schema_extra=list_map("name"),
    )
    allowed_namespaces: AllowedNamespaces = Field(
        default_factory=AllowedNamespaces,
        description="From which namespaces objects may refer to this engine.",
        json_schema_extra={"default": {}},
    )
    authentication: Authentication = Field(
        default_factory=Authentication,
        description="How callers of the HTTP API prove who they are.",
        json_schema_extra={"default": {}},
    )
    receipt_secret_name: ObjectName | None = Field(
        None,
        description="A Secret with the signing secrets of receipts: a key NAMESPACE.CHANNEL for "
        "each channel, one secret a line. Absent: no receipts are taken.",
    )
    approval: EngineApproval | None = Field(
        None, description="Four eyes on changes. Accepted; kept to by a later version."
    )
    image: ShortText | None = Field(
        None, description="Image of the engine's pods; absent means the operator's own."
    )


class Engine(Resource):
    """A pool of pods that serve decisions and do background work, and its stores."""

    kind_name: ClassVar[str] = "Engine"

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="self.metadata.name.size() <= 40 && "
            "self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
            holds=lambda it: (
                len(it.metadata.name) <= 40
                and it.metadata.name[:1].isalpha()
                and "." not in it.metadata.name
            ),
            message="an Engine's name starts with a letter, has letters, digits and dashes only, "
            "and at most 40 of them: its Services and pods are named after it",
        ),
    )

    spec: EngineSpec = Field(description="What the engine is made of.")
    status: EngineStatus = Field(
        default_factory=EngineStatus,
        description="What the engine serves now; written by the operator.",
    )
