"""Text from a record as a person may safely see it, in a page and in a terminal.

Escaping for HTML is the template's. This is about characters that show nothing, or show something
else than what is there: control characters (a terminal obeys them), characters that turn the
direction of a line (by which a text reads differently from what it says), and halves of pairs that
cannot be encoded. Each is written as its code, such as `\\u202e`.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\ud800-\udfff\ufdd0-\ufdef\ufeff\ufff0-\uffff\U000e0000-\U000e007f]"
)


def shown(text: str) -> str:
    """The text with every unseen character as its code; line feeds and tabs stay."""
    return _UNSEEN.sub(_code, text)


def one_line(text: str) -> str:
    """The same in one line, for a terminal."""
    return shown(text).replace("\n", "\\n").replace("\t", " ")


def moment(at: datetime) -> str:
    """A time of a record: UTC, to the second."""
    try:
        return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    except OverflowError:  # the first or last day that there is
        return at.isoformat()


def span(seconds: float) -> str:
    """A length of time: `0.4 s`, `42.0 s`, `3 min 05 s`, `2 h 07 min`, `3 d 04 h`."""
    sign, seconds = ("-", -seconds) if seconds < 0 else ("", seconds)
    if seconds < 99.95:
        return f"{sign}{seconds:.1f} s"
    whole = round(seconds)
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{sign}{minutes} min {rest:02} s"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{sign}{hours} h {minutes:02} min"
    days, hours = divmod(hours, 24)
    return f"{sign}{days} d {hours:02} h"


def _code(found: re.Match[str]) -> str:
    number = ord(found[0])
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
