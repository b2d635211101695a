"""What the channels of a plan say to their customers: a renderer a channel, over one look-up."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import structlog
from psycopg import Connection

from wayfare_engine.clock import new_id
from wayfare_engine.content import Renderer, TemplateProblems, message_template
from wayfare_engine.customers.lookup import CustomerLookup
from wayfare_engine.objectstore import ObjectStore
from wayfare_engine.outbox.governance import Zones
from wayfare_engine.plan import Attribute, AttributeType, Plan, Schema
from wayfare_engine.privacy import CustomerKeys, MasterKeys
from wayfare_engine.resources.channel import ChannelSpec
from wayfare_engine.resources.engine import Governance
from wayfare_engine.resources.task_terms import BadTaskConfig, TaskTerms
from wayfare_engine.store.blob_cache import BlobCache

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Messages:
    """Renderers by channel; `attribute_of` is a customer's attribute as text, of those in
    `assignees`: by channel, which says whom its tasks go to. `problems` of channels whose template
    does not compile, or whose tasks cannot be made so: they have no renderer."""

    renderers: Mapping[str, Renderer]
    zones: Zones
    attribute_of: Callable[[str, str], str | None]
    assignees: Mapping[str, str]
    problems: Mapping[str, str]


class MessageMaker:
    """Makes `Messages` of plans. The look-up is kept while the attributes that it holds are the
    same, whatever else a plan changes. `connected` gives a connection in autocommit mode."""

    def __init__(
        self,
        connected: Callable[[], AbstractContextManager[Connection[Any]]],
        store: ObjectStore | None,
        masters: MasterKeys | None,
    ) -> None:
        self._connected = connected
        self._store = store
        self._masters = masters
        self._names: frozenset[str] | None = None
        self._lookup: CustomerLookup | None = None

    def of(self, plan: Plan) -> Messages:
        """Of one plan. Raises pydantic's ValidationError for a spec of another version."""
        schema = Schema(tuple(Attribute(a.name, AttributeType(a.type)) for a in plan.attributes))
        templates: dict[str, Renderer] = {}
        problems: dict[str, str] = {}
        assignees: dict[str, str] = {}
        for name, channel in plan.channels.items():
            spec = ChannelSpec.model_validate(channel.spec)
            try:
                template = message_template(spec, schema)
            except TemplateProblems as error:
                problems[name] = f"its template: {error}"
                continue
            try:
                assignee = _assignee(name, spec)
            except BadTaskConfig as error:
                problems[name] = f"its tasks: {error.path} {error.problem}"
                continue
            if assignee is not None:
                assignees[name] = assignee
            templates[name] = Renderer(template, spec.address_attribute, self._values)
        zone = Governance.model_validate(plan.governance).time_zone_attribute
        needed = frozenset(n for renderer in templates.values() for n in renderer.needed)
        self._look_up(needed | set(assignees.values()) | ({zone} if zone is not None else set()))
        zones = _none if zone is None else self._zones(zone)
        return Messages(templates, zones, self._attribute_of, assignees, problems)

    def _values(self, customer: str) -> Mapping[str, Any] | None:
        assert self._lookup is not None, "`of` comes first"
        return self._lookup(customer)

    def _attribute_of(self, customer: str, name: str) -> str | None:
        value = (self._values(customer) or {}).get(name)
        return None if value is None else str(value)

    def _zones(self, attribute: str) -> Zones:
        def zones(customers: Collection[str]) -> Mapping[str, str]:
            assert self._lookup is not None, "`of` comes first"
            return self._lookup.zones(attribute)(customers)

        return zones

    def _look_up(self, names: frozenset[str]) -> None:
        if names == self._names:
            return
        self._names = names
        self._lookup = CustomerLookup(
            self._connected, self._store, names, keys=self._keys, cache=BlobCache()
        )

    def _keys(self, connection: Connection[Any]) -> CustomerKeys | None:
        if self._masters is None:
            return None
        return CustomerKeys(connection, self._store, self._masters, ids=new_id)


def _assignee(name: str, spec: ChannelSpec) -> str | None:
    """The attribute that says whom the channel's tasks go to. Raises BadTaskConfig."""
    if spec.plugin.name != "task":
        return None
    return TaskTerms.from_config(name, spec.plugin.config or {}).assignee_attribute


def _none(customers: Collection[str]) -> Mapping[str, str]:
    return {}
