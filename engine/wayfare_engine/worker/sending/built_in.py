"""The ways out that the engine has itself, `pull` and `task`: no host is asked what they are, and
they have no address in the plan."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from importlib.metadata import version

from wayfare_engine.channels.contract import VERSION, Description, Key, NoDedupe
from wayfare_engine.clock import new_id
from wayfare_engine.outbox import FOR_EVER, PullHost, TaskHost
from wayfare_engine.outbox.channel import Host
from wayfare_engine.plan import PlanChannel
from wayfare_engine.resources import parse_duration
from wayfare_engine.resources.channel import ChannelSpec
from wayfare_engine.resources.task_terms import TaskTerms


def description(channel: PlanChannel) -> Description | None:
    """What it is, as a host would say it; None when it has a host that says so itself. Raises
    pydantic's ValidationError for a spec of another version."""
    if channel.url:
        return None
    spec = ChannelSpec.model_validate(channel.spec)
    if not spec.plugin.built_in:
        return None
    dedupe = Key(FOR_EVER.window) if spec.plugin.name == "task" else _of_puller(spec)
    return Description(VERSION, spec.plugin.name, version("wayfare"), dedupe)


def _of_puller(spec: ChannelSpec) -> Key | NoDedupe:
    """What the Channel says of the system that fetches: nobody else can."""
    declared = spec.deduplication
    if declared is None or declared.window is None:
        return NoDedupe()
    return Key(parse_duration(declared.window).total_seconds())


def host(
    name: str,
    spec: ChannelSpec,
    *,
    dsn: str,
    site: str,
    attribute_of: Callable[[str, str], str | None],
    boottime: Callable[[], float],
    clock: Callable[[], datetime],
) -> Host:
    """Its host, over the site's own database (`dsn`: a direct address). Raises BadTaskConfig."""
    if spec.plugin.name == "pull":
        return PullHost(dsn, boottime=boottime)
    return TaskHost(
        dsn,
        channel=name,
        site=site,
        terms=TaskTerms.from_config(name, spec.plugin.config or {}),
        attribute_of=attribute_of,
        boottime=boottime,
        clock=clock,
        ids=new_id,
    )
