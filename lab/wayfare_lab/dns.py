"""One DNS question, asked of a site's cluster DNS from the host."""

from __future__ import annotations

import socket
import struct
from ipaddress import IPv4Address

_TYPE_A = 1
_CLASS_IN = 1
_HEADER = struct.Struct("!6H")
_ASK_RECURSION = 0x0100


def lookup(server: IPv4Address, name: str, *, timeout: float = 0.3) -> IPv4Address | None:
    """The first A record of a name (RFC 1035); None when there is no answer in time."""
    question = b"".join(bytes([len(p)]) + p.encode() for p in name.split(".")) + b"\0"
    query = _HEADER.pack(1, _ASK_RECURSION, 1, 0, 0, 0)
    query += question + struct.pack("!2H", _TYPE_A, _CLASS_IN)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(timeout)
        try:
            client.sendto(query, (str(server), 53))
            answer = client.recv(1024)
        except OSError:
            return None
    if len(answer) < len(query) + 16 or _HEADER.unpack_from(answer)[3] == 0:
        return None
    # The question comes back as asked; an A record ends in its four bytes.
    position = len(query)
    # The record's name is a pointer to the question's (2 bytes) or spelled out.
    if answer[position] & 0xC0 == 0xC0:
        position += 2
    else:
        position = answer.index(b"\0", position) + 1
    kind, _, _, length = struct.unpack_from("!HHIH", answer, position)
    if kind != _TYPE_A or length != 4:
        return None
    return IPv4Address(answer[position + 10 : position + 14])
