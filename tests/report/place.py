"""A store of one's own on the S3 server, and the commands that look into it."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from datetime import datetime

from tests.report.stories import PLAN, START
from tests.servers.command import wayfare
from tests.servers.objects import ObjectServer
from wayfare_engine.objectstore import ObjectStore, marker, open_store
from wayfare_engine.recovery.report import Report, make_report


@dataclass(frozen=True)
class Place:
    """The store of one plan."""

    store: ObjectStore
    environment: dict[str, str]

    @classmethod
    def of(cls, objects: ObjectServer) -> Place:
        """An empty prefix that belongs to the plan."""
        url = objects.url()
        store = open_store(url, options=objects.options)
        marker.claim(store, PLAN)
        return cls(store, {**objects.options, "WAYFARE_OBJECT_STORE_URL": url})

    def recovery(self, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
        """`wayfare recovery WORDS`."""
        return wayfare("recovery", *words, **(self.environment | more))

    def report(self, number: int, now: datetime = START) -> Report:
        """The report of a run."""
        return make_report(self.store, PLAN, number, now=now)
