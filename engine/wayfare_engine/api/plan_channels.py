"""What a serving pod knows of channels: from the plan that it serves."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection

from psycopg_pool import ConnectionPool

from wayfare_engine.content import Renderer
from wayfare_engine.customers.messages import MessageMaker, Messages
from wayfare_engine.plan import Plan
from wayfare_engine.privacy import MasterKeys
from wayfare_engine.settings import Settings
from wayfare_engine.store.postgresql import patient

#: For previews: they are asked for by people.
_CONNECTIONS = 2


class PlanChannels:
    """Names, hosts and templates of the channels. `plan` is the one that is served, if any."""

    def __init__(self, settings: Settings, plan: Callable[[], Plan | None]) -> None:
        file = settings.master_key_file
        masters = None if file is None else MasterKeys.read(file, random=secrets.token_bytes)
        self._pool = ConnectionPool(
            patient(settings.dsn, "wayfare-previews"),
            min_size=0,
            max_size=_CONNECTIONS,
            kwargs={"autocommit": True},
            open=False,
        )
        self._settings = settings
        self._plan = plan
        self._maker = MessageMaker(self._pool.connection, None, masters)
        self._made: tuple[str, Messages] | None = None

    def start(self) -> None:
        """Connect when asked."""
        self._pool.open()

    def stop(self) -> None:
        """Disconnect."""
        self._pool.close()

    def names(self) -> Collection[str]:
        """Of all channels."""
        plan = self._plan()
        return () if plan is None else plan.channels.keys()

    def host(self, channel: str) -> str | None:
        """Where the channel's host is: as the settings say, or else the plan; None where there is
        none."""
        plan = self._plan()
        found = None if plan is None else plan.channels.get(channel)
        return self._settings.channel_hosts.get(channel, found.url or None if found else None)

    def renderer(self, channel: str) -> Renderer | None:
        """What makes the channel's messages; None where nothing is to be made, or its template does
        not compile."""
        plan = self._plan()
        if plan is None:
            return None
        if self._made is None or self._made[0] != plan.digest:
            self._made = (plan.digest, self._maker.of(plan))
        return self._made[1].renderers.get(channel)
