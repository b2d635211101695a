"""What the canary of a drill tries: everything that this site's engine reaches in production.

The pod that makes the copy, which is not isolated, tries each of them as well: that nobody gets to
a place which nobody reaches anyhow would prove nothing.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import msgspec
from psycopg import Connection

from wayfare_engine.journal.chain import last_object
from wayfare_engine.lease.epochs import highest
from wayfare_engine.objectstore import ObjectStore, paths
from wayfare_engine.plan import Plan
from wayfare_engine.settings import Settings

_PORTS = {"http": 80, "https": 443, "redis": 6379, "rediss": 6379, "smtp": 25, "smtps": 465}
_DEEPEST = 4
#: What is no secret of how the object store is reached, and what stands for credentials.
STORE_OPTIONS = (
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ALLOW_HTTP",
    "AWS_VIRTUAL_HOSTED_STYLE_REQUEST",
)


class Target(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A place outside the drill. `reached`: whether the pod that is not isolated got there; None
    where it was not tried."""

    what: str
    host: str
    port: int
    reached: bool | None = None


class Canary(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What the canary is told. `own`: of the drill itself, which it has to reach. `objects`: of
    production's store, which exist, so that putting them if they are absent changes nothing
    whatever becomes of it: the lease of the present epoch, and the last segment."""

    targets: tuple[Target, ...]
    own: tuple[Target, ...] = ()
    store: str | None = None
    options: dict[str, str] = {}
    objects: dict[str, str] = {}


def canary_of(
    settings: Settings,
    environment: Mapping[str, str],
    plan: Plan | None,
    connection: Connection[Any],
    store: ObjectStore,
    name: str,
) -> Canary:
    """For this site; `name` is the recovery plan. Each target is tried from here. Raises
    StoreProblem."""
    found = [
        *_cluster(environment),
        *_stores(settings, connection),
        *_object_store(settings, environment),
        *_channels(plan),
    ]
    options = {each: environment[each] for each in STORE_OPTIONS if each in environment}
    return Canary(
        targets=tried(list(dict.fromkeys(found))),
        store=settings.object_store_url,
        options=options,
        objects=_objects(store, name),
    )


def tried(targets: Sequence[Target], *, seconds: float = 2.0) -> tuple[Target, ...]:
    """The same targets, each tried from here."""
    if not targets:
        return ()
    with ThreadPoolExecutor(max_workers=min(16, len(targets))) as pool:
        answers = pool.map(lambda one: knock(one.host, one.port, seconds) is None, targets)
    return tuple(
        msgspec.structs.replace(one, reached=reached)
        for one, reached in zip(targets, answers, strict=True)
    )


def knock(host: str, port: int, seconds: float) -> str | None:
    """Try to connect: None when it succeeds, else what came instead."""
    try:
        with socket.create_connection((host, port), timeout=seconds):
            return None
    except socket.gaierror:
        return "its name leads nowhere"
    except TimeoutError:
        return f"no answer within {seconds:g} s"
    except OSError as error:
        return error.strerror or type(error).__name__


def _cluster(environment: Mapping[str, str]) -> Iterator[Target]:
    host = environment.get("KUBERNETES_SERVICE_HOST")
    if host:
        port = int(environment.get("KUBERNETES_SERVICE_PORT", "443"))
        yield Target(what="the API server", host=host, port=port)


def _stores(settings: Settings, connection: Connection[Any]) -> Iterator[Target]:
    """PostgreSQL is where this very connection leads to."""
    host = connection.info.hostaddr or connection.info.host
    if host and not host.startswith("/"):
        yield Target(what="this site's PostgreSQL", host=host, port=connection.info.port)
    yield from _of_url("this site's Valkey", settings.valkey_url)


def _object_store(settings: Settings, environment: Mapping[str, str]) -> Iterator[Target]:
    url = settings.object_store_url
    if url is None:
        return
    what, scheme = "the object store", urlsplit(url).scheme
    endpoint = environment.get("AWS_ENDPOINT_URL") or environment.get("AWS_ENDPOINT")
    if scheme in ("s3", "s3a"):
        region = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION")
        host = f"s3.{region}.amazonaws.com" if region else "s3.amazonaws.com"
        yield from _of_url(what, endpoint or f"https://{host}")
    elif scheme == "gs":
        yield from _of_url(what, "https://storage.googleapis.com")
    elif scheme != "file":
        account = environment.get("AZURE_STORAGE_ACCOUNT_NAME")
        if account:
            yield from _of_url(what, f"https://{account}.blob.core.windows.net")


def _channels(plan: Plan | None) -> Iterator[Target]:
    """The hosts, and the providers behind them as far as their settings name them."""
    for name, channel in sorted((plan.channels if plan is not None else {}).items()):
        yield from _of_url(f"the host of channel {name}", channel.url)
        config = (channel.spec.get("plugin") or {}).get("config") or {}
        for url in _urls(config, _DEEPEST):
            yield from _of_url(f"the provider of channel {name}", url)
        host, port = config.get("host"), config.get("port")
        if isinstance(host, str) and isinstance(port, int):
            yield Target(what=f"the provider of channel {name}", host=host, port=port)


def _urls(value: object, deep: int) -> Iterator[str]:
    """Addresses anywhere in a channel's settings."""
    if isinstance(value, str) and urlsplit(value).scheme in _PORTS:
        yield value
    elif isinstance(value, dict | list) and deep:
        for each in value.values() if isinstance(value, dict) else value:
            yield from _urls(each, deep - 1)


def _of_url(what: str, url: str | None) -> Iterator[Target]:
    if not url:
        return
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        return
    if host and port:
        yield Target(what=what, host=host, port=port)


def _objects(store: ObjectStore, plan: str) -> dict[str, str]:
    lease = highest(store, plan)
    if lease is None:
        return {}
    found = {"production's lease": paths.lease(plan, lease.epoch)}
    last = last_object(store, lease.site, lease.epoch)
    if last is not None:
        found["production's journal"] = last.path
    return found
