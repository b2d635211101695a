"""Which tests share a process when there are several, and what runs first.

The lab is one for a clone, so all that bring it up are one group. Other folders share servers of
their own and stay together, too, unless a folder is long: then each of its files is a group. Long
groups come first, so that no process is left alone with one at the end.
"""

from __future__ import annotations

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

#: Folders whose tests use this clone's lab; one group.
LAB = ("lab", "e2e")
#: Folders that take minutes, whose files share nothing or little: a group a file.
SPLIT = ("crash", "engine", "journal", "lease", "operator", "reconcile", "report", "unit")
#: Folders in those whose files share servers: a group.
SHARED = ("operator/plans",)
#: Groups by how long they take, the longest first; others after them, as they are collected.
FIRST = ("lab",)


def group(nodeid: str) -> str:
    """The group of a test, from its id (`tests/folder/file.py::name`)."""
    parts = nodeid.partition("::")[0].split("/")
    if len(parts) < 3:
        return nodeid
    folder = parts[1]
    if folder in LAB:
        return "lab"
    if "/".join(parts[1:-1]) in SHARED:
        return "/".join(parts[1:-1])
    return "/".join(parts[1:]) if folder in SPLIT else folder


class GroupScheduling(LoadScopeScheduling):  # type: ignore[misc]
    """A group at a time goes to the process that is free."""

    def _split_scope(self, nodeid: str) -> str:
        return group(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> GroupScheduling:
    """Tell pytest-xdist (its own `loadgroup` finds no groups with pytest 9.2)."""
    return GroupScheduling(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort by FIRST; the order within a group stays."""
    order = {name: place for place, name in enumerate(FIRST)}
    items.sort(key=lambda item: order.get(group(item.nodeid), len(order)))
