"""What a host says when a plugin gave no answer."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(eq=False)
class Failed(Exception):
    """No answer of the plugin. For a send: it is in doubt. `status` is HTTP's."""

    status: int
    detail: str


@dataclass(eq=False)
class NotOffered(Exception):
    """The plugin has no such thing."""

    detail: str
