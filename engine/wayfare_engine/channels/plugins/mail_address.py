"""Mail addresses as an envelope takes them: `local@domain`, in ASCII (RFC 5321, section 4.1.2)."""

from __future__ import annotations

import re

_LOCAL = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*", re.ASCII
)
_DOMAIN = re.compile(
    r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*", re.ASCII
)
_LONGEST, _LONGEST_LOCAL = 254, 64


class BadAddress(ValueError):
    """No address that a mail can be sent to; the text does not quote it."""


def ascii_address(text: str) -> str:
    """The address, its domain in the form that DNS has (IDNA). Raises BadAddress.

    A local part is a dot-string: quoted ones and those that are not ASCII are refused, for most
    servers refuse them, too.
    """
    local, at, domain = text.rpartition("@")
    if not at:
        raise BadAddress("it has no @")
    if not _LOCAL.fullmatch(local) or len(local) > _LONGEST_LOCAL:
        raise BadAddress("what is before its @ has characters that are not taken, or is too long")
    try:
        ascii_domain = domain if domain.isascii() else domain.encode("idna").decode("ascii")
    except UnicodeError:
        raise BadAddress("its domain is no name that DNS has") from None
    if not _DOMAIN.fullmatch(ascii_domain):
        raise BadAddress("its domain is no name that DNS has")
    address = f"{local}@{ascii_domain}"
    if len(address) > _LONGEST:
        raise BadAddress(f"it has more than {_LONGEST} characters")
    return address
