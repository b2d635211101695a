"""Channel: a way out to customers."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints

from .fields import (
    Description,
    Digest,
    Duration,
    FreeObject,
    Identifier,
    Label,
    ShortText,
    list_map,
)
from .model import Model, Observed, Resource, Rule
from .references import AllowedNamespaces, ChannelRef, EngineRef, SecretKeyRef
from .status import LongText, Moment, ResourceStatus, StatusText
from .timing import Cap, Medium, QuietHours, Rate

PluginUrl = Annotated[
    str, StringConstraints(max_length=512, pattern=r"^http://[a-zA-Z0-9.-]+(:[0-9]{1,5})?$")
]


#: Ways out that the engine has itself: nothing is called, and there is no pod. `pull`: a system
#: fetches its sends; `task`: each send is a work item for a person.
BUILT_IN = frozenset({"pull", "task"})
_IS_BUILT_IN = "self.name in ['pull', 'task']"


class Plugin(Model):
    """The program that sends. It runs in pods of its own, never in the engine's."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel=f"!({_IS_BUILT_IN}) || (!has(self.image) && !has(self.url))",
            holds=lambda it: not it.built_in or (it.image is None and it.url is None),
            message="pull and task are the engine's own and run in no pod: leave image and url out",
        ),
        Rule(
            cel="self.name != 'pull' || !has(self.config)",
            holds=lambda it: it.name != "pull" or it.config is None,
            message="pull has no configuration: leave config out",
        ),
        Rule(
            cel="!has(self.url) || (!has(self.image) && !has(self.config))",
            holds=lambda it: it.url is None or (it.image is None and it.config is None),
            message="url leads to a program that runs already: leave image and config out, or url",
        ),
    )

    name: Label = Field(description="Name of the plugin.")
    image: ShortText | None = Field(
        None,
        description="Image of the plugin's pods, built on the engine's; absent means the engine's.",
    )
    url: PluginUrl | None = Field(
        None,
        description="Where a program in any language speaks the channel contract, such as "
        "http://sms.gateways.svc:8082. No pods are made then.",
    )
    config: FreeObject | None = Field(
        None, description="The plugin's own configuration. Secrets belong in secretRefs."
    )

    @property
    def built_in(self) -> bool:
        """Whether it is the engine's own, and has no pod."""
        return self.name in BUILT_IN


class Limits(Model):
    """How much is given to the plugin at once, and how long it may take."""

    timeout: Duration = Field("10s", description="Longest time of one send.")
    concurrency: int = Field(16, ge=1, le=10_000, description="Most sends at one moment.")
    queue: int = Field(
        10_000, ge=0, le=10_000_000, description="Most sends that wait before more are held back."
    )
    rate: Rate | None = Field(None, description="Most sends in a time; absent means no bound.")


class Breaker(Model):
    """When sends stop for a while because too many of them fail, or are slow."""

    failure_percent: int = Field(
        50, ge=1, le=100, description="Share of failures, in percent, at which it opens."
    )
    window: Duration = Field("30s", description="Time over which failures are counted.")
    minimum_calls: int = Field(
        20, ge=1, le=100_000, description="Fewest sends in the window before it may open."
    )
    open_for: Duration = Field("30s", description="How long it stays open before a trial.")
    trial_calls: int = Field(3, ge=1, le=1000, description="How many sends a trial has.")
    slow_after: Duration | None = Field(
        None, description="Sends that take longer are slow; absent means slowness does not matter."
    )
    slow_percent: int = Field(
        50, ge=1, le=100, description="Share of slow sends, in percent, at which it opens."
    )
    longest_open: Duration = Field(
        "10m", description="It stays open twice as long after each failed trial, at most this long."
    )
    manual: Literal["Auto", "ForcedOpen", "ForcedClosed"] = Field(
        "Auto",
        description="Auto: sends decide. ForcedOpen: no send leaves. ForcedClosed: it never opens.",
    )


class Retry(Model):
    """How a failed send is tried again."""

    attempts: int = Field(
        10,
        ge=1,
        le=50,
        description="Tries in all, the first one included. What a breaker keeps back is no try.",
    )
    initial_delay: Duration = Field("1s", description="Time before the second try.")
    max_delay: Duration = Field("5m", description="Longest time between two tries.")
    multiplier: float = Field(2.0, ge=1, le=10, description="By what the time grows every try.")
    jitter_percent: int = Field(
        100,
        ge=0,
        le=100,
        description="Which part of the time is random, in percent: 100 spreads tries best.",
    )
    give_up_after: Duration | None = Field(
        None, description="After how long a send is given up; absent means after all attempts."
    )


class Deduplication(Model):
    """Whether the provider recognises a send that it already had.

    What it does not recognise is never repeated when the outcome of a send is unknown.
    """

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="has(self.window) == (self.by == 'SendKey')",
            holds=lambda it: (it.window is not None) == (it.by == "SendKey"),
            message="write the window with by: SendKey, and with nothing else",
        ),
    )

    by: Literal["None", "SendKey"] = Field(
        "None", description="SendKey: the provider drops a second send with the same key."
    )
    window: Duration | None = Field(None, description="For how long the provider remembers a key.")


PartText = Annotated[str, StringConstraints(max_length=64 * 1024)]


class MessageTemplate(Model):
    """What the plugin is given to send: a text a part, made for each customer as it is sent."""

    parts: dict[Identifier, PartText] = Field(
        description="Parts by the names that the plugin knows, such as subject, text and html. "
        "Each is a Jinja template over customer.ATTRIBUTE and content.KEY, what the journey's node "
        "gives. In html, and parts whose name ends in _html, values are escaped.",
        min_length=1,
        max_length=8,
    )


class Receipts(Model):
    """Whether the provider says later what became of a send."""

    expected: bool = Field(False, description="Whether receipts come at all.")
    within: Duration = Field(
        "72h",
        description="After how long a missing receipt is reported. Accepted; done by a later "
        "version.",
    )


class NamedSecret(Model):
    """A Secret's key under the name that the plugin knows it by."""

    name: Label = Field(description="What the plugin calls it.")
    secret_ref: SecretKeyRef = Field(description="Where it is.")


class ChannelSpec(Model):
    """How customers are reached through the channel."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="!(self.plugin.name in ['pull', 'task']) || !has(self.secretRefs) || "
            "self.secretRefs.size() == 0",
            holds=lambda it: not it.plugin.built_in or not it.secret_refs,
            message="pull and task run in no pod that could be given secrets: leave secretRefs out",
        ),
        Rule(
            cel="self.plugin.name != 'task' || !has(self.deduplication)",
            holds=lambda it: it.plugin.name != "task" or it.deduplication is None,
            message="a task is made once for a send, for ever: leave deduplication out",
        ),
    )

    engine_ref: EngineRef = Field(description="The engine whose journeys send through it.")
    description: Description | None = Field(None, description="What the channel is for.")
    medium: Medium = Field(description="What kind of message it carries; caps count by it.")
    plugin: Plugin = Field(description="The program that sends.")
    address_attribute: Identifier | None = Field(
        None, description="The customer's attribute with the address, such as phone or email."
    )
    template: MessageTemplate | None = Field(
        None,
        description="What a message says; absent means that the content of a journey's node goes "
        "to the plugin as it is.",
    )
    limits: Limits = Field(
        default_factory=Limits,
        description="How much is given to the plugin at once.",
        json_schema_extra={"default": {}},
    )
    breaker: Breaker = Field(
        default_factory=Breaker,
        description="When sends stop for a while.",
        json_schema_extra={"default": {}},
    )
    retry: Retry = Field(
        default_factory=Retry,
        description="How a failed send is tried again.",
        json_schema_extra={"default": {}},
    )
    deduplication: Deduplication | None = Field(
        None,
        description="Whether the provider recognises a repeated send; absent means what the "
        "plugin says of itself.",
    )
    shared_account: bool = Field(
        False,
        description="Whether all sites use one account at the provider. Only then is a send that "
        "another site left in doubt repeated or asked about; otherwise it becomes Unknown.",
    )
    fallback: ChannelRef | None = Field(
        None, description="The channel that takes over what this one gave up."
    )
    caps: tuple[Cap, ...] = Field(
        (),
        description="How often one customer is contacted through it at most, besides the engine's "
        "caps.",
        max_length=32,
        json_schema_extra=list_map("name"),
    )
    quiet_hours: QuietHours | None = Field(
        None, description="When nothing is sent through it, besides the engine's quiet hours."
    )
    receipts: Receipts = Field(
        default_factory=Receipts,
        description="Whether the provider says what became of a send.",
        json_schema_extra={"default": {}},
    )
    secret_refs: tuple[NamedSecret, ...] = Field(
        (),
        description="Secrets that the plugin's pods are given.",
        max_length=16,
        json_schema_extra=list_map("name"),
    )
    allowed_namespaces: AllowedNamespaces | None = Field(
        None,
        description="From which namespaces journeys may send through it; absent means its own "
        "only.",
    )
    paused: bool = Field(False, description="Whether sends are held until this is taken away.")


class BreakerStatus(Observed):
    """Where the channel's breaker stands, at all workers."""

    state: StatusText | None = Field(
        None, description="Closed, Open, HalfOpen, ForcedOpen or ForcedClosed."
    )
    since: Moment | None = Field(None, description="Since when.")
    why: LongText | None = Field(None, description="What made it change.")


class PluginStatus(Observed):
    """What the program that sends says of itself."""

    name: StatusText | None = Field(None, description="Its name.")
    version: StatusText | None = Field(None, description="Its version.")
    deduplication: StatusText | None = Field(
        None, description="What the engine goes by: Key, Query or None."
    )
    batch_size: int | None = Field(None, ge=1, description="Most sends in one call.")


class SendFigures(Observed):
    """Sends in numbers; written at most once a minute."""

    waiting: int | None = Field(None, ge=0, description="Planned, and without an outcome.")
    in_flight: int | None = Field(None, ge=0, description="Handed over, and without an answer.")
    unknown: int | None = Field(
        None, ge=0, description="Nobody can say whether they took effect; never repeated."
    )
    accepted_per_minute: float | None = Field(None, ge=0, description="Taken by the provider.")
    failed_per_minute: float | None = Field(None, ge=0, description="Not taken, or in doubt.")
    p99_milliseconds: float | None = Field(
        None, ge=0, description="99 of 100 calls take no longer; of the last minutes."
    )


class LastError(Observed):
    """The last call that failed."""

    at: Moment | None = Field(None, description="When.")
    message: LongText | None = Field(None, description="What it was told.")


class ChannelStatus(ResourceStatus):
    """Whether the channel can be used, and how it does."""

    health: StatusText | None = Field(
        None, description="Healthy, Degraded, Down, Paused or Unknown, in one word."
    )
    spec_digest: Digest | None = Field(None, description="Digest of the spec that is told of.")
    plugin: PluginStatus | None = Field(None, description="The program that sends.")
    breaker: BreakerStatus | None = Field(None, description="The channel's breaker.")
    sends: SendFigures | None = Field(None, description="Sends in numbers.")
    last_error: LastError | None = Field(None, description="The last call that failed.")


class Channel(Resource):
    """A way out to customers: SMS, e-mail, push or webhook, by a plugin."""

    kind_name: ClassVar[str] = "Channel"

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="self.metadata.name.size() <= 40 && "
            "self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
            holds=lambda it: (
                len(it.metadata.name) <= 40
                and it.metadata.name[:1].isalpha()
                and "." not in it.metadata.name
            ),
            message="a Channel's name starts with a letter, has letters, digits and dashes only, "
            "and at most 40 of them: its pods and Service are named after it",
        ),
        Rule(
            cel="!has(self.spec.fallback) || has(self.spec.fallback.__namespace__) || "
            "self.spec.fallback.name != self.metadata.name",
            holds=lambda it: (
                it.spec.fallback is None
                or it.spec.fallback.namespace is not None
                or it.spec.fallback.name != it.metadata.name
            ),
            message="a channel cannot be its own fallback: name another channel, or leave it out",
        ),
    )

    spec: ChannelSpec = Field(description="How customers are reached through the channel.")
    status: ChannelStatus = Field(
        default_factory=ChannelStatus,
        description="Whether the channel can be used; written by the operator.",
    )
