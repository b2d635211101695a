"""Channels: the contract with their plugins, the process that hosts one, and plugins that come with
Wayfare. What a plugin needs is here; see docs/channel-plugins.md."""

from wayfare_engine.channels.contract import (
    Answer,
    Callback,
    Check,
    HandOver,
    Key,
    NoDedupe,
    Query,
    Receipt,
    Rendered,
)
from wayfare_engine.channels.plugin import (
    BadConfig,
    ChannelPlugin,
    InDoubt,
    NotAccepted,
    Rejected,
    Settings,
)

__all__ = [
    "Answer",
    "BadConfig",
    "Callback",
    "ChannelPlugin",
    "Check",
    "HandOver",
    "InDoubt",
    "Key",
    "NoDedupe",
    "NotAccepted",
    "Query",
    "Receipt",
    "Rejected",
    "Rendered",
    "Settings",
]
