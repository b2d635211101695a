"""Which tests share a process when there are several, and what runs first.

The lab is one for a clone, so all that bring it up are one group. Other folders share servers of
their own and stay together, too, unless a folder is long: then each of its files is a group. Long
groups come first, so that no process is left alone with one at the end.
"""

from __future__ import annotations

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

#: Folders whose tests use this clone's lab; one group, in this order: tests of the second take it
#: down.
LAB = ("e2e", "lab")
#: Folders that take minutes, whose files share nothing or little: a group a file.
SPLIT = ("crash", "engine", "journal", "lease", "operator", "reconcile", "report", "unit")
#: Folders in those whose files share servers: a group.
SHARED = ("operator/plans",)
#: Groups that take minutes, the longest first; with one of them at the end a process would be left
#: alone with it.
FIRST = ("standing", "chaos", "chaos_recovery", "recovery_steps", "outbox", "fetching")


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


def place(nodeid: str, *, more: bool) -> tuple[int, int]:
    """The order: the lab's, those of FIRST, all others; `more` ones of the lab come before it is
    taken down."""
    name = group(nodeid)
    if name == "lab":
        return 0, 2 * LAB.index(nodeid.split("/")[1]) + more
    return (1, FIRST.index(name)) if name in FIRST else (2, 0)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort by place; the order within one stays."""
    items.sort(key=lambda one: place(one.nodeid, more=one.get_closest_marker("more") is not None))
