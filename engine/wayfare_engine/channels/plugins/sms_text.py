"""A text as a phone takes it: the GSM alphabet or UCS-2, in one message or in parts.

3GPP TS 23.038 (alphabets) and TS 23.040, section 9.2.3.24.1 (parts). Over SMPP a character of the
GSM alphabet is an octet; the message centre packs them into septets.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

_BASIC: Final = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_ESCAPE: Final = 0x1B
_EXTENDED: Final = {
    "\f": 0x0A,
    "^": 0x14,
    "{": 0x28,
    "}": 0x29,
    "\\": 0x2F,
    "[": 0x3C,
    "~": 0x3D,
    "]": 0x3E,
    "|": 0x40,
    "€": 0x65,
}
_GSM: Final[dict[str, bytes]] = {
    char: bytes([place]) for place, char in enumerate(_BASIC) if place != _ESCAPE
} | {char: bytes([_ESCAPE, code]) for char, code in _EXTENDED.items()}
#: Octets over SMPP: septets of the GSM alphabet, or bytes of UCS-2; alone, and beside a header.
_GSM_ALONE, _GSM_PART = 160, 153
_UCS2_ALONE, _UCS2_PART = 140, 134
GSM, UCS2 = 0x00, 0x08
#: What a header can count.
MOST_PARTS: Final = 255


@dataclass(frozen=True)
class Encoded:
    """A text's octets, and where it may be cut: no character's octets are divided."""

    coding: int
    characters: tuple[bytes, ...]

    @property
    def whole(self) -> bytes:
        """All of it."""
        return b"".join(self.characters)

    @property
    def fits(self) -> bool:
        """Whether one message holds it."""
        most = _GSM_ALONE if self.coding == GSM else _UCS2_ALONE
        return sum(map(len, self.characters)) <= most

    def parts(self, reference: int) -> list[bytes]:
        """Its messages, each with a header that says which of how many; `reference` (0 to 255) is
        the same in all."""
        bodies = list(_cut(self.characters, _GSM_PART if self.coding == GSM else _UCS2_PART))
        return [
            bytes([5, 0, 3, reference, len(bodies), number]) + body
            for number, body in enumerate(bodies, 1)
        ]


def encoded(text: str) -> Encoded:
    """The GSM alphabet where it has every character, else UCS-2 (pairs of surrogates as UTF-16
    has them, as phones do). Raises ValueError for half of such a pair."""
    if all(char in _GSM for char in text):
        return Encoded(GSM, tuple(_GSM[char] for char in text))
    return Encoded(UCS2, tuple(char.encode("utf-16-be") for char in text))


def _cut(characters: Iterable[bytes], most: int) -> Iterable[bytes]:
    part = bytearray()
    for one in characters:
        if len(part) + len(one) > most:
            yield bytes(part)
            part.clear()
        part += one
    if part:
        yield bytes(part)
