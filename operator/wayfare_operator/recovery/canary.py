"""What the canary of a drill said, in the only way it has: its termination message. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from wayfare_engine.decoding import known
from wayfare_operator.desired.drill_engine import CANARY
from wayfare_operator.desired.drill_parts import stores_host
from wayfare_operator.desired.metadata import POSTGRESQL_PORT, VALKEY_PORT
from wayfare_operator.kube.kinds import Object


class Way(msgspec.Struct, frozen=True, array_like=True):
    """One way that was tried. `out`: it led somewhere."""

    what: str
    out: bool
    how: str


class Word(msgspec.Struct, frozen=True):
    """`ways` lead out of the drill, `own` to its own parts; `tried` ways there were, of which a
    long list does not all fit into a message."""

    tried: int
    ways: tuple[Way, ...]
    own: tuple[Way, ...]

    @property
    def open(self) -> tuple[Way, ...]:
        """Those that led out."""
        return tuple(each for each in self.ways if each.out)

    @property
    def deaf(self) -> tuple[Way, ...]:
        """Parts of the drill itself that it did not reach: then its silence proves nothing."""
        return tuple(each for each in self.own if not each.out)

    @property
    def shut(self) -> bool:
        """Whether it tried, had a network, and did not get out."""
        return self.tried > 0 and bool(self.own) and not self.open and not self.deaf


@dataclass(frozen=True)
class Ended:
    """A canary that ended. `word` is None when what it said is not understood."""

    word: Word | None
    text: str


def ended(pods: Sequence[Object]) -> Ended | None:
    """What the canary of the first pod said last; None while it is under way."""
    for pod in pods:
        if pod["metadata"].get("deletionTimestamp") is not None:
            continue
        for container in (pod.get("status") or {}).get("initContainerStatuses") or ():
            if container.get("name") != CANARY:
                continue
            for state in ("state", "lastState"):
                found = (container.get(state) or {}).get("terminated")
                if found:
                    return _ended(str(found.get("message") or ""))
        return None
    return None


def _ended(text: str) -> Ended:
    try:
        return Ended(msgspec.json.decode(text, type=Word), text)
    except msgspec.MsgspecError:
        return Ended(None, text)


def task_of(forked: Mapping[str, Any], run: str, namespace: str) -> str:
    """What the canary is told: what step Fork found, and the drill's own stores. JSON."""
    host = stores_host(run, namespace)
    own = [
        {"what": "the drill's PostgreSQL", "host": host, "port": POSTGRESQL_PORT},
        {"what": "the drill's Valkey", "host": host, "port": VALKEY_PORT},
    ]
    return msgspec.json.encode({**forked, "own": own}, order="deterministic").decode()


def isolated(word: Word, forked: Mapping[str, Any]) -> list[dict[str, str]]:
    """Each way with how it was shut, for the report; and whether a pod outside the drill got
    there a moment before, which says what that is worth."""
    before = {each["what"]: each.get("reached") for each in forked.get("targets") or ()}
    said: dict[Any, str] = {
        True: "; from outside the drill it was reached",
        False: "; nor was it from outside",
    }
    return [
        {"what": each.what, "how": f"not reached: {each.how}{said.get(before.get(each.what), '')}"}
        for each in word.ways
    ]


known(Word)
