"""Texts for people, without what is not for them: a provider's error often quotes the address that
it was sent, and a client's the password that it used."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from wayfare_engine.channels.contract import HandOver

_IN_ITS_PLACE = "***"
#: Shorter ones would take words out of every text.
_SHORTEST_SECRET = 4
_SHORTEST_OF_PAYLOAD = 6


class Redaction:
    """Of one host: `secrets` are its plugin's."""

    def __init__(self, secrets: Collection[str] = ()) -> None:
        self._secrets = tuple(s for s in secrets if len(s) >= _SHORTEST_SECRET)

    def text(self, text: str, what: HandOver | None) -> str:
        """`text` without the secrets, and without the address and the content of the send that it
        is about. The longest go first: one may be part of another."""
        hidden = {*self._secrets}
        if what is not None:
            hidden.update(_strings(what.payload))
            if what.address:
                hidden.add(what.address)
        for one in sorted(hidden, key=len, reverse=True):
            text = text.replace(one, _IN_ITS_PLACE)
        return text


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        if len(value) >= _SHORTEST_OF_PAYLOAD:
            yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from _strings(one)
    elif isinstance(value, list):
        for one in value:
            yield from _strings(one)
