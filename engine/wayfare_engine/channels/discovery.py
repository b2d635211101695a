"""Which channel plugins are installed: entry points of the group `wayfare.channels`."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points

import msgspec

from wayfare_engine.channels.contract import Description, Query
from wayfare_engine.channels.plugin import ENTRY_POINTS, BadConfig, ChannelPlugin, Settings
from wayfare_engine.errors import MISSING, USAGE, SaidToPeople


@dataclass(frozen=True)
class Installed:
    """An installed plugin; `problem` says why it cannot be used, and is None when it can."""

    name: str
    package: str
    where: str
    problem: str | None


@dataclass(eq=False)
class UnknownPlugin(SaidToPeople):
    """No package brings a plugin of this name."""

    exit_code = USAGE

    name: str
    known: tuple[str, ...]

    def __str__(self) -> str:
        known = ", ".join(self.known) or "none"
        return f"there is no channel plugin {self.name!r}; installed: {known}"


@dataclass(eq=False)
class BrokenPlugin(SaidToPeople):
    """A plugin that is installed and cannot be used; `cause` says why."""

    exit_code = MISSING

    name: str
    cause: str

    def __str__(self) -> str:
        return f"the channel plugin {self.name!r} cannot be used: {self.cause}"


def installed() -> list[Installed]:
    """All, by name. One that cannot be imported is listed with its cause."""
    return [
        Installed(entry.name, _package(entry), entry.value, _problem(entry.name))
        for entry in _entries()
    ]


def load(name: str) -> type[ChannelPlugin]:
    """The plugin's class. Raises UnknownPlugin, BrokenPlugin."""
    found = [entry for entry in _entries() if entry.name == name]
    if not found:
        raise UnknownPlugin(name, tuple(sorted({entry.name for entry in _entries()})))
    if len(found) > 1:
        packages = " and ".join(_package(entry) for entry in found)
        raise BrokenPlugin(name, f"{packages} each bring one of that name: uninstall one")
    return _load(found[0])


def open_plugin(name: str, settings: Settings) -> ChannelPlugin:
    """The plugin with these settings. Raises UnknownPlugin, BrokenPlugin, BadConfig."""
    kind = load(name)
    try:
        return kind.open(settings)
    except BadConfig:
        raise
    except Exception as error:
        # Its class only: the text may hold one of the settings' secrets.
        raise BrokenPlugin(name, f"its open failed: {type(error).__name__}") from None


def _entries() -> list[EntryPoint]:
    # The same distribution may be on the path twice: an entry that says the same is one.
    once = {(e.name, e.value, _package(e)): e for e in entry_points(group=ENTRY_POINTS)}
    return [once[key] for key in sorted(once)]


def _package(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist is not None else "?"


def _problem(name: str) -> str | None:
    try:
        load(name)
    except BrokenPlugin as error:
        return error.cause
    return None


def _load(entry: EntryPoint) -> type[ChannelPlugin]:
    try:
        found = entry.load()
    except Exception as error:
        # Importing runs code that is not ours: whatever it raises is this plugin's problem only.
        text = str(error).strip().splitlines() or [""]
        raise BrokenPlugin(entry.name, f"{type(error).__name__}: {text[0][:200]}") from error
    if not (isinstance(found, type) and issubclass(found, ChannelPlugin)):
        raise BrokenPlugin(entry.name, f"{entry.value} is no class of ChannelPlugin")
    if getattr(found, "name", None) != entry.name:
        raise BrokenPlugin(entry.name, f"{entry.value} says that its name is another")
    problem = _contradiction(found)
    if problem is not None:
        raise BrokenPlugin(entry.name, f"{entry.value} {problem}")
    return found


def _contradiction(kind: type[ChannelPlugin]) -> str | None:
    """What a class says of itself and does not have."""
    missing = sorted(getattr(kind, "__abstractmethods__", ()))
    if isinstance(kind.dedupe, Query) and kind.query is ChannelPlugin.query:
        missing.append("query, and its dedupe is Query")
    if kind.batch_size != 1 and kind.send_batch is ChannelPlugin.send_batch:
        missing.append("send_batch, and its batch_size is not 1")
    if kind.receipt_states and kind.receipts is ChannelPlugin.receipts:
        missing.append("receipts, and it has receipt_states")
    if missing:
        return f"does not define {', '.join(missing)}"
    try:
        msgspec.convert(msgspec.to_builtins(kind.description()), Description)
    except (msgspec.MsgspecError, TypeError) as error:
        return f"describes itself wrongly: {error}"
    return None
